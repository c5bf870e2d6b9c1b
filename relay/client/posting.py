"""Posts events to Relay and interprets the answers."""

import random
from collections.abc import Iterable
from typing import Any

import httpx
import msgspec

from relay.client.credentials import Credentials
from relay.client.http_client import open_http

ANSWER_TIMEOUT_SECONDS = 10.0  # Relay answers within 5, if only with an error
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.25, 15.0  # between attempts
LONGEST_RETRY_AFTER_SECONDS = 300.0  # a longer Retry-After is cut to this


class Stored(msgspec.Struct, frozen=True):
    """The events are stored. `receipt` is Relay's answer."""

    receipt: dict[str, Any]


class RetryLater(msgspec.Struct, frozen=True):
    """Relay did not answer, or is busy and asked for a pause of `retry_after` seconds."""

    why: str
    retry_after: float | None = None


class Refused(msgspec.Struct, frozen=True):
    """Relay refused the request: trying again does not help."""

    status: int
    why: str

    @property
    def is_authorization_error(self) -> bool:
        return self.status in (401, 403)

    @property
    def is_event_error(self) -> bool:
        return self.status in (400, 413, 422)


Answer = Stored | RetryLater | Refused


class EventPoster:
    """A connection for posting events. A context manager, for one thread."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._http = open_http(credentials.url, credentials.token, ANSWER_TIMEOUT_SECONDS)

    def __enter__(self) -> "EventPoster":
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
            return RetryLater(f"{self._credentials.url} does not answer ({_error_text(error)})")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return Refused(0, f"{self._credentials.url}: {_error_text(error)}")
        if response.status_code == 200:
            try:
                return Stored(msgspec.json.decode(response.content, type=dict[str, Any]))
            except msgspec.MsgspecError:
                return Refused(200, f"{self._credentials.url} is not a Relay: unexpected answer")
        if response.status_code in (408, 429) or response.status_code >= 500:
            return RetryLater(
                f"Relay answered: {problem_text(response)}", read_retry_after(response)
            )
        return Refused(response.status_code, _advice(response))


def pause_before(attempt: int, retry_after: float | None) -> float:
    """Seconds before the next attempt: the time Relay asked for, or doubled each time; jittered."""
    if retry_after is not None:
        return min(retry_after, LONGEST_RETRY_AFTER_SECONDS) + random.uniform(
            0, FIRST_PAUSE_SECONDS
        )
    return min(
        FIRST_PAUSE_SECONDS * 2.0 ** min(attempt, 16), LONGEST_PAUSE_SECONDS
    ) * random.uniform(0.5, 1.0)


def read_retry_after(response: httpx.Response) -> float | None:
    try:
        return max(0.0, float(response.headers["Retry-After"]))
    except (KeyError, ValueError):
        return None  # missing, or a date: the default pauses apply


def problem_text(response: httpx.Response) -> str:
    """The text of a problem document, or the status if there is none."""
    problem = problem_of(response)
    status = f"{response.status_code} {response.reason_phrase}".strip()
    detail = problem.get("detail") or problem.get("title") or status
    errors = problem.get("errors")
    named = [
        f"{error.get('where')}: {error.get('message')}"
        for error in (errors if isinstance(errors, list) else [])[:5]
        if isinstance(error, dict)
    ]
    return " ".join([str(detail), *filter(None, ["; ".join(named)])])


def problem_of(response: httpx.Response) -> dict[str, Any]:
    """The problem document of an answer (RFC 9457); empty if there is none."""
    try:
        return msgspec.json.decode(response.content, type=dict[str, Any])
    except msgspec.MsgspecError:
        return {}


def _advice(response: httpx.Response) -> str:
    """What was refused, and what to do."""
    status, why = response.status_code, problem_text(response)
    if status == 401:
        return f"Relay refused the token: {why} Run `relay login`, or set RELAY_TOKEN."
    if problem_of(response).get("code") == "insufficient_scope":
        return "This token is watch-only. Use one that can publish."
    if status == 403:
        return f"Relay refused the token: {why}"
    if status in (400, 413, 422):
        return f"Relay refused this event: {why}"
    return f"there is no Relay at this address: {why}"


def _error_text(error: Exception) -> str:
    return str(error) or type(error).__name__
