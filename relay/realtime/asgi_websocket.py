"""A WebSocket over plain ASGI events, without a web framework."""

from collections.abc import Awaitable, Callable
from typing import Any

from relay.realtime.transport import ClientLeft

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]


def message_of(event: Any) -> str | bytes | None:
    """The client's message in an ASGI event, or None. Raises ClientLeft on a disconnect."""
    if event["type"] == "websocket.disconnect":
        raise ClientLeft()
    if event["type"] != "websocket.receive":
        return None
    message: str | bytes = event.get("text") or event.get("bytes") or b""
    return message


class AsgiWebSocket:
    """One WebSocket connection, driven through ASGI's `receive` and `send`."""

    __slots__ = ("_receive", "_send")

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send

    async def accept(self, subprotocol: str | None) -> None:
        """Answer the handshake with 101."""
        await self._send({"type": "websocket.accept", "subprotocol": subprotocol, "headers": []})

    async def refuse(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        """Reject the handshake with an HTTP response."""
        start = {"type": "websocket.http.response.start", "status": status, "headers": headers}
        await self._send(start)
        await self._send({"type": "websocket.http.response.body", "body": body})

    async def send(self, data: str) -> None:
        """Send a text message."""
        await self._send({"type": "websocket.send", "text": data})

    async def receive(self) -> str | bytes:
        """The next message. Raises ClientLeft."""
        while True:
            if (message := message_of(await self._receive())) is not None:
                return message

    async def close(self, code: int, reason: str) -> None:
        """Send the close frame."""
        await self._send({"type": "websocket.close", "code": code, "reason": reason})
