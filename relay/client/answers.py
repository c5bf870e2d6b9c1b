"""Tells Relay's answers from those of other programs.

At the address of a Relay, a proxy, a firewall, a login portal or another service may answer. Such
an answer decides nothing: it neither confirms an event nor refuses one for good. Relay's refusals
are problem documents (RFC 9457) whose type or code is one of Relay's; its confirmations are JSON
objects with the fields of the reference. What an answer says is shown without control characters.
"""

from typing import Any

import msgspec

from relay.client.http_answer import HttpAnswer
from relay.client.json_values import decode_any
from relay.client.plain_text import shown_text
from relay.client.retry_pauses import bounded
from relay.media_types import JSON, PROBLEM

PROBLEM_TYPE = "urn:relay:problem:"  # followed by the code; later versions may have more codes
# The codes that the client acts on. They count also without that type.
INVALID_EVENT_CODES = frozenset({"bad_request", "invalid", "payload_too_large"})
AUTHORIZATION_CODES = frozenset(
    {"unauthorized", "invalid_token", "bad_signature", "forbidden", "insufficient_scope"}
)
MAX_ERRORS_SHOWN = 5
BUSY_STATUSES = (408, 425, 429)  # the same request may succeed later; so may it after any 5xx

CHECK_ADDRESS = "Check the scheme, host and port of the address"
_CHECKS = {
    400: f"{CHECK_ADDRESS}: a port for https answers plain http like this.",
    401: "A proxy asks for credentials of its own.",
    403: "A proxy or firewall refuses the request.",
    407: "A proxy asks for credentials of its own.",
    413: "A proxy limits the size of requests: raise its limit to 1 MiB.",
}


class FieldError(msgspec.Struct):
    """A fault of the input: the field, and what is wrong with it."""

    where: str
    message: str


class Problem(msgspec.Struct):
    """A problem document of Relay's."""

    status: int
    code: str
    type: str = ""
    title: str = ""
    detail: str = ""
    errors: list[FieldError] = []

    @property
    def is_of_relay(self) -> bool:
        known = self.code in INVALID_EVENT_CODES or self.code in AUTHORIZATION_CODES
        return known or self.type.startswith(PROBLEM_TYPE)

    def __str__(self) -> str:
        named = "; ".join(f"{one.where}: {one.message}" for one in self.errors[:MAX_ERRORS_SHOWN])
        return shown_text(" ".join(filter(None, [self.detail or self.title or self.code, named])))


def read_problem(answer: HttpAnswer) -> Problem | None:
    """The problem document of an answer; None if the answer is not a refusal of Relay's."""
    if answer.media_type != PROBLEM or answer.encoding:
        return None
    try:
        problem = msgspec.json.decode(answer.body, type=Problem)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return problem if problem.is_of_relay and problem.status == answer.status else None


def read_object(answer: HttpAnswer) -> dict[str, Any] | None:
    """The JSON object of a successful answer; None if it is another answer."""
    if not 200 <= answer.status < 300 or answer.media_type != JSON:
        return None
    if answer.encoding:
        return None  # compressed, which was not asked for
    try:
        value = decode_any(answer.body)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def may_succeed_later(status: int) -> bool:
    """Whether the same request may succeed later. A server error passes, a refusal does not."""
    return status in BUSY_STATUSES or status >= 500


def foreign_text(answer: HttpAnswer) -> str:
    """What answered in place of Relay, and what to check."""
    kind = ", ".join(filter(None, [answer.media_type or "no Content-Type", answer.encoding]))
    what = shown_text(f"{answer.status_line} ({kind})")
    text = f"{answer.url} is not a Relay: it answered {what}."
    if 300 <= answer.status < 400 and (target := shown_text(answer.headers.get("location", ""))):
        return f"{text} It redirects to {target}: use that address."
    if answer.status >= 500:
        return f"{text} A proxy may answer while Relay is away."
    return f"{text} {_CHECKS.get(answer.status, f'{CHECK_ADDRESS}.')}"


def read_retry_after(answer: HttpAnswer) -> float | None:
    """The seconds of Retry-After, within bounds; None if it is missing or a date."""
    try:
        seconds = float(answer.headers["retry-after"])
    except (KeyError, ValueError):
        return None
    return bounded(seconds) if seconds < float("inf") else None
