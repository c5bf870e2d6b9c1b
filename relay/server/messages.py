"""WebSocket messages put together from their fragments, bounded in bytes."""

from hypercorn.typing import WebsocketReceiveEvent
from wsproto.events import BytesMessage, TextMessage


class MessageTooBig(Exception):
    """The message under way is larger than a message may be."""


class MessageBuffer:
    """Gathers one message at a time.

    Counts and keeps bytes: text as a list of pieces, or as characters, would hold up to four
    times what was sent.
    """

    __slots__ = ("_gathered", "_max_size")

    def __init__(self, max_size: int) -> None:
        self._max_size = max_size
        self._gathered: bytearray | None = None

    def add(self, event: TextMessage | BytesMessage) -> WebsocketReceiveEvent | None:
        """One more fragment; the whole message when it was the last. Raises MessageTooBig."""
        data = event.data.encode() if isinstance(event, TextMessage) else event.data
        gathered = len(self._gathered) if self._gathered is not None else 0
        if gathered + len(data) > self._max_size:
            self._gathered = None
            raise MessageTooBig
        if self._gathered is not None:
            self._gathered += data
        elif not event.message_finished:
            self._gathered = bytearray(data)
        if not event.message_finished:
            return None
        whole = data if self._gathered is None else bytes(self._gathered)
        self._gathered = None
        if isinstance(event, BytesMessage):
            return {"type": "websocket.receive", "bytes": bytes(whole), "text": None}
        return {"type": "websocket.receive", "bytes": None, "text": whole.decode()}
