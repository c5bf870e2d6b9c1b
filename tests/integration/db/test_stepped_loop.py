"""An asyncio loop in trio's thread: it runs within its methods, and trio waits in its place."""

import asyncio
import socket
from contextlib import closing

import pytest
import trio
import trio.testing

from relay.db.stepped_loop import SteppedLoop
from tests.support.patience import PATIENCE


async def test_a_coroutine_runs_with_timers_threads_and_sockets() -> None:
    ours, other = socket.socketpair()

    async def work() -> bytes:
        await asyncio.sleep(0.001)
        await asyncio.to_thread(other.send, b"1")
        reader, writer = await asyncio.open_connection(sock=ours)
        received = await reader.readexactly(1)
        writer.close()
        await writer.wait_closed()
        return received

    with closing(SteppedLoop()) as loop, closing(other), trio.fail_after(PATIENCE):
        assert await loop.run(work()) == b"1"


async def test_an_error_is_raised_and_a_cancellation_ends_the_work() -> None:
    ended: list[str] = []

    async def fail() -> None:
        raise LookupError

    async def rest() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    with closing(SteppedLoop()) as loop, trio.fail_after(PATIENCE):
        with pytest.raises(LookupError):
            await loop.run(fail())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(loop.run, rest())
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        assert ended == ["cancelled"]


@pytest.mark.parametrize("to_end", [False, True])
async def test_finish_is_cancelled_or_left_alone(to_end: bool) -> None:
    ours, other = socket.socketpair()
    received: list[bytes] = []

    with closing(SteppedLoop()) as loop, closing(other), trio.fail_after(PATIENCE):
        reader, writer = await loop.run(asyncio.open_connection(sock=ours))

        async def read() -> None:
            received.append(await loop.finish(reader.readexactly(1), to_end=to_end))
            await trio.lowlevel.checkpoint_if_cancelled()
            received.append(b"not reached")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
            with trio.CancelScope(shield=True):
                await trio.testing.wait_all_tasks_blocked()
                other.send(b"1")
        assert received == ([b"1"] if to_end else [])
        writer.transport.abort()


async def test_finish_ends_when_a_write_finds_the_connection_lost() -> None:
    ours, other = socket.socketpair()

    with closing(SteppedLoop()) as loop, trio.fail_after(PATIENCE):
        reader, writer = await loop.run(asyncio.open_connection(sock=ours))
        other.close()

        async def write_and_read() -> None:
            writer.write(b"1")  # fails, and no socket is left to announce it
            await reader.readexactly(1)

        with pytest.raises(BrokenPipeError):
            await loop.finish(write_and_read(), to_end=False)
