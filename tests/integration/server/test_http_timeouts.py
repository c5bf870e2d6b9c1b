"""Every connection ends: idle, silent and slow ones on time, and a silent stream on none."""

import pytest
import trio
import trio.testing
from quart_trio import QuartTrio

from relay.server.connections import SWEEP_BATCH_SIZE
from tests.support.server.stage import Recorder, Stage, get, serving


async def test_an_idle_connection_ends_on_time_under_quart_trio(
    quart: QuartTrio, mock_clock: trio.testing.MockClock
) -> None:
    async with serving(quart, keep_alive_timeout=15) as server:
        client = await server.connect()
        await client.send(get("/") + get("/"))
        assert [(await client.response())[1] for _ in range(2)] == [b"ok", b"ok"]
        await pass_by(mock_clock, 14)
        assert server.observer.live == 1
        mock_clock.jump(2)
        assert await client.rest() == b""
        await server.observer.until(lambda: server.observer.live == 0)


@pytest.mark.parametrize("sent", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "])
async def test_silence_and_slow_headers_end_on_time(
    stage: Stage, sent: bytes, mock_clock: trio.testing.MockClock
) -> None:
    async with serving(stage, keep_alive_timeout=15) as server:
        client = await server.connect()
        await client.send(sent)
        await server.observer.until(lambda: server.observer.live == 1)
        await pass_by(mock_clock, 14)
        assert server.observer.live == 1
        mock_clock.jump(2)
        assert await client.rest() == b""


async def test_headers_that_go_on_and_on_get_no_more_time(
    stage: Stage, mock_clock: trio.testing.MockClock
) -> None:
    async with serving(stage, keep_alive_timeout=15) as server:
        client = await server.connect()
        await client.send(b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        await server.observer.until(lambda: server.observer.live == 1)
        for _ in range(14):
            await client.send(b"x")
            await pass_by(mock_clock, 1)
        assert server.observer.live == 1
        mock_clock.jump(2)
        assert await client.rest() == b""


async def test_idle_connections_are_ended_a_few_at_a_time(
    stage: Stage, mock_clock: trio.testing.MockClock
) -> None:
    async with serving(stage, keep_alive_timeout=15) as server:
        for _ in range(3 * SWEEP_BATCH_SIZE):
            await server.connect()
        await server.observer.until(lambda: server.observer.live == 3 * SWEEP_BATCH_SIZE)
        turns = Turns(server.observer)
        trio.lowlevel.add_instrument(turns)
        mock_clock.jump(16)
        await server.observer.until(lambda: server.observer.live == 0)
        trio.lowlevel.remove_instrument(turns)
        assert turns.most <= SWEEP_BATCH_SIZE


class Turns(trio.abc.Instrument):
    """The most connections that were closed between two looks at the sockets."""

    def __init__(self, observer: Recorder) -> None:
        self._observer = observer
        self._before = observer.closed
        self.most = 0

    def before_io_wait(self, timeout: float) -> None:
        self.most = max(self.most, self._observer.closed - self._before)
        self._before = self._observer.closed


async def pass_by(clock: trio.testing.MockClock, seconds: float) -> None:
    """Let time pass, and let everybody do what they do then."""
    await trio.testing.wait_all_tasks_blocked()
    clock.jump(seconds)
    await trio.testing.wait_all_tasks_blocked()


async def test_no_timeout_ends_a_silent_stream(
    stage: Stage, mock_clock: trio.testing.MockClock
) -> None:
    async with serving(stage, keep_alive_timeout=1, read_timeout=1) as server:
        client = await server.connect()
        await client.send(get())
        visit = await stage.visit()
        await visit.start()
        for _ in range(4):
            await pass_by(mock_clock, 1)
        await visit.body(b"still here")
        visit.leave()
        assert (await client.response())[1] == b"still here"
