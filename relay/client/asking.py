"""Relay's calls besides ingestion: one question, one answer, and refusals in Relay's own words."""

from typing import Any

import httpx
import msgspec

from relay.client.http import open_http
from relay.client.posting import asked_to_wait, told

ANSWER = 15.0  # seconds; Relay answers within 5 or says that it cannot


class Refused(Exception):
    """Relay says no; the message is its own. `status` is 0 where no Relay answered."""

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
        """Whether the same may be taken later."""
        return self.status in (0, 408, 429) or self.status >= 500


class Asking:
    """A connection to one Relay, as whoever the token says. A context manager; for one thread."""

    def __init__(self, url: str, token: str | None = None) -> None:
        self.url = url
        self._http = open_http(url, token, ANSWER)

    def __enter__(self) -> "Asking":
        return self

    def __exit__(self, *exception: object) -> None:
        self._http.close()

    def ask(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """The answer's fields; empty for an answer without a body. Raises Refused."""
        content = None if body is None else msgspec.json.encode(body)
        sent = {} if body is None else {"Content-Type": "application/json"}
        try:
            answer = self._http.request(method, self.url + path, content=content, headers=sent)
        except httpx.HTTPError as error:
            raise away(self.url, error) from error
        self._http.cookies.clear()  # who we are is the token's to say
        if not answer.is_success:
            raise refusal(answer)
        if answer.status_code == 204:
            return {}
        try:
            return msgspec.json.decode(answer.content, type=dict[str, Any])
        except msgspec.MsgspecError:
            raise Refused(f"{self.url} is no Relay: it answers otherwise", status=200) from None


def away(url: str, error: httpx.HTTPError) -> Refused:
    words = str(error) or type(error).__name__
    return Refused(f"{url} does not answer ({words})", status=0)


def refusal(answer: httpx.Response) -> Refused:
    """What Relay says, and its code where there is a problem document."""
    try:
        code = msgspec.json.decode(answer.content, type=dict[str, Any]).get("code", "")
    except msgspec.MsgspecError:
        code = ""
    status = answer.status_code
    return Refused(told(answer), status=status, code=str(code), after=asked_to_wait(answer))
