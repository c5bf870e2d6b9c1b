"""Refuse an SSE stream so that an EventSource comes back by itself.

An EventSource that meets any status but 200 is closed for good (HTML, section 9.2.3). So a refusal
that passes by itself is a short stream: `retry` with the pause, and the `close` message. Metrics
and the access log keep the problem's status.
"""

import random

from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_accept_header

from relay.errors import Problem
from relay.media_types import EVENT_STREAM
from relay.realtime.close_codes import close_for
from relay.realtime.encoding import control_json, sse_control
from relay.realtime.sse import HEADERS
from relay.web.answers import Answer
from relay.web.problem_responses import problem_answer
from relay.web.request import HTTPRequest
from relay.web.scope_keys import STATUS

PASSING_STATUSES = frozenset({429, 503})  # the same request succeeds later, with no change
MAX_SPREAD = 1.5  # times the pause: the readers of an outage do not come back together


def comes_back_by_itself(problem: Problem, request: HTTPRequest) -> bool:
    """Whether the client is to reconnect: the problem passes, and `Accept` names event streams.

    `*/*` does not count: curl and programs that check the status get the status.
    """
    if problem.status not in PASSING_STATUSES or request.method != "GET":
        return False
    accepted = parse_accept_header(request.headers.get("Accept"), MIMEAccept)
    return any(
        name.partition(";")[0].strip().lower() == EVENT_STREAM and quality > 0
        for name, quality in accepted
    )


async def refused_stream_answer(problem: Problem, request: HTTPRequest) -> Answer:
    """200 with `retry: <ms>` and `event: close`. The status stays the problem's for the metrics."""
    await problem_answer(problem, request)  # counts and logs the problem, and slows floods
    request.scope[STATUS] = problem.status
    close = close_for(problem)
    advised = 1000 * int(problem.headers.get("Retry-After", 0))
    pause = round(max(advised, close.retry_after_ms or 0) * random.uniform(1, MAX_SPREAD))
    message = control_json(
        "close", {"code": close.code, "reason": problem.code, "retry_after_ms": pause}
    )
    body = b"retry: %d\n%s" % (pause, sse_control("close", message, None))
    return Answer(200, [*HEADERS, (b"content-length", b"%d" % len(body))], body)
