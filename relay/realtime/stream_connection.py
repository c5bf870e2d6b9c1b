"""The life of one stream connection, top to bottom. WebSocket and SSE differ in transport only.

A connection is a cursor that moves along the log. Live delivery saves the read from the database.
The inbox subscribes before history is read, so no event is missed between the two. Whatever the
inbox does not hold (the start, a hole in seq, an overflow) is read from the journal.
"""

import logging
import random
import time

import msgspec
import structlog
import trio
from msgspec import UNSET

from relay.auth.credentials import Credential
from relay.auth.revocations import RevocationKnowledge
from relay.auth.tokens import Kind
from relay.db.journal import Journal
from relay.db.pool import DATABASE_ERRORS
from relay.db.reader_turns import NO_TURN
from relay.db.stream_heads import HeadLookup
from relay.errors import Problem, UserGone
from relay.observability import metrics
from relay.observability.logs import extend_log_context
from relay.realtime.backplane import Backplane
from relay.realtime.close_codes import Close, close_for
from relay.realtime.delivery import observe_delivery
from relay.realtime.encoding import EncodedEvent
from relay.realtime.event_range import EventRange
from relay.realtime.inbox import Inbox
from relay.realtime.resume import Position, Start, TrimmedRange, locate
from relay.realtime.task_feeds import TaskFeed
from relay.realtime.transport import Transport

CLOSE_MESSAGE_TIMEOUT_SECONDS = 0.4  # short: a revoked stream is over within one second
MAX_AGE_JITTER = 0.2  # a share of `max_age`: streams opened together end at different times
CLOSE_HANDSHAKE_TIMEOUT_SECONDS = 2.0  # for the client's answer to a WebSocket close
MIN_RETRY_SECONDS = 0.1  # after a read without an answer or a turn; doubled each time
MAX_RETRY_SECONDS = 1.0

_LOGGER_NAME = "relay.stream"
_stdlib_logger = logging.getLogger(_LOGGER_NAME)
log = structlog.get_logger(_LOGGER_NAME)


class Viewer(msgspec.Struct, frozen=True):
    """The reader's credential, and how many seconds its stream may last (None: no bound).

    The reader is sent something only while `revocations` is current.
    """

    credential: Credential
    max_age: float | None
    revocations: RevocationKnowledge

    def compute_end(self, now: float) -> tuple[float, Close]:
        """Seconds until this stream ends at the latest, and the reason."""
        # An open stream is a use of its session, so the session is extended while it is open.
        session = self.credential.kind is Kind.SESSION
        ends_at = self.credential.ends_at if session else self.credential.expires_at
        expires_in = ends_at - now
        if self.max_age is not None:
            age = self.max_age * random.uniform(1 - MAX_AGE_JITTER, 1)
            if age < expires_in:
                return age, Close.MAX_AGE
        return expires_in, Close.EXPIRED


async def find_start(
    inbox: Inbox, start: Start, backplane: Backplane, heads: HeadLookup
) -> Position:
    """Have other processes' events of the user come here, and look up where the reader starts.

    In this order: what is stored after the look is announced here. An event that is offered to the
    inbox meanwhile is not missed: it makes the inbox BEHIND. Raises UserGone, DatabaseAway.
    """
    await backplane.attend(inbox.user_id)
    return locate(start, await heads.head(inbox.user_id))


async def run_connection(
    transport: Transport,
    inbox: Inbox,
    viewer: Viewer,
    position: Position,
    journal: Journal,
    feed: TaskFeed | None = None,
) -> None:
    """Serve an accepted stream from `position` until it ends, then send the client the reason.

    With a `feed` the client gets its tasks, too.
    """
    inbox.start(position.epoch, position.seq, position.last)
    extend_log_context(transport=transport.name)
    if _stdlib_logger.isEnabledFor(logging.DEBUG):  # cheaper than binding a structlog logger
        log.debug("stream_opened", outcome=position.outcome)
    metrics.connected_sockets.labels(transport.name).inc()
    metrics.resumes.labels(position.outcome).inc()
    closing = Close.GONE  # stays when the client disconnects or this task is cancelled
    try:
        closing = await _live(transport, inbox, viewer, position, journal, feed)
    finally:
        if closing is Close.GONE:
            closing = transport.abort()
        metrics.connected_sockets.labels(transport.name).dec()
        _record_close(closing, closing.reason)
        if closing in (Close.REVOKED, Close.EXPIRED):
            metrics.streams_cut.labels(closing.reason).inc()
    if closing not in (Close.GONE, Close.STALLED):
        await _send_close(transport, closing)


