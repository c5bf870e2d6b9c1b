"""The life of one stream connection, top to bottom. WebSocket and SSE differ in transport only.

A connection is a cursor that moves along the log. Live delivery saves the read from the database.
The inbox subscribes before history is read, so no event is missed between the two. Whatever the
inbox does not hold (the start, a hole in seq, an overflow) is read from the journal.
"""

import logging
import random
import time
from dataclasses import dataclass

import structlog
import trio
from msgspec import UNSET

from relay.auth.credentials import Credential
from relay.auth.tokens import Kind
from relay.db.heads import Heads
from relay.db.journal import Journal
from relay.db.pool import UNANSWERED
from relay.errors import InvalidToken, Problem
from relay.observability import metrics
from relay.observability.logs import know
from relay.realtime.close_codes import Close, close_for
from relay.realtime.delivery import observe_delivery
from relay.realtime.encoding import Frame
from relay.realtime.event_range import Stretch
from relay.realtime.inbox import Inbox
from relay.realtime.resume import Gap, Position, Start, locate
from relay.realtime.transport import Door

GOODBYE = 0.4  # short: a revoked stream is over within one second
AGES = 0.2  # a share of `max_age`: streams opened together end at different times
CLOSE_HANDSHAKE = 2.0  # for the client's answer to a WebSocket close
FIRST_PAUSE = 0.1  # after a read that the database did not answer; doubled each time
LONGEST_PAUSE = 1.0

_NAME = "relay.stream"
_level_of = logging.getLogger(_NAME)
log = structlog.get_logger(_NAME)


@dataclass(frozen=True, slots=True)
class Viewer:
    """The reader's credential, and how many seconds its stream may last (None: no bound)."""

    credential: Credential
    max_age: float | None

    def ending(self, now: float) -> tuple[float, Close]:
        """Seconds until this stream ends at the latest, and the reason."""
        # An open stream is a use of its session, so the session is extended while it is open.
        session = self.credential.kind is Kind.SESSION
        ends_at = self.credential.ends_at if session else self.credential.expires_at
        expires_in = ends_at - now
        if self.max_age is not None:
            age = self.max_age * random.uniform(1 - AGES, 1)
            if age < expires_in:
                return age, Close.MAX_AGE
        return expires_in, Close.EXPIRED


async def find_start(inbox: Inbox, start: Start, heads: Heads) -> Position:
    """Look up where the inbox's reader starts.

    An event that is offered to the inbox meanwhile is not missed: it makes the inbox BEHIND.
    Raises InvalidToken when the user no longer exists, DatabaseAway.
    """
    return locate(start, await heads.head(inbox.user_id))


async def run_connection(
    door: Door, inbox: Inbox, viewer: Viewer, position: Position, journal: Journal
) -> None:
    """Serve an accepted stream from `position` until it ends, then send the client the reason."""
    inbox.start(position.epoch, position.seq, position.last)
    know(transport=door.name)
    if _level_of.isEnabledFor(logging.DEBUG):  # cheaper than binding a structlog logger
        log.debug("stream_opened", outcome=position.outcome)
    metrics.connected_sockets.labels(door.name).inc()
    metrics.resumes.labels(position.outcome).inc()
    closing = Close.GONE  # stays when the client disconnects or this task is cancelled
    try:
        closing = await _live(door, inbox, viewer, position, journal)
    finally:
        if closing is Close.GONE:
            closing = door.cut()
        metrics.connected_sockets.labels(door.name).dec()
        _ended(closing, closing.reason)
        if closing in (Close.REVOKED, Close.EXPIRED):
            metrics.streams_cut.labels(closing.reason).inc()
    if closing not in (Close.GONE, Close.STALLED):
        await _say_goodbye(door, closing)


async def _live(
    door: Door, inbox: Inbox, viewer: Viewer, position: Position, journal: Journal
) -> Close:
    """Stream until there is a reason to end, and return that reason."""
    seconds, at_last = viewer.ending(time.time())
    try:
        async with trio.open_nursery() as nursery:
            nursery.cancel_scope.deadline = trio.current_time() + seconds
            inbox.live_in(nursery.cancel_scope)  # `inbox.end` cancels it
            door.listen(inbox.end, nursery)
            await _greet(door, position, viewer)
            inbox.use_direct_write(door.direct)
            await _follow(door, inbox, journal)
    except* Exception:
        log.exception("stream_failed")
        at_last = Close.INTERNAL
    finally:
        inbox.end(at_last)  # no effect if it has ended: the first reason is kept
    return inbox.closing or at_last


