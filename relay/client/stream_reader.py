"""Reads a stream without end: reconnects after breaks, without duplicates or holes.

It uses server-sent events and resumes by cursor. A slow consumer does not use more memory here:
events that are not read yet wait at the server.
"""

import random
import time
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import msgspec

from relay.client.api_client import (
    ANSWER_TIMEOUT_SECONDS,
    ApiError,
    error_of_answer,
    no_answer_error,
)
from relay.client.credentials import Credentials
from relay.client.http_client import open_http, read_answer
from relay.client.retry_pauses import pause_before

SILENCE_SECONDS = 45.0  # Relay sends a heartbeat every 15
RECONNECT_JITTER_SECONDS = 1.0  # spreads the clients that reconnect after a restart
MAX_BLOCK_BYTES = 2**20  # the largest event has a tenth of that
EVENT_STREAM = "text/event-stream"
FINAL_CLOSE_CODES = (4401, 4403)  # close codes after which this credential opens no stream


class StreamEvent(msgspec.Struct, frozen=True):
    """An event. Its payload is the JSON text as stored: any JSON, numbers of any size included."""

    seq: int
    event_type: str
    ts: str
    received_at: str
    payload: msgspec.Raw
    task_id: str | None = None


class StreamMessage(msgspec.Struct, frozen=True):
    """A message: an event, or a control message with its name and fields. `raw` is its JSON."""

    raw: bytes
    event: StreamEvent | None = None
    control: str = ""  # hello, gap, close
    fields: dict[str, Any] = {}


class ConnectionLost(msgspec.Struct, frozen=True):
    """The connection was lost. The next attempt is after `pause` seconds."""

    why: str
    pause: float


class StreamReader:
    """The stream of the credentials' user."""

    def __init__(
        self,
        credentials: Credentials,
        start: Mapping[str, str],
        *,
        silence: float = SILENCE_SECONDS,
    ) -> None:
        """`start` is the query parameter of where to start, "after" or "last".

        After `silence` seconds without data the connection counts as lost.
        """
        self._credentials = credentials
        self._silence = silence
        self._start = dict(start)
        self.cursor: str | None = None

    def read(self) -> Iterator[list[StreamMessage] | ConnectionLost]:
        """Yield messages that arrived together, and breaks, without end.

        Raises `ApiError` if Relay refuses the stream, or if another program than Relay answers
        the first request. Later such an answer is a break: networks have login portals.
        """
        attempt = 0
        with open_http(self._credentials.url, self._credentials.token, self._silence) as http:
            while True:
                lost: ConnectionLost | None = None
                try:
                    for messages in self._connection(http):
                        attempt = 0
                        yield messages
                        lost = _find_close(messages) or lost
                except httpx.HTTPError as error:
                    lost = ConnectionLost(
                        str(no_answer_error(self._credentials.url, error)), pause_before(attempt)
                    )
                except ApiError as error:
                    if not error.is_temporary and (error.is_of_relay or self.cursor is None):
                        raise
                    lost = ConnectionLost(str(error), error.retry_after or pause_before(attempt))
                attempt += 1
                lost = lost or ConnectionLost("the connection was lost", pause_before(attempt))
                yield lost
                time.sleep(lost.pause)

    def _connection(self, http: httpx.Client) -> Iterator[list[StreamMessage]]:
        url = self._credentials.url
        headers = {"Accept": EVENT_STREAM, "Accept-Encoding": "identity"}
        headers |= {} if self.cursor is None else {"Last-Event-ID": self.cursor}
        query = self._start if self.cursor is None else {}
        with http.stream("GET", f"{url}/api/sse", params=query, headers=headers) as answer:
            media_type = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
            if answer.status_code != 200 or media_type != EVENT_STREAM:
                raise error_of_answer(read_answer(answer, url, ANSWER_TIMEOUT_SECONDS))
            rest = b""
            for chunk in answer.iter_raw():
                *blocks, rest = (rest + chunk).split(b"\n\n")
                if len(rest) > MAX_BLOCK_BYTES:
                    raise self._not_a_stream()
                if messages := [
                    one for block in blocks if (one := self._decode(block)) is not None
                ]:
                    yield messages

    def _decode(self, block: bytes) -> StreamMessage | None:
        """The message of a block; None for a heartbeat. Its id becomes the cursor."""
        lines = block.split(b"\n")
        fields = {name: value for name, _, value in (line.partition(b": ") for line in lines)}
        if b"id" in fields:
            self.cursor = fields[b"id"].decode()
        if (raw := fields.get(b"data")) is None:
            return None
        control = fields.get(b"event", b"").decode()
        try:
            if control:
                decoded = msgspec.json.decode(raw, type=dict[str, Any])
                return StreamMessage(raw, None, control, decoded)
            return StreamMessage(raw, msgspec.json.decode(raw, type=StreamEvent))
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise self._not_a_stream() from None

    def _not_a_stream(self) -> ApiError:
        return ApiError(f"{self._credentials.url}/api/sse is not a stream of Relay", status=200)


def _find_close(messages: list[StreamMessage]) -> ConnectionLost | None:
    """The break that a close message announces. Raises `ApiError` if it is final."""
    for one in messages:
        if one.control == "close":
            code, reason = one.fields.get("code"), one.fields.get("reason")
            if code in FINAL_CLOSE_CODES:
                text = f"Relay closed the stream: {reason} ({code})."
                raise ApiError(text, status=401, code=str(reason))
            retry_after = (one.fields.get("retry_after_ms") or 0) / 1000
            return ConnectionLost(
                f"Relay closed the stream: {reason}",
                retry_after + random.uniform(0, RECONNECT_JITTER_SECONDS),
            )
    return None
