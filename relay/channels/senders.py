"""Sends the notifications of the outbox: each process takes some of those that are due.

One that is taken belongs to its sender for `LEASE_SECONDS`. A process that ends meanwhile leaves it
to be taken again then, so it may be sent twice, and is never lost. What became of those that were
sent is written in batches.
"""

from collections import Counter
from collections.abc import Iterable
from datetime import timedelta
from uuid import UUID

import structlog
import trio

from relay.channels.attempts import Attempts
from relay.channels.database_failures import database_failures
from relay.channels.kinds.base import KindContext
from relay.db.notifications import (
    MAX_READIED,
    Finished,
    TakenNotification,
    finish_notifications,
    give_back,
    ready_notifications,
    take_notifications,
)
from relay.db.outbox import Outbox
from relay.db.pool import DATABASE_ERRORS, Database
from relay.db.receivers import last_in_turn

SENT_AT_ONCE = 64  # by one process
SENT_AT_ONCE_OF_USER = 8  # a receiver that hangs takes no more than these
SENT_AT_ONCE_OF_CHANNEL = 4
LEASE_SECONDS = 60.0  # several times what one attempt takes
LOOK_SECONDS = 1.0  # between two looks for what other processes made, and for what is due by now
GATHER_SECONDS = 0.01  # between two looks: one takes what came in between, and costs some 3 ms
RETRY_SECONDS = 0.5  # after the database did not answer
LAST_WORDS_SECONDS = 1.0  # at the end, to write what became of the last ones

log = structlog.get_logger("relay.channels")


class Senders:
    """Sends due notifications while `run` runs."""

    def __init__(self, database: Database, outbox: Outbox, context: KindContext) -> None:
        self._database = database
        self._outbox = outbox
        self._calls = context.outbound
        self._attempts = Attempts(context)
        self._lease = timedelta(seconds=LEASE_SECONDS)
        self._taken: dict[tuple[UUID, int], TakenNotification] = {}
        self._last_host = ""  # that had its turn: the one after it comes next
        self._finished: list[Finished] = []
        self._has_finished = trio.Event()

    async def run(self) -> None:
        """Send until cancelled. What was not sent by then is left to other processes."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write_results)
                nursery.start_soon(self._ready_due)
                nursery.start_soon(self._close_expired)
                await self._send_due(nursery)
        finally:
            await self._leave()

    async def _send_due(self, nursery: trio.Nursery) -> None:
        failures = database_failures()
        while True:
            failures.begin_attempt()
            free = SENT_AT_ONCE - len(self._taken)
            try:
                taken = await self._take(free) if free else []
            except DATABASE_ERRORS as error:
                failures.note(error)
                await trio.sleep(RETRY_SECONDS)
                continue
            for one in taken:
                # it is there already if the database did not take its result within the lease
                if (one.user_id, one.position) not in self._taken:
                    self._taken[one.user_id, one.position] = one
                    nursery.start_soon(self._send, one)
            if not taken:
                await self._outbox.wait(LOOK_SECONDS)
            await trio.sleep(GATHER_SECONDS)

    async def _ready_due(self) -> None:
        """Have looked at what is due by now: after a failure, over a rate, left by a process."""
        failures = database_failures()
        while True:
            count = 0
            with failures.attempt():
                count = await ready_notifications(self._database)
            if count:
                self._outbox.wake()
            if count < MAX_READIED:
                await trio.sleep(LOOK_SECONDS)

    async def _close_expired(self) -> None:
        """Close connections to receivers that nothing more is sent to."""
        while True:
            await trio.sleep(LOOK_SECONDS)
            await self._calls.close_expired()

    async def _take(self, at_most: int) -> list[TakenNotification]:
        taken = await take_notifications(
            self._database,
            at_most=at_most,
            of_user=SENT_AT_ONCE_OF_USER,
            of_channel=SENT_AT_ONCE_OF_CHANNEL,
            users=Counter(one.user_id for one in self._taken.values()),
            channels=Counter(one.channel_id for one in self._taken.values()),
            lease=self._lease,
            receivers=self._outbox.receivers,
            after_host=self._last_host,
        )
        self._last_host = last_in_turn(self._last_host, {one.host for one in taken})
        return taken

    async def _send(self, taken: TakenNotification) -> None:
        self._finished.append(await self._attempts.attempt(taken))
        self._has_finished.set()

    async def _write_results(self) -> None:
        failures = database_failures()
        while True:
            await self._has_finished.wait()
            self._has_finished = trio.Event()
            failures.begin_attempt()
            try:
                await self._write_finished()
            except DATABASE_ERRORS as error:
                failures.note(error)
                await trio.sleep(RETRY_SECONDS)
                self._has_finished.set()
            self._outbox.wake()  # the next one of a task may be sent now, and there is room

    async def _write_finished(self) -> None:
        """Write what became of those that are finished. Those that are not written stay."""
        some = self._finished[:]
        if some:
            await finish_notifications(self._database, some, self._outbox.bounds)
            del self._finished[: len(some)]
            self._forget(some)

    def _forget(self, finished: Iterable[Finished]) -> None:
        for one in finished:
            del self._taken[one.user_id, one.position]

    async def _leave(self) -> None:
        """Write the last results, and give back what is not sent."""
        with trio.move_on_after(LAST_WORDS_SECONDS, shield=True):
            try:
                await self._write_finished()
                if self._taken:
                    await give_back(self._database, list(self._taken))
            except DATABASE_ERRORS as error:
                log.debug("notifications_left", error=type(error).__name__)
