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

from relay.client.asking import Refused, away, refusal
from relay.client.credentials import Credentials
from relay.client.http import open_http
from relay.client.posting import LONGEST_PAUSE, PAUSE

SILENCE = 45.0  # Relay sends a heartbeat every 15
JITTER = 1.0  # spreads the clients that reconnect after a restart
LINE_MOST = 2**20  # the largest event has a tenth of that
ENDED = (4401, 4403)  # close codes after which this credential opens no stream


class Said(msgspec.Struct, frozen=True):
    """A message: an event, or a control message with its name. `raw` is its JSON."""

    raw: bytes
    fields: dict[str, Any]
    control: str = ""  # hello, gap, close


class Break(msgspec.Struct, frozen=True):
    """The connection was lost. The next attempt is after `pause` seconds."""

    why: str
    pause: float


class Stream:
    """The stream of the credentials' user."""

    def __init__(
        self, credentials: Credentials, start: Mapping[str, str], *, silence: float = SILENCE
    ) -> None:
        """`start` is the query parameter of where to start, "after" or "last".

        After `silence` seconds without data the connection counts as lost.
        """
        self._credentials = credentials
        self._silence = silence
        self._start = dict(start)
        self.cursor: str | None = None

    def read(self) -> Iterator[list[Said] | Break]:
        """Yield messages that arrived together, and breaks, without end.

        Raises `Refused` if the stream is refused, or if the first connection fails.
        """
        attempt = 0
        with open_http(self._credentials.url, self._credentials.token, self._silence) as http:
            while True:
                ending: Break | None = None
                try:
                    for said in self._connection(http):
                        attempt = 0
                        yield said
                        ending = _ending(said) or ending
                except httpx.HTTPError as error:
                    if self.cursor is None:
                        raise away(self._credentials.url, error) from error
                    ending = Break(str(away(self._credentials.url, error)), _pause(attempt))
                except Refused as error:
                    if self.cursor is None or not error.for_now:
                        raise
                    ending = Break(str(error), error.after or _pause(attempt))
                attempt += 1
                ending = ending or Break("the connection was lost", _pause(attempt))
                yield ending
                time.sleep(ending.pause)

    def _connection(self, http: httpx.Client) -> Iterator[list[Said]]:
        url = f"{self._credentials.url}/api/sse"
        known = {"Accept": "text/event-stream", "Accept-Encoding": "identity"}
        known |= {} if self.cursor is None else {"Last-Event-ID": self.cursor}
        query = self._start if self.cursor is None else {}
        with http.stream("GET", url, params=query, headers=known) as answer:
            if answer.status_code != 200:
                answer.read()
                raise refusal(answer)
            rest = b""
            for chunk in answer.iter_raw():
                *blocks, rest = (rest + chunk).split(b"\n\n")
                if len(rest) > LINE_MOST:
                    raise Refused(f"{url} is not a stream of Relay", status=200)
                if said := [one for block in blocks if (one := self._said(block)) is not None]:
                    yield said

    def _said(self, block: bytes) -> Said | None:
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
            raise Refused("unexpected data in the stream: is this a Relay?", status=200) from None
        return Said(raw, decoded, fields.get(b"event", b"").decode())


def _ending(said: list[Said]) -> Break | None:
    """The break that a close message announces. Raises `Refused` if it is final."""
    for one in said:
        if one.control == "close":
            code, reason = one.fields.get("code"), one.fields.get("reason")
            if code in ENDED:
                raise Refused(f"Relay closed the stream: {reason} ({code}).", status=401)
            after = (one.fields.get("retry_after_ms") or 0) / 1000
            return Break(f"Relay closed the stream: {reason}", after + random.uniform(0, JITTER))
    return None


def _pause(attempt: int) -> float:
    return min(PAUSE * 2.0 ** min(attempt, 16), LONGEST_PAUSE) * random.uniform(0.5, 1.0)
