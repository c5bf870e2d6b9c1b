"""Posts events to Relay and interprets the answers."""

from collections.abc import Sequence
from typing import Any

import httpx
import msgspec

from relay.client.answers import (
    INVALID_EVENT_CODES,
    Problem,
    foreign_text,
    may_succeed_later,
    read_object,
    read_problem,
    read_retry_after,
)
from relay.client.connection_failure import failure_text, is_foreign, no_answer_text
from relay.client.credentials import Credentials
from relay.client.http_answer import HttpAnswer
from relay.client.http_client import exchange, open_http
from relay.client.post_answers import Answer, NotRelay, Refused, RetryLater, Stored
from relay.client.quota import Quota, read_quota
from relay.client.refused_token import what_to_do
from relay.media_types import JSON, NDJSON

ANSWER_TIMEOUT_SECONDS = 10.0  # Relay answers within 5, if only with an error


class EventReceipt(msgspec.Struct):
    """The fields by which the receipt of one event is recognized; it may have more."""

    id: str
    seq: int
    duplicate: bool


class BatchReceipt(msgspec.Struct):
    """The fields by which the receipt of a batch is recognized; it may have more."""

    accepted: int
    duplicates: int
    first_seq: int | None
    last_seq: int | None


class BeatReceipt(msgspec.Struct):
    """The field by which the answer to a beat is recognized."""

    stop: list[str]


class EventPoster:
    """A connection for posting events. A context manager, for one thread."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self.quota: Quota | None = None  # of the last answer
        self._http = open_http(credentials.url, credentials.token, ANSWER_TIMEOUT_SECONDS)

    def __enter__(self) -> "EventPoster":
        return self

    def __exit__(self, *exception: object) -> None:
        self._http.close()

    def one(self, line: bytes) -> Answer:
        """Post one event. Its receipt has its `id`, `seq` and `duplicate`."""
        answer = self._post(line, JSON)
        if not isinstance(answer, HttpAnswer):
            return answer
        receipt = _read_receipt(answer, EventReceipt)
        return _interpret(answer, self._credentials) if receipt is None else Stored(receipt)

    def many(self, lines: Sequence[bytes]) -> Answer:
        """Post a batch. Its receipt counts each line, as accepted or as a duplicate."""
        answer = self._post(b"".join(lines), NDJSON)
        if not isinstance(answer, HttpAnswer):
            return answer
        receipt = _read_receipt(answer, BatchReceipt)
        if receipt is None or receipt["accepted"] + receipt["duplicates"] != len(lines):
            return _interpret(answer, self._credentials)
        return Stored(receipt)

    def beat(self, task_ids: Sequence[str], *, wait: int = 0) -> Answer:
        """Say that these tasks are alive. The receipt has the tasks to `stop`.

        With `wait`, the answer comes when one of them should stop, or after so many seconds.
        """
        beat: dict[str, Any] = {"task_ids": task_ids} | ({"wait_s": wait} if wait else {})
        body = msgspec.json.encode(beat)
        answer = self._post(body, JSON, "/api/tasks/beat")
        if not isinstance(answer, HttpAnswer):
            return answer
        receipt = _read_receipt(answer, BeatReceipt)
        return _interpret(answer, self._credentials) if receipt is None else Stored(receipt)

    def _post(
        self, body: bytes, content_type: str, path: str = "/api/webhook/cli"
    ) -> HttpAnswer | RetryLater | NotRelay | Refused:
        url = self._credentials.url
        headers = {"Content-Type": content_type}
        self.quota = None
        try:
            request = self._http.build_request(
                "POST", f"{url}{path}", content=body, headers=headers
            )
            answer = exchange(self._http, request, url, ANSWER_TIMEOUT_SECONDS)
        except httpx.HTTPError as error:
            why = no_answer_text(url, error)
            return NotRelay(0, why) if is_foreign(error) else RetryLater(why)
        except httpx.InvalidURL as error:
            return Refused("invalid_url", f"{url}: {failure_text(error)}")
        self.quota = read_quota(answer.status, answer.headers)
        return answer


def _read_receipt(answer: HttpAnswer, kind: type[msgspec.Struct]) -> dict[str, Any] | None:
    """All fields of a receipt; None if it lacks one of its kind."""
    receipt = read_object(answer)
    try:
        msgspec.convert(receipt, kind)
    except msgspec.ValidationError:
        return None
    return receipt


def _interpret(answer: HttpAnswer, found: Credentials) -> RetryLater | NotRelay | Refused:
    """What an answer means that is not a receipt."""
    problem = read_problem(answer)
    if may_succeed_later(answer.status):
        why = foreign_text(answer) if problem is None else f"Relay answered: {problem}"
        return RetryLater(why, read_retry_after(answer))
    if problem is None:
        return NotRelay(answer.status, foreign_text(answer))
    return Refused(problem.code, _advice(problem, found))


def _advice(problem: Problem, found: Credentials) -> str:
    """What was refused, and what to do."""
    if problem.status == 401:
        return f"Relay refused the token: {problem} {what_to_do(problem.code, found)}"
    if problem.status == 403:
        return f"Relay refused the token: {problem}"
    if problem.code in INVALID_EVENT_CODES:
        return f"Relay refused this event: {problem}"
    return f"there is no Relay at this address: {problem}"
