"""One's stream, read as long as one likes: across breaks, with nothing twice or missing.

Server-sent events over HTTP, resumed by cursor. Whoever reads slowly slows the reading, not the
memory: what is not read yet waits at the server.
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

SILENCE = 45.0  # seconds; Relay says something every fifteen
JITTER = 1.0  # seconds within which those that a restart cut off come back
LINE_MOST = 2**20  # bytes; the largest event has a tenth of that
ENDED = (4401, 4403)  # close codes after which this credential opens no stream


class Said(msgspec.Struct, frozen=True):
    """One message: an event, or a control by its name. `raw` is its JSON."""

    raw: bytes
    fields: dict[str, Any]
    control: str = ""  # hello, gap, close


class Break(msgspec.Struct, frozen=True):
    """The stream is cut, and tried again after `pause` seconds."""

    why: str
    pause: float


class Stream:
    """The stream of whom the credentials are."""

    def __init__(
        self, credentials: Credentials, start: Mapping[str, str], *, silence: float = SILENCE
    ) -> None:
        """`start` is where to begin, as the query says it: `after` or `last`.

        After `silence` seconds without a byte the connection is given up, and made again.
        """
        self._credentials = credentials
        self._silence = silence
        self._start = dict(start)
        self.cursor: str | None = None

    def read(self) -> Iterator[list[Said] | Break]:
        """What came at once, and breaks; without end.

        Raises Refused when there is no more, or when Relay was never reached.
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
                ending = ending or Break("the stream was cut", _pause(attempt))
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
                    raise Refused(f"{url} is no stream of Relay's", status=200)
                if said := [one for block in blocks if (one := self._said(block)) is not None]:
                    yield said

    def _said(self, block: bytes) -> Said | None:
        """A block's message; None for a heartbeat. Its id is the cursor from here on."""
        lines = block.split(b"\n")
        fields = {name: value for name, _, value in (line.partition(b": ") for line in lines)}
        if b"id" in fields:
            self.cursor = fields[b"id"].decode()
        if (raw := fields.get(b"data")) is None:
            return None
        try:
            decoded = msgspec.json.decode(raw, type=dict[str, Any])
        except msgspec.MsgspecError:
            raise Refused("what came is no event of Relay's", status=200) from None
        return Said(raw, decoded, fields.get(b"event", b"").decode())


def _ending(said: list[Said]) -> Break | None:
    """What a goodbye among them asks for. Raises Refused where there is no way back."""
    for one in said:
        if one.control == "close":
            code, reason = one.fields.get("code"), one.fields.get("reason")
            if code in ENDED:
                raise Refused(f"Relay closed the stream: {reason} ({code}).", status=401)
            after = (one.fields.get("retry_after_ms") or 0) / 1000
            return Break(f"Relay says goodbye: {reason}", after + random.uniform(0, JITTER))
    return None


def _pause(attempt: int) -> float:
    return min(PAUSE * 2.0 ** min(attempt, 16), LONGEST_PAUSE) * random.uniform(0.5, 1.0)