async def _greet(door: Door, position: Position, viewer: Viewer) -> None:
    await door.control(
        "hello",
        cursor=position.cursor,
        resumed=position.resumed,
        reason=UNSET if position.reason is None else position.reason,
        oldest=position.oldest,
        heartbeat_s=door.heartbeat,
        token_ttl_s=max(0, int(viewer.credential.expires_at - time.time())),
    )
    if position.gap is not None:
        await _tell_gap(door, position.epoch, position.gap)


async def _follow(door: Door, inbox: Inbox, journal: Journal) -> None:
    """Write events until cancelled: from the journal while behind, from the inbox while live."""
    while True:
        if inbox.behind:
            await _catch_up(door, inbox, journal)
        await _stay_alive(door, inbox)
        frames: list[Frame] = []
        with trio.move_on_at(min(door.next_beat(), door.idle_at())):
            frames = await inbox.take()
        if frames:
            texts = [frame.json for frame in frames]
            await _write(door, inbox, Stretch(inbox.epoch, frames[0].seq, texts))
            observe_delivery(frames[0].received_at)


async def _write(door: Door, inbox: Inbox, stretch: Stretch) -> None:
    """Write events in parts, with a heartbeat check after each: a slow client may take long."""
    for part in stretch.parts():
        await door.send(part)
        inbox.advance(part.last)
        await _stay_alive(door, inbox)


async def _stay_alive(door: Door, inbox: Inbox) -> None:
    """Send a heartbeat if one is due; end the stream if the client is idle."""
    now = trio.current_time()
    if now >= door.idle_at():
        await _end(inbox, Close.IDLE)
    elif now >= door.next_beat():
        await door.beat()


async def _catch_up(door: Door, inbox: Inbox, journal: Journal) -> None:
    """Read the journal from the position to its end, until the inbox is live."""
    pause = FIRST_PAUSE
    while not inbox.live:
        inbox.begin_read()  # from here on the inbox keeps events that the page does not have
        try:
            page = await journal.read(inbox.user_id, inbox.position)
        except UNANSWERED:
            # The stream stays open. The random pause keeps many readers from retrying together.
            inbox.fall_behind()
            await trio.sleep(pause * random.uniform(0.5, 1.5))
            await _stay_alive(door, inbox)
            pause = min(pause * 2, LONGEST_PAUSE)
            continue
        except InvalidToken:
            await _end(inbox, Close.UNAUTHORIZED)
            return
        pause = FIRST_PAUSE
        metrics.journal_reads.inc()
        if page.head.epoch != inbox.epoch:
            # A new epoch: the client's cursor does not match it.
            await _end(inbox, Close.RESTART)
            return
        if page.head.oldest > inbox.position + 1:
            gap = Gap(inbox.position + 1, page.head.oldest - 1)
            await _tell_gap(door, inbox.epoch, gap)
            inbox.advance(gap.last)
        if page.texts:
            await _write(door, inbox, Stretch(inbox.epoch, page.first, page.texts))
        if inbox.position >= page.head.last:
            inbox.finish_read()


async def _end(inbox: Inbox, close: Close) -> None:
    """End the stream from its own task: `inbox.end` cancels the scope that this runs in."""
    inbox.end(close)
    await trio.lowlevel.checkpoint()


async def _tell_gap(door: Door, epoch: str, gap: Gap) -> None:
    await door.control("gap", **{"from": gap.first}, to=gap.last, cursor=f"{epoch}.{gap.last}")


async def refuse(door: Door, problem: Problem) -> None:
    """Close a stream that was accepted only so that a browser can read why it is refused."""
    closing = close_for(problem)
    _ended(closing, problem.code)
    await _say_goodbye(door, closing, problem.code)


def _ended(closing: Close, reason: str) -> None:
    """Count the close, and add it to the request's access log line."""
    metrics.stream_closes.labels(str(closing.code)).inc()
    know(code=closing.code, reason=reason)


async def _say_goodbye(door: Door, closing: Close, reason: str | None = None) -> None:
    """Send the `close` message, then close; drop the connection of a client that stalls.

    The message repeats the close code because some proxies drop that.
    """
    with trio.move_on_after(GOODBYE) as scope:
        await door.control(
            "close",
            code=closing.code,
            reason=reason or closing.reason,
            retry_after_ms=closing.retry_after_ms,
        )
    if not scope.cancelled_caught:
        with trio.move_on_after(CLOSE_HANDSHAKE):
            await door.close(closing, reason or closing.reason)
            return
    door.cut()
