"""Tell other processes how many live streams each user has here, and learn of theirs.

Each user has a hash with a number for each process, on the node of the user's channel. A process
writes its own, and reads those of users that are asked for, in the background. Numbers of processes
that are no longer alive do not count. Those of processes that are gone are removed by the ones that
read them: a hash expires only once no process writes to it any more.
"""

from collections.abc import Callable
from uuid import UUID

import hiredis
import trio

from relay.realtime.reported_counts import ReportedCounts
from relay.realtime.valkey.greeting import Reply, pack
from relay.realtime.valkey.names import Names, UserNames
from relay.realtime.valkey.nodes import Nodes
from relay.realtime.valkey.processes import GONE_SECONDS, Processes

WRITE_INTERVAL = 1.0  # seconds between two writes of this process's changes
REWRITE_INTERVAL = 20.0  # seconds between two writes of everything, against what a node lost
EXPIRY_SECONDS = 60  # of a user's numbers, after the last write of any process
READ_INTERVAL = 1.0  # seconds between two reads of one user's numbers
FRESH_SECONDS = 5.0  # how long numbers that were read count
MAX_READ = 10_000  # users whose numbers are kept; past it those that were asked for first go


class _Read:
    """What was read of one user."""

    __slots__ = ("asked_at", "read_at", "streams")

    def __init__(self) -> None:
        self.asked_at = self.read_at = float("-inf")
        self.streams: dict[UUID, int] = {}


class StreamCounts:
    """This process's numbers in the nodes, and those of others that it has read.

    `all_known_since` returns trio's time since when this process hears each other one that lives.
    """

    def __init__(
        self,
        nodes: Nodes,
        names: Names,
        process_id: UUID,
        processes: Processes,
        reported: ReportedCounts,
        all_known_since: Callable[[], float],
    ) -> None:
        self._nodes = nodes
        self._names = names
        self._process_id = process_id
        self._processes = processes
        self._reported = reported
        self._all_known_since = all_known_since
        self._read: dict[UUID, _Read] = {}

    def elsewhere(self, user_id: UUID) -> int:
        """The user's streams on other processes, as of the last look; 0 if that is too old."""
        self.look_soon(user_id)
        read = self._read[user_id]
        if trio.current_time() - read.read_at > FRESH_SECONDS:
            return 0
        alive = self._processes.is_alive
        return sum([streams for process, streams in read.streams.items() if alive(process)])

    def look_soon(self, user_id: UUID) -> None:
        """Read the user's numbers in the background, unless they are new."""
        read = self._read.get(user_id)
        if read is None:
            if len(self._read) >= MAX_READ:
                del self._read[next(iter(self._read))]
            read = self._read[user_id] = _Read()
        now = trio.current_time()
        if now - read.asked_at < READ_INTERVAL:
            return
        names = self._names.of_user(user_id)
        if (connection := self._nodes.connection_of(names.slot)) is not None:
            read.asked_at = now
            connection.send(pack(b"HGETALL", names.streams), self._keeper_of(names, read))

    def _keeper_of(self, names: UserNames, read: _Read) -> Callable[[Reply], None]:
        def keep(reply: Reply) -> None:
            if isinstance(reply, dict):
                read.read_at = trio.current_time()
                read.streams = _numbers(reply)
                read.streams.pop(self._process_id, None)
                if read.read_at - self._all_known_since() >= GONE_SECONDS:
                    self._remove_gone(names, read.streams)

        return keep

    def _remove_gone(self, names: UserNames, streams: dict[UUID, int]) -> None:
        """Remove a user's numbers of processes that are gone. The next look finds what fails."""
        gone = [process.bytes for process in streams if self._processes.is_gone(process)]
        if gone and (connection := self._nodes.connection_of(names.slot)) is not None:
            connection.send(pack(b"HDEL", names.streams, *gone), _ignore)

    async def run(self) -> None:
        """Write this process's numbers until cancelled."""
        rewrite_at = trio.current_time() + REWRITE_INTERVAL
        while True:
            if trio.current_time() >= rewrite_at:
                self._reported.forget()
                rewrite_at = trio.current_time() + REWRITE_INTERVAL
            for user_id, streams in self._reported.next_report().items():
                self._write(user_id, streams)
            await trio.sleep(WRITE_INTERVAL)

    def _write(self, user_id: UUID, streams: int) -> None:
        """Write a user's number. Until the node has accepted it, it is part of the next report."""
        names, field = self._names.of_user(user_id), self._process_id.bytes
        connection = self._nodes.connection_of(names.slot)
        if connection is None:
            return

        def note(reply: Reply) -> None:
            if not isinstance(reply, hiredis.ReplyError):  # as one is while a slot moves
                self._reported.note({user_id: streams})

        if streams:
            connection.send(pack(b"HSET", names.streams, field, b"%d" % streams), note)
            connection.send(pack(b"EXPIRE", names.streams, b"%d" % EXPIRY_SECONDS), _ignore)
        else:
            connection.send(pack(b"HDEL", names.streams, field), note)


def _ignore(_reply: Reply) -> None:
    """Take the answer to a command that is sent again: at each rewrite, or at the next look."""


def _numbers(reply: dict[bytes, bytes]) -> dict[UUID, int]:
    """The numbers by process. Others than Relay's processes may write there: that is left out."""
    try:
        return {UUID(bytes=process): int(number) for process, number in reply.items()}
    except (TypeError, ValueError):
        return {}
