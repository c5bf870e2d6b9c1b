"""Calls of Relay's API besides ingestion, and its refusals as exceptions."""

from typing import Any

import httpx
import msgspec

from relay.client.http import open_http
from relay.client.posting import asked_to_wait, problem_of, told

ANSWER = 15.0  # Relay answers within 5, if only with an error


class Refused(Exception):
    """Relay refused a call; the message is Relay's. `status` is 0 if there was no answer."""

    def __init__(
        self, message: str, *, status: int, code: str = "", after: float | None = None
    ) -> None:
        """`after` is how many seconds Relay asks to wait."""
        super().__init__(message)
        self.after = after
        self.status = status
        self.code = code

    @property
    def of_the_credential(self) -> bool:
        return self.status in (401, 403)

    @property
    def for_now(self) -> bool:
        """Whether the same call may succeed later."""
        return self.status in (0, 408, 429) or self.status >= 500


class Asking:
    """A connection to one Relay, with one token. A context manager, for one thread."""

    def __init__(self, url: str, token: str | None = None) -> None:
        self.url = url
        self._http = open_http(url, token, ANSWER)

    def __enter__(self) -> "Asking":
        return self

    def __exit__(self, *exception: object) -> None:
        self._http.close()

    def ask(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """Call the API; returns the answer's fields, empty if it has no body. Raises `Refused`."""
        content = None if body is None else msgspec.json.encode(body)
        sent = {} if body is None else {"Content-Type": "application/json"}
        try:
            answer = self._http.request(method, self.url + path, content=content, headers=sent)
        except httpx.HTTPError as error:
            raise away(self.url, error) from error
        self._http.cookies.clear()  # the token alone identifies us
        if not answer.is_success:
            raise refusal(answer)
        if answer.status_code == 204:
            return {}
        try:
            return msgspec.json.decode(answer.content, type=dict[str, Any])
        except msgspec.MsgspecError:
            raise Refused(f"{self.url} is not a Relay: unexpected answer", status=200) from None


def away(url: str, error: httpx.HTTPError) -> Refused:
    words = str(error) or type(error).__name__
    return Refused(f"{url} does not answer ({words})", status=0)


def refusal(answer: httpx.Response) -> Refused:
    """The exception for an answer, with the code of its problem document."""
    code = str(problem_of(answer).get("code", ""))
    return Refused(told(answer), status=answer.status_code, code=code, after=asked_to_wait(answer))
