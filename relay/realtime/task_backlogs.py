"""The messages about tasks that wait for slow readers, and how much those of all readers may take.

Of each task the latest message waits. Past the bound of all streams, the user that has most waiting
loses the stream that has most of it: its reader comes again, and gets a snapshot. So readers that
keep up lose nothing, however many others fall behind.
"""

from collections import OrderedDict
from collections.abc import Iterator
from uuid import UUID

from relay.observability import metrics
from relay.realtime.close_codes import Close
from relay.realtime.inbox import Inbox

# Of one stream: changes of 20 000 tasks, as they mostly are.
MAX_WAITING_BYTES = 2**24
# Of all streams of a process: as much as its request bodies, and as events before their commit.
# The streams of a user share a message's bytes, which count for each: it is never more than this.
MAX_ALL_WAITING_BYTES = 2**26


class TaskBacklog:
    """The messages that wait for one stream. The one that is being sent counts, too."""

    __slots__ = ("_all", "_inbox", "_sending", "_waiting", "bytes")

    def __init__(self, inbox: Inbox, backlogs: "TaskBacklogs") -> None:
        self.bytes = 0
        self._inbox = inbox
        self._all = backlogs
        self._waiting: OrderedDict[str, bytes] = OrderedDict()
        self._sending = 0  # bytes

    def __bool__(self) -> bool:
        """Whether a message waits to be sent."""
        return bool(self._waiting)

    def put(self, task_id: str, message: bytes) -> None:
        """Queue a task's new message, in the place of an older one.

        A reader that leaves too many waiting has to come again: it gets a snapshot then.
        """
        if self._inbox.closing is not None:
            return
        self._count(len(message) - len(self._waiting.get(task_id, b"")))
        self._waiting[task_id] = message
        if self.bytes > MAX_WAITING_BYTES:
            self.end()
        else:
            self._inbox.interrupt()
            self._all.keep_bound()

    def take_each(self) -> Iterator[bytes]:
        """The messages of the tasks that wait now, one by one: each is the latest by then."""
        for _ in range(len(self._waiting)):
            if not self._waiting:  # the stream has ended meanwhile
                break
            _, message = self._waiting.popitem(last=False)
            self._sending = len(message)
            yield message
            self._count(-self._sending)
            self._sending = 0

    def end(self) -> None:
        """End the stream, whose reader is too slow."""
        self.clear()
        self._inbox.end(Close.RESTART)

    def clear(self) -> None:
        """Drop all messages; the stream ends or has ended."""
        self._waiting.clear()
        self._sending = 0
        self._count(-self.bytes)

    def _count(self, grown: int) -> None:
        self.bytes += grown
        self._all.bytes += grown


class TaskBacklogs:
    """Those of all streams of this process, by user."""

    def __init__(self) -> None:
        self.bytes = 0
        self._by_user: dict[UUID, set[TaskBacklog]] = {}

    def add(self, inbox: Inbox) -> TaskBacklog:
        """A backlog for the reader of this inbox, until it is removed."""
        backlog = TaskBacklog(inbox, self)
        self._by_user.setdefault(inbox.user_id, set()).add(backlog)
        return backlog

    def remove(self, user_id: UUID, backlog: TaskBacklog) -> None:
        """Drop the backlog of a stream that has ended."""
        backlog.clear()
        backlogs = self._by_user[user_id]
        backlogs.remove(backlog)
        if not backlogs:
            del self._by_user[user_id]

    def keep_bound(self) -> None:
        """End streams until the rest are within the bound of all."""
        while self.bytes > MAX_ALL_WAITING_BYTES:
            most = max(self._by_user.values(), key=_sum_bytes)
            max(most, key=_bytes).end()
            metrics.task_streams_displaced.inc()


def _bytes(backlog: TaskBacklog) -> int:
    return backlog.bytes


def _sum_bytes(backlogs: set[TaskBacklog]) -> int:
    return sum(map(_bytes, backlogs))
