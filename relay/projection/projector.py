"""Folds committed events into the stored tasks, a few times a second, for many users at once.

Each process folds what it has committed. A round reads how far the tasks of its users hold, folds
the events after that, and writes the changed tasks in one statement. What another process has
stored in between is read from the journal. The statement leaves out users whose tasks have changed
since the round read them; the next round folds these anew. So no event is folded twice or left
out, however many processes there are, and whatever they were doing when they ended.
"""

from collections import deque
from collections.abc import Mapping
from itertools import islice
from uuid import UUID

import trio

from relay.db.outbox import Outbox
from relay.db.pool import DATABASE_ERRORS, Database, StatementFailed
from relay.db.projections import (
    Projected,
    select_behind,
    select_projected,
    select_unfolded,
    write_advances,
)
from relay.db.work_failures import WorkFailures
from relay.events import Event
from relay.observability import metrics
from relay.projection.folding import fold_histories
from relay.projection.pending_events import History, PendingEvents

INTERVAL_SECONDS = 0.5  # between the starts of two rounds: two statements that write a second
MAX_ROUNDS_PER_SECOND = 4  # while callers wait
CATCH_UP_SECONDS = 2.0  # that a reader of tasks waits for events that are not folded yet
RETRY_SECONDS = 0.5  # after a round that the database did not answer
REFUSED_SECONDS = 5.0  # after one that it refused: a person has to mend that
MAX_USERS = 1_000  # in one round
MAX_READ_EVENTS = 5_000  # that one round reads from the journal
MAX_READ_BYTES = 8 * 2**20


