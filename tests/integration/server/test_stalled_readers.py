"""A reader that stalls is cut and one that is slow is not; an abort frees a write under way."""

import tracemalloc

import pytest
import trio
import trio.testing

from relay.server.client_socket import ClientSocket
from relay.server.limits import ConnectionLimits
from tests.support.server.stage import Server, Stage, get, opened, serving
from tests.support.server.writes import MUCH, fill, frame, streaming

IMPATIENT = ConnectionLimits(send_timeout=0.2, close_timeout=0.2)


async def test_abort_ends_the_connection_and_tells_the_application(
    server: Server, stage: Stage
) -> None:
    client, visit = await opened(server, stage)
    visit.handle.abort()
    assert await visit.receive() == {"type": "websocket.disconnect", "code": 1006}
    assert not visit.handle.stalled
    assert await client.rest() == b""
    visit.leave()


async def test_abort_frees_a_write_under_way(either_server: Server, stage: Stage) -> None:
    _, visit = await opened(either_server, stage)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(visit.handle.send_raw, frame(bytes(MUCH * 20)))
        await trio.testing.wait_all_tasks_blocked()
        visit.handle.abort()
    visit.leave()


@pytest.mark.parametrize("ready", [True, False])
async def test_a_websocket_reader_that_stalls_is_cut_and_counted(stage: Stage, ready: bool) -> None:
    async with serving(stage, limits=IMPATIENT) as server:
        _, visit = await opened(server, stage)
        if ready:
            await fill(visit)
        else:
            await visit.send({"type": "websocket.send", "bytes": bytes(MUCH * 20)})
        assert (await visit.receive())["type"] == "websocket.disconnect"
        assert visit.handle.stalled
        visit.leave()
        await server.observer.until(lambda: server.observer.stalled == 1)


async def test_an_sse_reader_that_stalls_is_cut_and_counted(stage: Stage) -> None:
    async with serving(stage, limits=IMPATIENT) as server:
        _, visit = await streaming(server, stage, get())
        await visit.start()
        await visit.body(bytes(MUCH * 20), more=True)
        assert visit.handle.stalled
        assert (await visit.receive())["type"] == "http.request"
        assert (await visit.receive())["type"] == "http.disconnect"
        visit.leave()
        await server.observer.until(lambda: server.observer.stalled == 1)


async def test_a_large_body_that_waits_for_its_reader_is_not_copied(
    either_server: Server, stage: Stage
) -> None:
    body = bytes(MUCH * 20)
    client, visit = await streaming(either_server, stage, get())
    await visit.start((b"content-length", b"%d" % len(body)))
    tracemalloc.start()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(visit.body, body)
        await trio.testing.wait_all_tasks_blocked()
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        answer = await client.answer("GET")
    assert most < len(body) / 2
    assert answer.content == body
    visit.leave()


async def test_a_reader_that_is_slow_but_reads_is_not_cut(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, mock_clock: trio.testing.MockClock
) -> None:
    taken = 0
    write = ClientSocket.write

    def counted(client: ClientSocket, data: bytes | memoryview) -> int | None:
        nonlocal taken
        sent = write(client, data)
        taken += sent or 0
        return sent

    monkeypatch.setattr(ClientSocket, "write", counted)
    async with serving(stage, limits=ConnectionLimits(send_timeout=3)) as server:
        client, visit = await opened(server, stage)
        whole = frame(bytes(MUCH * 40))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(visit.handle.send_raw, whole)
            await trio.testing.wait_all_tasks_blocked()
            left = len(whole)
            for _ in range(5):  # three times the send timeout in all
                mock_clock.jump(2)
                before = taken
                while taken == before:  # until the socket has taken more
                    left -= len(await client.exactly(100_000))
            left -= len(await client.exactly(left))
        assert not visit.handle.stalled
        visit.leave()