async def _live(
    transport: Transport,
    inbox: Inbox,
    viewer: Viewer,
    position: Position,
    journal: Journal,
    feed: TaskFeed | None,
) -> Close:
    """Stream until there is a reason to end, and return that reason."""
    seconds, fallback = viewer.compute_end(time.time())
    try:
        async with trio.open_nursery() as nursery:
            nursery.cancel_scope.deadline = trio.current_time() + seconds
            inbox.bind_scope(nursery.cancel_scope)  # `inbox.end` cancels it
            transport.listen(inbox.end, nursery)
            await _send_hello(transport, position, viewer)
            if feed is not None:
                await _send_snapshot(transport, inbox, viewer, feed)
            inbox.use_direct_write(transport.try_write)
            await _follow(transport, inbox, viewer, journal, feed)
    except* Exception:
        log.exception("stream_failed")
        fallback = Close.INTERNAL
    finally:
        inbox.end(fallback)  # no effect if it has ended: the first reason is kept
    return inbox.closing or fallback


async def _send_hello(transport: Transport, position: Position, viewer: Viewer) -> None:
    await transport.send_control(
        "hello",
        cursor=position.cursor,
        resumed=position.resumed,
        reason=UNSET if position.reason is None else position.reason,
        oldest=position.oldest,
        heartbeat_s=transport.heartbeat,
        token_ttl_s=max(0, int(viewer.credential.expires_at - time.time())),
    )
    if position.gap is not None:
        await _send_gap(transport, position.epoch, position.gap)


async def _send_snapshot(
    transport: Transport, inbox: Inbox, viewer: Viewer, feed: TaskFeed
) -> None:
    try:
        while messages := await feed.snapshot.next_messages():
            for message in messages:
                await _wait_until_current(transport, inbox, viewer)
                await transport.send_message("tasks", message)
    except UserGone:
        await _end_stream(inbox, Close.UNAUTHORIZED)


async def _send_tasks(transport: Transport, inbox: Inbox, viewer: Viewer, feed: TaskFeed) -> None:
    """Send the tasks that have changed, with the checks for each as in `_write`."""
    for message in feed.backlog.take_each():
        await _wait_until_current(transport, inbox, viewer)
        await transport.send_message("task", message)
        await _keep_alive(transport, inbox)


async def _follow(
    transport: Transport, inbox: Inbox, viewer: Viewer, journal: Journal, feed: TaskFeed | None
) -> None:
    """Write events until cancelled: from the journal while behind, from the inbox while live."""
    while True:
        if inbox.behind:
            await _catch_up(transport, inbox, viewer, journal)
        await _keep_alive(transport, inbox)
        if feed is not None and feed.backlog:  # once: events have their turn before the next
            await _send_tasks(transport, inbox, viewer, feed)
        events: list[EncodedEvent] = []
        with trio.move_on_at(min(transport.next_heartbeat_at(), transport.idle_deadline())):
            events = await inbox.take()
        if events:
            texts = [event.json for event in events]
            await _write(transport, inbox, viewer, EventRange(inbox.epoch, events[0].seq, texts))
            observe_delivery(events[0].received_at, journal.now())


async def _write(
    transport: Transport, inbox: Inbox, viewer: Viewer, event_range: EventRange
) -> None:
    """Write events in parts, with the checks again for each: a slow client may take long."""
    for part in event_range.parts():
        await _wait_until_current(transport, inbox, viewer)
        await transport.send(part)
        inbox.advance(part.last)
        await _keep_alive(transport, inbox)


