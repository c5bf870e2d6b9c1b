"""When a connection waits for its next request, and when it yields to others first."""

import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
import trio

from relay.server.client_socket import MAX_RECV_BYTES, ClientSocket
from relay.server.framing import ContentLengthReader
from relay.server.reader import MAX_BODY_RECV_BYTES, MAX_REQUESTS_PER_CHECKPOINT, Reader
from relay.server.wire import Wire

MANY = 10 * MAX_REQUESTS_PER_CHECKPOINT
LARGE_BODY = ContentLengthReader(4 * MAX_BODY_RECV_BYTES)


@dataclass
class Line:
    """A reader and its peer's socket; counts how often it waited for the kernel."""

    reader: Reader
    peer: trio.socket.SocketType
    is_quick: bool = True  # sends the next request before the others have had their turn
    waits: int = 0

    async def exchange(self) -> None:
        """A request behind another one's answer."""
        if self.is_quick:
            await self.peer.send(b"next")
        await self.reader.checkpoint_if_useful()
        while not self.reader.unread:
            assert await self.reader.more()
        assert self.reader.take_all() == b"next"

    def waiting(self, wait: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        """The kernel's way to wait, counted; a peer that is not quick sends only now."""

        async def counted(socket: trio.socket.SocketType) -> None:
            self.waits += 1
            if not self.is_quick:
                await self.peer.send(b"next")
            await wait(socket)

        return counted


@asynccontextmanager
async def opened(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Line]:
    ours, theirs = socket.socketpair()
    with trio.socket.from_stdlib_socket(theirs) as peer:
        client = ClientSocket(ours)
        line = Line(Reader(client, Wire(client, 1.0, lambda _: None)), peer)
        assert await line.reader.more()  # what comes with the connection is looked for at once
        wait = line.waiting(trio.lowlevel.wait_readable)
        monkeypatch.setattr(trio.lowlevel, "wait_readable", wait)
        async with client:
            yield line


async def test_a_quick_peer_is_read_without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(monkeypatch) as line:
        for _ in range(MANY):
            await line.exchange()
    assert (
        line.waits == MAX_REQUESTS_PER_CHECKPOINT - 1
    )  # until the first turn has shown that it pays


async def test_a_slow_peer_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    turns = 0

    async def turn() -> None:
        nonlocal turns
        turns += 1

    async with opened(monkeypatch) as line:
        for _ in range(MAX_REQUESTS_PER_CHECKPOINT):
            await line.exchange()
        line.is_quick, line.waits = False, 0
        monkeypatch.setattr(trio.lowlevel, "checkpoint", turn)
        for _ in range(MANY):
            await line.exchange()
    assert line.waits == MANY
    assert (
        turns <= MANY / MAX_REQUESTS_PER_CHECKPOINT + 4
    )  # it asks ever less often: 1, 2, 4, 8, 16, 16, ...


async def test_a_pipelining_peer_yields_to_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with opened(monkeypatch) as line, trio.open_nursery() as others:
        await line.peer.send(b"the second")
        assert await line.reader.more()
        had_a_turn = trio.Event()

        async def other() -> None:
            had_a_turn.set()

        others.start_soon(other)
        for _ in range(2):  # in a round of the scheduler it may be the first, or the last
            await line.reader.checkpoint_if_useful()
        assert had_a_turn.is_set()


@pytest.mark.parametrize("when", ["the end", "our own end"])
async def test_an_end_of_file_before_the_wait_is_seen(
    monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    async with opened(monkeypatch) as line:
        for _ in range(MAX_REQUESTS_PER_CHECKPOINT):
            await line.exchange()
        if when == "the end":
            line.peer.close()
        else:
            line.reader._wire.close()
        await line.reader.checkpoint_if_useful()
        assert not await line.reader.more()
        assert line.reader.ended


async def test_a_connection_that_was_closed_has_its_end_to_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with opened(monkeypatch) as line:
        line.reader.take_all()
        assert not line.reader.has_input()
        line.reader._wire.close()
        assert line.reader.has_input()


async def test_of_what_follows_a_body_no_more_is_read_than_of_a_head(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with opened(monkeypatch) as line:
        line.reader.take_all()
        await line.peer.send(bytes(3 * MAX_RECV_BYTES))
        assert await line.reader.more_of_body(ContentLengthReader(1))
        assert line.reader.unread == MAX_RECV_BYTES


async def test_the_rest_of_a_large_body_is_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(monkeypatch) as line:
        line.reader.take_all()
        body = b"head" + bytes(MAX_RECV_BYTES) + b"." * (MAX_BODY_RECV_BYTES - 8) + b"end."
        await line.peer.send(body)
        assert await line.reader.more()
        first = line.reader.take_all()
        assert len(first) == MAX_RECV_BYTES
        assert line.waits == 1

        assert await line.reader.more_of_body(LARGE_BODY)

        assert first + line.reader.take_all() == body
        assert line.waits == 1


async def test_a_full_read_behind_which_nothing_is_waits_for_the_peer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with opened(monkeypatch) as line:
        line.reader.take_all()
        await line.peer.send(bytes(MAX_RECV_BYTES))
        assert await line.reader.more()
        line.reader.take_all()

        assert await line.reader.more_of_body(LARGE_BODY)  # looked, and found nothing
        assert line.reader.unread == 0
        line.is_quick = False
        assert await line.reader.more_of_body(LARGE_BODY)

        assert line.reader.take_all() == b"next"
        assert line.waits == 2


async def test_a_peer_that_sends_without_pause_is_waited_for_every_second_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with opened(monkeypatch) as line:
        await line.peer.send(bytes(8 * MAX_RECV_BYTES))
        for _ in range(8):
            assert await line.reader.more()
            assert len(line.reader.take_all()) == MAX_RECV_BYTES
        assert line.waits == 4
