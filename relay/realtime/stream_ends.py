"""Ends all streams of a process at once: when it drains, and when it is blind.

A process is blind when it has not learned of revocations for `RELAY_STREAM_BLIND` seconds. Its
streams come back with their cursor, on a process that reaches the database.
"""

import random

import structlog
import trio

from relay.auth.revocations import RevocationKnowledge
from relay.realtime.close_codes import Close
from relay.realtime.hub import Hub
from relay.realtime.inbox import Inbox

SPREAD_SECONDS = 1.0  # streams end spread over this, so that clients reconnect spread
# Before the streams of a blind process end. A process that was stopped and continues is not
# blind: its next poll has an answer within this time.
POLL_GRACE_SECONDS = 1.0
RECHECK_SECONDS = 1.0  # a stream that was being opened may come after the others have ended

log = structlog.get_logger("relay.stream")


async def end_spread(inboxes: list[Inbox], close: Close) -> None:
    """End these streams in a random order, spread over `SPREAD_SECONDS`."""
    random.shuffle(inboxes)
    for inbox in inboxes:
        inbox.end(close)
        await trio.sleep(SPREAD_SECONDS / len(inboxes))


async def end_blind_streams(hub: Hub, revocations: RevocationKnowledge, after: float) -> None:
    """End all streams when revocations are unknown for `after` seconds. Never returns."""
    before = after - POLL_GRACE_SECONDS - SPREAD_SECONDS
    while True:
        await trio.sleep_until(revocations.complete_until + before)
        with trio.move_on_after(POLL_GRACE_SECONDS):
            while trio.current_time() >= revocations.complete_until + before:
                await revocations.wait_for_poll()
            continue
        if inboxes := hub.inboxes():
            log.warning("streams_blind", streams=len(inboxes))
            await end_spread(inboxes, Close.BLIND)
        await trio.sleep(RECHECK_SECONDS)
