"""Sends the tasks of a user to those of its streams that ask for them: a snapshot, then changes.

The stored tasks are what is sent, so every process sends the same, whichever one has folded the
events. New events of a user wake this process's reader of changes, which also looks once a second,
for changes that come without an event: leases that run out, beats, tasks hidden or forgotten. A
change is encoded once for all streams of the user.
"""

from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from uuid import UUID

import msgspec
import trio

from relay.db.changed_tasks import ChangedTask, each_change, select_revisions
from relay.db.pool import DATABASE_ERRORS, Database
from relay.db.task_pages import SnapshotPart, StoredTaskPage, select_snapshot
from relay.db.work_failures import WorkFailures
from relay.events import Cursor
from relay.observability import metrics
from relay.projection.projector import CATCH_UP_SECONDS, Projector
from relay.realtime.encoding import MAX_MESSAGE_BYTES, control_json
from relay.realtime.hub import Hub
from relay.realtime.inbox import Inbox
from relay.realtime.task_backlogs import TaskBacklog, TaskBacklogs
from relay.tasks.view import TaskView

CHANGES_INTERVAL_SECONDS = 0.25  # a task is sent at most four times a second
POLL_INTERVAL_SECONDS = 1.0  # for changes that come without an event
RETRY_SECONDS = 0.5  # after a read that the database did not answer


class Snapshot:
    """The tasks with which a stream begins, and where in the stream and when they hold.

    They are read part by part, each when the one before is sent: a slow reader keeps one part in
    memory, and not all its tasks.
    """

    def __init__(
        self, database: Database, failures: WorkFailures, user_id: UUID, first: StoredTaskPage
    ) -> None:
        self.at = first.at
        self.cursor = first.cursor
        self.revision = first.revision
        self._database = database
        self._failures = failures
        self._user_id = user_id
        self._counts = first.counts
        self._page: StoredTaskPage | None = first
        self._rest: SnapshotPart | None = SnapshotPart()

    async def next_messages(self) -> list[bytes]:
        """The `tasks` controls of the next part, each of at most `MAX_MESSAGE_BYTES`; none after
        the last one.

        Raises UserGone.
        """
        if self._rest is None:
            return []
        page, self._page = self._page or await self._read(self._rest), None
        self._rest = self._rest.after(page)
        return list(_snapshot_messages(self.cursor, self._counts, page.tasks, more=page.is_cut))

    async def _read(self, part: SnapshotPart) -> StoredTaskPage:
        while True:
            try:
                return await select_snapshot(self._database, self._user_id, part)
            except DATABASE_ERRORS as error:
                self._failures.note(error)
                await trio.sleep(RETRY_SECONDS)


class TaskFeed:
    """The tasks for one stream: the snapshot, then the latest message of each that changed.

    `seen` is the revision up to which the stream has the changes, or has them waiting.
    `leases_seen` is the database's time up to which it has the tasks whose lease has run out.
    """

    def __init__(self, snapshot: Snapshot, backlog: TaskBacklog) -> None:
        self.snapshot = snapshot
        self.backlog = backlog
        self.seen = snapshot.revision
        self.leases_seen = snapshot.at


def _snapshot_messages(
    cursor: Cursor, counts: dict[str, int], tasks: list[TaskView], *, more: bool
) -> Iterator[bytes]:
    """The `tasks` controls of a part; `more`: another part follows."""
    head = control_json("tasks", {"cursor": str(cursor), "counts": counts})[:-1]
    room = MAX_MESSAGE_BYTES - len(head) - len(b',"tasks":[],"more":false}')
    held: list[bytes] = []
    size = 0
    for task in tasks:
        text = msgspec.json.encode(task)
        if held and size + len(text) + 1 > room:
            yield _snapshot_message(head, held, more=True)
            held, size = [], 0
        held.append(text)
        size += len(text) + 1
    yield _snapshot_message(head, held, more=more)


def _snapshot_message(head: bytes, tasks: list[bytes], *, more: bool) -> bytes:
    ending = b"true" if more else b"false"
    return b'%s,"tasks":[%s],"more":%s}' % (head, b",".join(tasks), ending)


def task_message(task_id: str, view: TaskView | None) -> bytes:
    """The `task` control of a task that changed; None for one that was forgotten."""
    if view is None:
        return control_json("task", {"task_id": task_id, "deleted": True})
    return control_json("task", {"task": view})


