"""What a node has of a process's streams, whatever becomes of a write or of its answer."""

from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import hiredis
import pytest
import trio
import trio.testing

from relay.realtime.reported_counts import ReportedCounts
from relay.realtime.valkey.names import Names
from relay.realtime.valkey.processes import ALIVE_SECONDS, GONE_SECONDS, Processes
from relay.realtime.valkey.stream_counts import REWRITE_INTERVAL, WRITE_INTERVAL, StreamCounts
from tests.support.hub_events import a_hub

ME, PROCESS = uuid4(), uuid4()


class StandInNode:
    """The node of all slots, and the only connection to it. It keeps one user's hash."""

    def __init__(self) -> None:
        self.streams: dict[UUID, int] = {}
        self.accepts = True
        self.is_heard = True

    def connection_of(self, _slot: int) -> "StandInNode":
        return self

    def send(self, command: bytes, on_reply: Callable[[Any], None]) -> None:
        reply: object = hiredis.ReplyError("MOVED 3 127.0.0.1:6380")
        if self.accepts:
            parts = hiredis.Reader()
            parts.feed(command)
            reply = self._do(*parts.gets())
        if self.is_heard:
            on_reply(reply)

    def _do(self, command: bytes, _name: bytes, *arguments: bytes) -> object:
        match command, arguments:
            case b"HGETALL", ():
                return {one.bytes: b"%d" % number for one, number in self.streams.items()}
            case b"HSET", (process, number):
                self.streams[UUID(bytes=process)] = int(number)
            case b"HDEL", gone:
                for process in gone:
                    self.streams.pop(UUID(bytes=process), None)
            case _:
                assert command == b"EXPIRE"
        return 1


class Stage:
    """A node, and a stream of a process that writes its numbers there."""

    def __init__(self) -> None:
        self.node = StandInNode()
        self.stream = ExitStack()
        hub = a_hub()
        self.stream.enter_context(hub.subscribe(ME, uuid4(), "here"))
        nodes: Any = self.node
        self.processes = Processes()
        self.all_known_since = 0.0
        self.counts = StreamCounts(
            nodes,
            Names("relay"),
            PROCESS,
            self.processes,
            ReportedCounts(hub),
            lambda: self.all_known_since,
        )

    def look(self) -> int:
        """Look at the user's streams, as the process does each second; returns how many count."""
        self.processes.count()
        self.counts.look_soon(ME)
        return self.counts.elsewhere(ME)


@asynccontextmanager
async def writing() -> AsyncIterator[Stage]:
    """The first write is made at once, and each other one in the middle of its interval."""
    stage = Stage()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stage.counts.run)
        await trio.sleep(WRITE_INTERVAL / 2)
        assert stage.node.streams == {PROCESS: 1}
        yield stage
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("accepts", [True, False])
@pytest.mark.parametrize("is_heard", [True, False])
async def test_the_end_of_a_stream_is_written_until_the_node_has_accepted_it(
    autojump_clock: trio.testing.MockClock, accepts: bool, is_heard: bool
) -> None:
    async with writing() as stage:
        stage.node.accepts, stage.node.is_heard = accepts, is_heard
        stage.stream.close()
        await trio.sleep(WRITE_INTERVAL)
        assert stage.node.streams == ({} if accepts else {PROCESS: 1})
        stage.node.accepts = stage.node.is_heard = True
        await trio.sleep(WRITE_INTERVAL)
        assert stage.node.streams == {}


async def test_a_stream_that_ends_just_before_everything_is_written_again_is_not_left_there(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with writing() as stage:
        await trio.sleep(REWRITE_INTERVAL - WRITE_INTERVAL)
        stage.stream.close()
        await trio.sleep(WRITE_INTERVAL)
        assert stage.node.streams == {}


async def test_numbers_of_processes_that_are_gone_are_removed_and_of_silent_ones_are_not(
    autojump_clock: trio.testing.MockClock,
) -> None:
    unknown, left, silent, alive = (uuid4() for _ in range(4))
    async with writing() as stage:
        stage.all_known_since = trio.current_time()
        others = {unknown: 1, left: 2, silent: 4, alive: 8}
        stage.node.streams |= others
        for process in (left, silent):
            stage.processes.note(process)
        stage.processes.forget(left)
        heard_at = trio.current_time()

        async def look_at(seconds: float) -> int:
            """Look once it is so long since the silent one was heard."""
            while (ahead := heard_at + seconds - trio.current_time()) > 0:
                await trio.sleep(min(1.0, ahead))
                stage.processes.note(alive)
                stage.processes.count()
            return stage.look()

        assert await look_at(ALIVE_SECONDS + 1) == 8
        assert await look_at(GONE_SECONDS - 1) == 8
        assert stage.node.streams == {PROCESS: 1} | others  # one may not have been heard yet
        stage.processes.note(silent)
        heard_at = trio.current_time()
        assert await look_at(1) == 12
        assert stage.node.streams == {PROCESS: 1, silent: 4, alive: 8}
        assert await look_at(GONE_SECONDS - 1) == 8
        assert stage.node.streams == {PROCESS: 1, silent: 4, alive: 8}
        assert await look_at(GONE_SECONDS + 1) == 8
        assert stage.node.streams == {PROCESS: 1, alive: 8}


async def test_nothing_is_removed_by_a_process_that_does_not_hear_the_others(
    autojump_clock: trio.testing.MockClock,
) -> None:
    other = uuid4()
    async with writing() as stage:
        stage.node.streams[other] = 1
        stage.all_known_since = float("inf")
        await trio.sleep(2 * GONE_SECONDS)
        stage.look()
        assert stage.node.streams == {PROCESS: 1, other: 1}
        stage.all_known_since = 0.0
        await trio.sleep(1)
        stage.look()
        assert stage.node.streams == {PROCESS: 1}


async def test_a_process_that_stood_still_until_it_was_gone_writes_its_numbers_at_once(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """So those that removed them lack them for no longer than it is not heard."""
    assert GONE_SECONDS > REWRITE_INTERVAL + WRITE_INTERVAL
    async with writing() as stage:
        autojump_clock.jump(GONE_SECONDS)
        stage.node.streams.clear()
        await trio.lowlevel.checkpoint()
        await trio.testing.wait_all_tasks_blocked()
        assert stage.node.streams == {PROCESS: 1}
