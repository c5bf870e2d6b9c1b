"""One request to Relay, and what its answer means to a producer."""

import random
from collections.abc import Iterable
from typing import Any

import httpx
import msgspec

from relay.client.credentials import Credentials
from relay.client.http import open_http

ANSWER = 10.0  # seconds; Relay answers within 5 or says that it cannot
PAUSE, LONGEST_PAUSE = 0.25, 15.0  # seconds between tries: the first, and what they grow to
LONGEST_WAIT = 300.0  # seconds; no server's Retry-After is believed beyond


class Stored(msgspec.Struct, frozen=True):
    """It is in the stream: the receipt."""

    receipt: dict[str, Any]


class Away(msgspec.Struct, frozen=True):
    """Not now: try again, and not before `after` seconds where Relay said so."""

    why: str
    after: float | None = None


class Refused(msgspec.Struct, frozen=True):
    """Not like this, however often it is tried. `status` is 401 or 403 for who asks."""

    status: int
    why: str

    @property
    def of_the_token(self) -> bool:
        return self.status in (401, 403)

    @property
    def of_the_events(self) -> bool:
        return self.status in (400, 413, 422)


Answer = Stored | Away | Refused


class Posting:
    """A connection to Relay's ingestion; for one thread. A context manager."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._http = open_http(credentials.url, credentials.token, ANSWER)

    def __enter__(self) -> "Posting":
        return self

    def __exit__(self, *exception: object) -> None:
        self._http.close()

    def one(self, line: bytes) -> Answer:
        return self._post(line, "application/json")

    def many(self, lines: Iterable[bytes]) -> Answer:
        return self._post(b"".join(lines), "application/x-ndjson")

    def _post(self, body: bytes, content_type: str) -> Answer:
        url = f"{self._credentials.url}/api/webhook/cli"
        try:
            response = self._http.post(url, content=body, headers={"Content-Type": content_type})
        except httpx.TransportError as error:
            return Away(f"{self._credentials.url} does not answer ({_words(error)})")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return Refused(0, f"{self._credentials.url}: {_words(error)}")
        if response.status_code == 200:
            try:
                return Stored(msgspec.json.decode(response.content, type=dict[str, Any]))
            except msgspec.MsgspecError:
                return Refused(200, f"{self._credentials.url} is no Relay: it answers otherwise")
        why = told(response)
        if response.status_code in (408, 429) or response.status_code >= 500:
            return Away(f"Relay says: {why}", asked_to_wait(response))
        return Refused(response.status_code, _advice(response.status_code, why))


def pause_before(attempt: int, after: float | None) -> float:
    """Seconds before the next try: what was asked for, or twice as long each time; with jitter."""
    if after is not None:
        return min(after, LONGEST_WAIT) + random.uniform(0, PAUSE)
    return min(PAUSE * 2.0 ** min(attempt, 16), LONGEST_PAUSE) * random.uniform(0.5, 1.0)


def asked_to_wait(response: httpx.Response) -> float | None:
    try:
        return max(0.0, float(response.headers["Retry-After"]))
    except (KeyError, ValueError):
        return None  # none, or a date: the pauses of our own will do


def told(response: httpx.Response) -> str:
    """What the problem document says, or the status alone where there is none."""
    fallback = f"{response.status_code} {response.reason_phrase}".strip()
    try:
        problem = msgspec.json.decode(response.content, type=dict[str, Any])
    except msgspec.MsgspecError:
        return fallback
    detail = problem.get("detail") or problem.get("title") or fallback
    errors = problem.get("errors")
    named = [
        f"{error.get('where')}: {error.get('message')}"
        for error in (errors if isinstance(errors, list) else [])[:5]
        if isinstance(error, dict)
    ]
    return " ".join([str(detail), *filter(None, ["; ".join(named)])])


def _advice(status: int, why: str) -> str:
    if status == 401:
        return f"Relay does not take the token: {why} Run `relay login`, or set RELAY_TOKEN."
    if status == 403:
        return (
            f"the token may not publish: {why} Use a hook token with the scope webhook or publish."
        )
    if status in (400, 413, 422):
        return f"Relay does not take this event: {why}"
    return f"there is no Relay at this address, or not the one expected: {why}"


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__
