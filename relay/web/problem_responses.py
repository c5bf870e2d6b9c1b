"""Turn problems and unexpected exceptions into answers."""

import structlog
import trio

from relay.db.reader_turns import UserTurnMissed
from relay.errors import Internal, InvalidToken, Problem, RateLimited, Unauthorized
from relay.media_types import PROBLEM
from relay.observability import metrics
from relay.observability.logs import extend_log_context
from relay.web.answers import Answer, data_headers
from relay.web.auth import is_from_cookie
from relay.web.bearer_challenges import challenge
from relay.web.cookies import delete_cookie
from relay.web.request import Request

RATE_LIMITED_DELAY_SECONDS = 0.25  # slows down clients that retry at once

log = structlog.get_logger("relay.app")


async def problem_answer(problem: Problem, request: Request) -> Answer:
    """The answer with the problem document. Counts the problem, and adds it to the log line.

    RateLimited is delayed by `RATE_LIMITED_DELAY_SECONDS`.
    """
    metrics.problems.labels(problem.code).inc()
    extend_log_context(problem=problem.code)
    if isinstance(problem, Unauthorized):
        reason = getattr(problem, "reason", "missing")
        metrics.auth_failures.labels(reason).inc()
        extend_log_context(reason=reason)
    if isinstance(problem, UserTurnMissed):
        metrics.rate_limited.labels("reads_at_once").inc()
        extend_log_context(limit="reads_at_once")
    if isinstance(problem, RateLimited):
        await trio.sleep(RATE_LIMITED_DELAY_SECONDS)
    body = problem.document(request.id)
    headers = data_headers(PROBLEM, body)
    headers += [(name.lower().encode(), text.encode()) for name, text in problem.headers.items()]
    if (header := challenge(problem)) is not None:
        headers.append((b"www-authenticate", header.encode()))
    if isinstance(problem, InvalidToken) and is_from_cookie(request):
        headers.append(delete_cookie(request))  # the page would go on sending it
    return Answer(problem.status, headers, body)


async def fault_answer(error: Exception, request: Request) -> Answer:
    """A 500 without details. They are in the log, under the answer's request id."""
    log.error("request_failed", exc_info=error)
    return await problem_answer(Internal(), request)
