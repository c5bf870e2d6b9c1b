"""Calls that wait: for a bounded time, and no longer than the client is there."""

from collections.abc import Awaitable, Callable
from typing import Any

import trio

from relay.errors import BadRequest
from relay.web.auth import check_again
from relay.web.middleware.access_log import WAITED
from relay.web.request import HTTPRequest

MAX_WAIT_SECONDS = 25  # below the 30 seconds after which common proxies give up


def read_wait(request: HTTPRequest) -> int:
    """The `wait_s` of the query; 0 if it is not given. Raises BadRequest."""
    text = request.args.get("wait_s")
    if text is None:
        return 0
    if not (
        text.isascii() and text.isdecimal() and len(text) <= 2 and int(text) <= MAX_WAIT_SECONDS
    ):
        raise BadRequest(f"`wait_s` must be a whole number from 0 to {MAX_WAIT_SECONDS}.")
    return int(text)


async def wait_for(request: HTTPRequest, over: trio.Event, seconds: float) -> None:
    """Wait for the event, at most so long: until the client leaves or the process drains, too.

    The call counts as a live stream meanwhile. Raises TooManyConnections, ProcessFull, Draining;
    InvalidToken when the credential was revoked meanwhile.
    """
    hub, user_id = request.services.hub, request.credential.user_id
    with hub.hold_wait(user_id, request.address_block) as drain_began:
        request.scope[WAITED] = True
        async with trio.open_nursery() as nursery:
            nursery.cancel_scope.deadline = trio.current_time() + seconds
            for wait in (request.wait_for_disconnect, drain_began.wait, over.wait):
                nursery.start_soon(_run_and_cancel, wait, nursery.cancel_scope)
    await check_again(request)


async def _run_and_cancel(wait: Callable[[], Awaitable[Any]], scope: trio.CancelScope) -> None:
    await wait()
    scope.cancel()
