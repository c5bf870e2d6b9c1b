"""Calls of Relay's API besides ingestion, and its refusals as exceptions."""

from typing import Any

import httpx
import msgspec

from relay.client.answers import (
    foreign_text,
    may_succeed_later,
    read_object,
    read_problem,
    read_retry_after,
)
from relay.client.connection_failure import is_foreign, no_answer_text
from relay.client.http_answer import HttpAnswer
from relay.client.http_client import exchange, open_http
from relay.media_types import JSON

ANSWER_TIMEOUT_SECONDS = 15.0  # Relay answers within 5, if only with an error


class ApiError(Exception):
    """A call failed. `status` is 0 if there was no HTTP answer.

    The message is Relay's, or describes another program's answer; then `code` is empty.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        code: str = "",
        retry_after: float | None = None,
        is_foreign: bool = False,
    ) -> None:
        """`retry_after` is how many seconds Relay asks to wait.

        `is_foreign`: another program answered, and not in HTTP.
        """
        super().__init__(message)
        self.retry_after = retry_after
        self.status = status
        self.code = code
        self._is_foreign = is_foreign

    @property
    def is_of_relay(self) -> bool:
        return bool(self.code)

    @property
    def is_authorization_error(self) -> bool:
        return self.is_refusal(401) or self.is_refusal(403)

    def is_refusal(self, status: int) -> bool:
        """Whether Relay, and no program in between, refused the call with this status."""
        return self.is_of_relay and self.status == status

    @property
    def is_temporary(self) -> bool:
        """Whether the same call may succeed later."""
        if self.status == 0:
            return not self._is_foreign
        return may_succeed_later(self.status)


class ApiClient:
    """A connection to one Relay, with one token. A context manager, for one thread."""

    def __init__(self, url: str, token: str | None = None, *, timeout: float | None = None) -> None:
        """An answer has to come whole within `timeout` seconds, or ANSWER_TIMEOUT_SECONDS."""
        self.url = url
        self._timeout = ANSWER_TIMEOUT_SECONDS if timeout is None else timeout
        self._http = open_http(url, token, self._timeout)

    def __enter__(self) -> "ApiClient":
        return self

    def __exit__(self, *exception: object) -> None:
        self._http.close()

    def call(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """Call the API; returns the answer's fields. Raises `ApiError`.

        There are none after a DELETE that was answered without a body.
        """
        content = None if body is None else msgspec.json.encode(body)
        sent = {} if body is None else {"Content-Type": JSON}
        try:
            request = self._http.build_request(
                method, self.url + path, content=content, headers=sent
            )
            answer = exchange(self._http, request, self.url, self._timeout)
        except httpx.HTTPError as error:
            raise no_answer_error(self.url, error) from error
        if answer.status == 204 and method == "DELETE":
            return {}
        if (fields := read_object(answer)) is None:
            raise error_of_answer(answer)
        return fields


def no_answer_error(url: str, error: httpx.HTTPError) -> ApiError:
    return ApiError(no_answer_text(url, error), status=0, is_foreign=is_foreign(error))


def error_of_answer(answer: HttpAnswer) -> ApiError:
    """The exception for an answer that is not the wanted one: a refusal, or another program's."""
    problem, retry_after = read_problem(answer), read_retry_after(answer)
    if problem is None:
        return ApiError(foreign_text(answer), status=answer.status, retry_after=retry_after)
    return ApiError(str(problem), status=answer.status, code=problem.code, retry_after=retry_after)
