"""Calls of Relay's API besides ingestion, and its refusals as exceptions."""

from typing import Any

import httpx
import msgspec

from relay.client.http_client import open_http
from relay.client.posting import problem_of, problem_text, read_retry_after

ANSWER_TIMEOUT_SECONDS = 15.0  # Relay answers within 5, if only with an error


class ApiError(Exception):
    """Relay refused a call; the message is Relay's. `status` is 0 if there was no answer."""

    def __init__(
        self, message: str, *, status: int, code: str = "", retry_after: float | None = None
    ) -> None:
        """`retry_after` is how many seconds Relay asks to wait."""
        super().__init__(message)
        self.retry_after = retry_after
        self.status = status
        self.code = code

    @property
    def is_authorization_error(self) -> bool:
        return self.status in (401, 403)

    @property
    def is_temporary(self) -> bool:
        """Whether the same call may succeed later."""
        return self.status in (0, 408, 429) or self.status >= 500


class ApiClient:
    """A connection to one Relay, with one token. A context manager, for one thread."""

    def __init__(self, url: str, token: str | None = None) -> None:
        self.url = url
        self._http = open_http(url, token, ANSWER_TIMEOUT_SECONDS)

    def __enter__(self) -> "ApiClient":
        return self

    def __exit__(self, *exception: object) -> None:
        self._http.close()

    def call(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """Call the API; returns the answer's fields, empty if it has no body. Raises `ApiError`."""
        content = None if body is None else msgspec.json.encode(body)
        sent = {} if body is None else {"Content-Type": "application/json"}
        try:
            answer = self._http.request(method, self.url + path, content=content, headers=sent)
        except httpx.HTTPError as error:
            raise no_answer_error(self.url, error) from error
        self._http.cookies.clear()  # the token alone identifies us
        if not answer.is_success:
            raise error_of_answer(answer)
        if answer.status_code == 204:
            return {}
        try:
            return msgspec.json.decode(answer.content, type=dict[str, Any])
        except msgspec.MsgspecError:
            raise ApiError(f"{self.url} is not a Relay: unexpected answer", status=200) from None


def no_answer_error(url: str, error: httpx.HTTPError) -> ApiError:
    words = str(error) or type(error).__name__
    return ApiError(f"{url} does not answer ({words})", status=0)


def error_of_answer(answer: httpx.Response) -> ApiError:
    """The exception for an answer, with the code of its problem document."""
    code = str(problem_of(answer).get("code", ""))
    return ApiError(
        problem_text(answer),
        status=answer.status_code,
        code=code,
        retry_after=read_retry_after(answer),
    )
