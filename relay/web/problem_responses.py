"""Answers as bytes, whoever writes them: Quart's handlers, or the shortcut past them."""

from typing import NamedTuple

import msgspec
import trio

from relay.errors import MEDIA_TYPE, Problem, RateLimited, Unauthorized
from relay.media_types import JSON
from relay.observability import metrics
from relay.observability.logs import know
from relay.web.bearer_challenges import challenge

UNHURRIED = 0.25  # seconds before who came too fast hears so: a flood must not set the pace

Headers = list[tuple[bytes, bytes]]

_NO_STORE = (b"cache-control", b"no-store")


class Answer(NamedTuple):
    status: int
    headers: Headers
    body: bytes


def json_answer(body: msgspec.Struct) -> Answer:
    """200 with a JSON body that no cache keeps."""
    data = msgspec.json.encode(body)
    return Answer(200, _headers(JSON, data), data)


async def refusal(problem: Problem, request_id: str) -> Answer:
    """A problem as its document, counted; late where somebody came too fast."""
    metrics.problems.labels(problem.code).inc()
    know(problem=problem.code)
    if isinstance(problem, Unauthorized):
        reason = getattr(problem, "reason", "missing")
        metrics.auth_failures.labels(reason).inc()
        know(reason=reason)
    if isinstance(problem, RateLimited):
        await trio.sleep(UNHURRIED)
    body = problem.document(request_id)
    headers = _headers(MEDIA_TYPE, body)
    headers += [(name.lower().encode(), text.encode()) for name, text in problem.headers.items()]
    if (header := challenge(problem)) is not None:
        headers.append((b"www-authenticate", header.encode()))
    return Answer(problem.status, headers, body)


def _headers(media_type: str, body: bytes) -> Headers:
    return [
        (b"content-type", media_type.encode()),
        (b"content-length", b"%d" % len(body)),
        _NO_STORE,
    ]