class Projector:
    """Keeps tasks up to date while `run` runs."""

    def __init__(self, database: Database, *, max_tasks: int, outbox: Outbox | None = None) -> None:
        self._database = database
        self._max_tasks = max_tasks
        self._outbox = outbox or Outbox()
        self._pending = PendingEvents()
        self._behind: dict[UUID, None] = {}  # users with events that are not folded, in turn
        self._unseen: set[UUID] = set()  # of these: a round under way may have looked too early
        self._waiting: dict[UUID, list[_Wait]] = {}
        self._woken = trio.Event()
        self._wanted = trio.Event()
        self._many = trio.Event()
        # when the latest rounds began
        self._rounds: deque[float] = deque([-INTERVAL_SECONDS], maxlen=MAX_ROUNDS_PER_SECOND)

    def offer(self, user_id: UUID, events: list[Event]) -> None:
        """Take a user's events that were just committed here, in seq order."""
        if not self._pending.add(user_id, events):
            metrics.projection_read_back.inc(len(events))
            self._unseen.add(user_id)
        if self._pending.has_many:
            self._many.set()
        self._note_behind(user_id)

    def recheck(self, user_id: UUID) -> None:
        """Look whether the user's tasks are up to date: events may be stored but not offered."""
        self._unseen.add(user_id)
        self._note_behind(user_id)

    def _note_behind(self, user_id: UUID) -> None:
        if user_id not in self._behind:
            self._behind[user_id] = None
            self._woken.set()

    async def catch_up(self, user_id: UUID, seq: int) -> None:
        """Wait until the user's tasks hold up to this seq, or the user no longer exists."""
        await self.catch_up_all({user_id: seq})

    async def catch_up_briefly(self, user_id: UUID, seq: int) -> None:
        """Like `catch_up`, for `CATCH_UP_SECONDS` at most: then tasks are read as they are."""
        with trio.move_on_after(CATCH_UP_SECONDS):
            await self.catch_up(user_id, seq)

    async def catch_up_all(self, seqs: Mapping[UUID, int]) -> None:
        """Like `catch_up`, for several users. Raises DatabaseAway.

        Tasks that hold so far already are not waited for.
        """
        behind = await self._select_behind(seqs)
        waits = {user_id: _Wait(seqs[user_id]) for user_id in behind}
        for user_id, wait in waits.items():
            self._waiting.setdefault(user_id, []).append(wait)
            self._behind.setdefault(user_id)
        if waits:
            self._woken.set()
            self._wanted.set()
        try:
            for wait in waits.values():
                await wait.done.wait()
        finally:
            for user_id, wait in waits.items():
                self._end_wait(user_id, wait)

    async def _select_behind(self, seqs: Mapping[UUID, int]) -> list[UUID]:
        """Those of the users whose tasks do not hold up to their seq yet."""
        unknown = [user_id for user_id in seqs if user_id not in self._behind]
        projected = await select_projected(self._database, unknown) if unknown else {}
        return [
            user_id
            for user_id, seq in seqs.items()
            if user_id in self._behind or (user_id in projected and projected[user_id].seq < seq)
        ]

    def _end_wait(self, user_id: UUID, wait: "_Wait") -> None:
        waits = self._waiting.get(user_id, [])
        if wait in waits:
            waits.remove(wait)
        if not waits:
            self._waiting.pop(user_id, None)

    async def keep_up(self, interval: float) -> None:
        """Look every `interval` seconds for events that no process has folded, until cancelled.

        They are those of a process that ended before its round, and of an older version.
        """
        failures = _failures()
        while True:
            with failures.attempt():
                for user_id in await select_behind(self._database, MAX_USERS):
                    self.recheck(user_id)
            await trio.sleep(interval)

    async def run(self) -> None:
        """Run rounds until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._join_many)
            await self._run_rounds()

    async def _join_many(self) -> None:
        """Join the events of busy users between rounds, so that they take little memory."""
        while True:
            await self._many.wait()
            self._many = trio.Event()
            while self._pending.has_many:
                self._pending.join_many()
                await trio.lowlevel.checkpoint()

    async def _run_rounds(self) -> None:
        failures = _failures()
        while True:
            await self._wait_for_work()
            failures.begin_attempt()
            self._rounds.append(trio.current_time())
            try:
                await self._run_round(self._take_turn())
            except DATABASE_ERRORS as error:
                failures.note(error)
                is_refusal = isinstance(error, StatementFailed)
                await trio.sleep(REFUSED_SECONDS if is_refusal else RETRY_SECONDS)
            metrics.projection_pending.set(self._pending.events)

    async def _wait_for_work(self) -> None:
        while not self._behind:
            self._woken = trio.Event()
            await self._woken.wait()
        self._wanted = trio.Event()
        if not self._waiting:
            with trio.move_on_at(self._rounds[-1] + INTERVAL_SECONDS):
                await self._wanted.wait()
        if len(self._rounds) == MAX_ROUNDS_PER_SECOND:
            await trio.sleep_until(self._rounds[0] + 1)

    def _take_turn(self) -> list[UUID]:
        """The users of the next round: those that are waited for, then those behind longest."""
        turn = dict.fromkeys(islice(self._waiting, MAX_USERS))
        turn.update(dict.fromkeys(islice(self._behind, MAX_USERS - len(turn))))
        self._unseen.difference_update(turn)
        return list(turn)

    async def _run_round(self, user_ids: list[UUID]) -> None:
        with metrics.projection_seconds.time():
            projected = await select_projected(self._database, user_ids)
            histories = await self._collect(projected)
            advances = await fold_histories(self._database, projected, histories)
            written = (
                await write_advances(
                    self._database, advances, max_tasks=self._max_tasks, bounds=self._outbox.bounds
                )
                if advances
                else {}
            )
        # what is made for a channel that is newer is found by the senders' next look
        if any(projected[one].is_notified and advances[one].noted for one in written):
            self._outbox.wake()
        metrics.projection_conflicts.inc(len(advances) - len(written))
        for user_id in user_ids:
            at = projected.get(user_id)
            if at is None:
                self._forget(user_id)
            elif user_id in written:
                metrics.projection_events.inc(advances[user_id].seq - at.seq)
                self._finish(user_id, advances[user_id].seq, at.last_seq)
            elif user_id not in advances:
                self._finish(user_id, at.seq, at.last_seq)

    async def _collect(self, projected: dict[UUID, Projected]) -> dict[UUID, History]:
        """The next events of each user: those kept in memory, or else from the journal."""
        found: dict[UUID, History] = {}
        unread: dict[UUID, int] = {}
        for user_id, at in projected.items():
            history = self._pending.take(user_id)
            if history is not None and history.first_seq == at.seq + 1:
                found[user_id] = history
                continue
            if history is not None and history.last_seq > at.last_seq:
                self._unseen.add(user_id)  # some of it was stored after this round had looked
            if at.last_seq > at.seq:
                unread[user_id] = at.seq
        if unread:
            events = await select_unfolded(
                self._database,
                unread,
                {user_id: projected[user_id].epoch for user_id in unread},
                max_events=MAX_READ_EVENTS,
                max_bytes=MAX_READ_BYTES,
            )
            for user_id, of_user in events.items():
                found[user_id] = History(of_user[0].seq, of_user[-1].seq, of_user)
        return found

    def _forget(self, user_id: UUID) -> None:
        """Let go of a user that no longer exists."""
        self._pending.take(user_id)
        self._unseen.discard(user_id)
        self._behind.pop(user_id, None)
        for wait in self._waiting.pop(user_id, ()):
            wait.done.set()

    def _finish(self, user_id: UUID, seq: int, last_seq: int) -> None:
        """Note that the user's tasks hold up to `seq`, of a stream that ended at `last_seq`."""
        self._behind.pop(user_id, None)
        for wait in list(self._waiting.get(user_id, ())):
            if seq >= wait.seq:
                wait.done.set()
                self._end_wait(user_id, wait)
        if (
            user_id in self._unseen
            or user_id in self._waiting
            or max(last_seq, self._pending.last_seq(user_id)) > seq
        ):
            self._behind[user_id] = None


def _failures() -> WorkFailures:
    return WorkFailures("relay.projection", waits="projection_waits", refused="projection_refused")


class _Wait:
    """A caller that waits until tasks hold up to `seq`."""

    __slots__ = ("done", "seq")

    def __init__(self, seq: int) -> None:
        self.seq = seq
        self.done = trio.Event()
