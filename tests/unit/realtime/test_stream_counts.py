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
from relay.realtime.valkey.processes import Processes
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

    def _do(self, command: bytes, _name: bytes, *arguments: bytes) -> int:
        match command, arguments:
            case b"HSET", (process, number):
                self.streams[UUID(bytes=process)] = int(number)
            case b"HDEL", (process,):
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
        self.counts = StreamCounts(nodes, Names("relay"), PROCESS, Processes(), ReportedCounts(hub))


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
