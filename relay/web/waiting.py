"""Calls that wait: for a bounded time, and no longer than the client is there."""

from relay.errors import BadRequest
from relay.realtime.wait import Wait
from relay.web.auth import check_again
from relay.web.middleware.access_log import WAITED
from relay.web.places import hold_places
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


async def wait_for(request: HTTPRequest, wait: Wait, seconds: float) -> None:
    """Wait, at most so long: until the client leaves or the process drains, too.

    The call counts as a live stream meanwhile. Raises TooManyConnections, ProcessFull, Draining;
    InvalidToken as soon as the credential is revoked.
    """
    hub, credential = request.services.hub, request.credential
    async with hold_places(request, hub, credential.user_id):
        with hub.hold_wait(credential.user_id, credential.id, request.address_block, wait):
            request.scope[WAITED] = True
            await wait.run(request.wait_for_disconnect, seconds)
    await check_again(request)