class TaskFeeds:
    """The streams of this process that ask for tasks, by user."""

    def __init__(self, database: Database, projector: Projector, hub: Hub) -> None:
        self.backlogs = TaskBacklogs()
        self._database = database
        self._projector = projector
        self._hub = hub
        self._by_user: dict[UUID, set[TaskFeed]] = {}
        self._new_seqs: dict[UUID, int] = {}  # by user: the seq that the tasks should hold
        self._leases_due_at = 0.0  # trio's time
        self._woken = trio.Event()
        self._failures = WorkFailures(
            "relay.task_feeds", waits="task_feeds_wait", refused="task_feeds_refused"
        )

    @contextmanager
    def subscribe(self, inbox: Inbox, snapshot: Snapshot) -> Iterator[TaskFeed]:
        """Send the tasks of the inbox's user to its reader, for the length of the block."""
        user_id = inbox.user_id
        feed = TaskFeed(snapshot, self.backlogs.add(inbox))
        feeds = self._by_user.setdefault(user_id, set())
        if not feeds:
            self._hub.follow(user_id, self._on_events)
        feeds.add(feed)
        self._woken.set()
        try:
            yield feed
        finally:
            self.backlogs.remove(user_id, feed.backlog)
            feeds.discard(feed)
            if not feeds:
                del self._by_user[user_id]
                self._new_seqs.pop(user_id, None)
                self._hub.unfollow(user_id)

    async def read_snapshot(self, user_id: UUID, last_seq: int) -> Snapshot:
        """The user's tasks, once events up to `last_seq` are folded.

        Raises UserGone, DatabaseAway.
        """
        await self._projector.catch_up_briefly(user_id, last_seq)
        first = await select_snapshot(self._database, user_id, SnapshotPart())
        return Snapshot(self._database, self._failures, user_id, first)

    def touch(self, user_id: UUID) -> None:
        """Look for changes of this user's tasks that came without an event."""
        if user_id in self._by_user:
            self._new_seqs.setdefault(user_id, 0)
            self._woken.set()

    def _on_events(self, user_id: UUID, last_seq: int) -> None:
        self._new_seqs[user_id] = last_seq
        self._woken.set()

    async def run(self) -> None:
        """Send changes until cancelled."""
        while True:
            with trio.move_on_at(self._leases_due_at):
                await self._woken.wait()
            self._woken = trio.Event()
            metrics.task_bytes_waiting.set(self.backlogs.bytes)
            began = trio.current_time()
            if not self._by_user:
                self._leases_due_at = began + POLL_INTERVAL_SECONDS
                continue
            self._failures.begin_attempt()
            try:
                await self._send_changes()
            except DATABASE_ERRORS as error:
                self._failures.note(error)
                await trio.sleep(RETRY_SECONDS)
            await trio.sleep_until(began + CHANGES_INTERVAL_SECONDS)

    async def _send_changes(self) -> None:
        behind, self._new_seqs = self._new_seqs, {}
        with trio.move_on_after(CATCH_UP_SECONDS):
            await self._projector.catch_up_all(behind)
        present = {user: list(feeds) for user, feeds in self._by_user.items()}
        seen = {user: min([feed.seen for feed in feeds]) for user, feeds in present.items()}
        leases_seen = {
            user: min([feed.leases_seen for feed in feeds]) for user, feeds in present.items()
        }
        began = trio.current_time()
        leases_are_due = began >= self._leases_due_at
        revisions = await select_revisions(self._database, seen)
        changes = each_change(
            self._database,
            seen,
            revisions.changed,
            leases_since=leases_seen if leases_are_due else {},
            leases_until=revisions.at,
        )
        async with aclosing(changes):
            async for part in changes:
                self._put(part)
        # one that came meanwhile may have missed a part: the next pass looks for it again
        for user_id, (revision, _) in revisions.changed.items():
            for feed in present[user_id]:
                feed.seen = revision
        if leases_are_due:
            for feeds in present.values():
                for feed in feeds:
                    feed.leases_seen = revisions.at
            self._leases_due_at = began + POLL_INTERVAL_SECONDS

    def _put(self, changes: list[ChangedTask]) -> None:
        """Give changes to the streams that have not seen them."""
        for change in changes:
            message = task_message(change.task_id, change.view)
            for feed in self._by_user.get(change.user_id, ()):
                if change.revision is None or change.revision > feed.seen:
                    feed.backlog.put(change.task_id, message)
