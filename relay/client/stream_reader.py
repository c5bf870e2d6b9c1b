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

from relay.client.api_client import ApiError, error_of_answer, no_answer_error
from relay.client.credentials import Credentials
from relay.client.http_client import open_http
from relay.client.posting import FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS

SILENCE_SECONDS = 45.0  # Relay sends a heartbeat every 15
RECONNECT_JITTER_SECONDS = 1.0  # spreads the clients that reconnect after a restart
MAX_BLOCK_BYTES = 2**20  # the largest event has a tenth of that
FINAL_CLOSE_CODES = (4401, 4403)  # close codes after which this credential opens no stream


class StreamMessage(msgspec.Struct, frozen=True):
    """A message: an event, or a control message with its name. `raw` is its JSON."""

    raw: bytes
    fields: dict[str, Any]
    control: str = ""  # hello, gap, close


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

        Raises `ApiError` if the stream is refused, or if the first connection fails.
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
                    if self.cursor is None:
                        raise no_answer_error(self._credentials.url, error) from error
                    lost = ConnectionLost(
                        str(no_answer_error(self._credentials.url, error)), _pause(attempt)
                    )
                except ApiError as error:
                    if self.cursor is None or not error.is_temporary:
                        raise
                    lost = ConnectionLost(str(error), error.retry_after or _pause(attempt))
                attempt += 1
                lost = lost or ConnectionLost("the connection was lost", _pause(attempt))
                yield lost
                time.sleep(lost.pause)

    def _connection(self, http: httpx.Client) -> Iterator[list[StreamMessage]]:
        url = f"{self._credentials.url}/api/sse"
        headers = {"Accept": "text/event-stream", "Accept-Encoding": "identity"}
        headers |= {} if self.cursor is None else {"Last-Event-ID": self.cursor}
        query = self._start if self.cursor is None else {}
        with http.stream("GET", url, params=query, headers=headers) as answer:
            if answer.status_code != 200:
                answer.read()
                raise error_of_answer(answer)
            rest = b""
            for chunk in answer.iter_raw():
                *blocks, rest = (rest + chunk).split(b"\n\n")
                if len(rest) > MAX_BLOCK_BYTES:
                    raise ApiError(f"{url} is not a stream of Relay", status=200)
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
        try:
            decoded = msgspec.json.decode(raw, type=dict[str, Any])
        except msgspec.MsgspecError:
            raise ApiError("unexpected data in the stream: is this a Relay?", status=200) from None
        return StreamMessage(raw, decoded, fields.get(b"event", b"").decode())


def _find_close(messages: list[StreamMessage]) -> ConnectionLost | None:
    """The break that a close message announces. Raises `ApiError` if it is final."""
    for one in messages:
        if one.control == "close":
            code, reason = one.fields.get("code"), one.fields.get("reason")
            if code in FINAL_CLOSE_CODES:
                raise ApiError(f"Relay closed the stream: {reason} ({code}).", status=401)
            retry_after = (one.fields.get("retry_after_ms") or 0) / 1000
            return ConnectionLost(
                f"Relay closed the stream: {reason}",
                retry_after + random.uniform(0, RECONNECT_JITTER_SECONDS),
            )
    return None


def _pause(attempt: int) -> float:
    return min(
        FIRST_PAUSE_SECONDS * 2.0 ** min(attempt, 16), LONGEST_PAUSE_SECONDS
    ) * random.uniform(0.5, 1.0)
