"""Posts a notification by HTTP: what kinds that call an address of a service share."""

from collections.abc import Callable, Mapping

from relay.channels.kinds.base import KindContext, Outcome, Retry
from relay.channels.outbound_answer import OutboundAnswer, OutboundFailed

JSON_HEADERS = {"content-type": "application/json"}
REFUSED = (400, 401, 403, 404, 405, 413, 415, 422)
"""What a service answers to what it will not take a minute later either."""


async def post(
    context: KindContext,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    outcome: Callable[[OutboundAnswer], Outcome],
) -> Outcome:
    """Post once. `outcome` reads the answer; without an answer it is tried again."""
    try:
        return outcome(await context.outbound.post(url, headers, body))
    except OutboundFailed as failure:
        return Retry(str(failure))