async def _keep_alive(transport: Transport, inbox: Inbox) -> None:
    """Send a heartbeat if one is due; end the stream if the client is idle."""
    now = trio.current_time()
    if now >= transport.idle_deadline():
        await _end_stream(inbox, Close.IDLE)
    elif now >= transport.next_heartbeat_at():
        await transport.send_heartbeat()


async def _wait_until_current(transport: Transport, inbox: Inbox, viewer: Viewer) -> None:
    """Wait while this process may not know that the viewer's credential was revoked."""
    while not viewer.revocations.is_current:
        with trio.move_on_at(min(transport.next_heartbeat_at(), transport.idle_deadline())):
            await viewer.revocations.wait_for_poll()
        await _keep_alive(transport, inbox)


async def _catch_up(transport: Transport, inbox: Inbox, viewer: Viewer, journal: Journal) -> None:
    """Read the journal from the position to its end, until the inbox is live."""
    pause = MIN_RETRY_SECONDS
    while not inbox.live:
        await _wait_until_current(transport, inbox, viewer)  # without a page in memory
        inbox.begin_read()  # from here on the inbox keeps events that the page does not have
        try:
            page = await journal.read(inbox.user_id, inbox.position)
        except (*DATABASE_ERRORS, *NO_TURN):
            # The stream stays open. The random pause keeps many readers from retrying together.
            inbox.fall_behind()
            await trio.sleep(pause * random.uniform(0.5, 1.5))
            await _keep_alive(transport, inbox)
            pause = min(pause * 2, MAX_RETRY_SECONDS)
            continue
        except UserGone:
            await _end_stream(inbox, Close.UNAUTHORIZED)
            return
        pause = MIN_RETRY_SECONDS
        metrics.journal_reads.inc()
        await _wait_until_current(transport, inbox, viewer)
        if page.head.epoch != inbox.epoch:
            # A new epoch: the client's cursor does not match it.
            await _end_stream(inbox, Close.RESTART)
            return
        if page.head.oldest > inbox.position + 1:
            gap = TrimmedRange(inbox.position + 1, page.head.oldest - 1)
            await _send_gap(transport, inbox.epoch, gap)
            inbox.advance(gap.last)
        if page.texts:
            await _write(transport, inbox, viewer, EventRange(inbox.epoch, page.first, page.texts))
        if inbox.position >= page.head.last:
            inbox.finish_read()


async def _end_stream(inbox: Inbox, close: Close) -> None:
    """End the stream from its own task: `inbox.end` cancels the scope that this runs in."""
    inbox.end(close)
    await trio.lowlevel.checkpoint()


async def _send_gap(transport: Transport, epoch: str, gap: TrimmedRange) -> None:
    await transport.send_control(
        "gap", **{"from": gap.first}, to=gap.last, cursor=f"{epoch}.{gap.last}"
    )


async def refuse(transport: Transport, problem: Problem) -> None:
    """Close a stream that was accepted only so that a browser can read why it is refused."""
    closing = close_for(problem)
    _record_close(closing, problem.code)
    await _send_close(transport, closing, problem.code)


def _record_close(closing: Close, reason: str) -> None:
    """Count the close, and add it to the request's access log line."""
    metrics.stream_closes.labels(str(closing.code)).inc()
    extend_log_context(code=closing.code, reason=reason)


async def _send_close(transport: Transport, closing: Close, reason: str | None = None) -> None:
    """Send the `close` message, then close; drop the connection of a client that stalls.

    The message repeats the close code because some proxies drop that.
    """
    with trio.move_on_after(CLOSE_MESSAGE_TIMEOUT_SECONDS) as scope:
        await transport.send_control(
            "close",
            code=closing.code,
            reason=reason or closing.reason,
            retry_after_ms=closing.retry_after_ms,
        )
    if not scope.cancelled_caught:
        with trio.move_on_after(CLOSE_HANDSHAKE_TIMEOUT_SECONDS):
            await transport.close(closing, reason or closing.reason)
            return
    transport.abort()
