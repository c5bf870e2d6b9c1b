"""A WebSocket's close: its code, its answer, and messages that come too late."""

import pytest
import trio
import trio.testing
from wsproto.events import CloseConnection, TextMessage

from relay.server.limits import ConnectionLimits
from relay.server.messages import FRAMES_PER_TURN
from tests.support.client.protocol import masked
from tests.support.server.client_frames import CLOSE_FRAME
from tests.support.server.stage import HOUR, Server, Stage, opened, serving


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (masked(0x81, b"\xff\xfe"), 1007),
        (masked(0x88, b"\x03\xe8\xff"), 1007),
        (b"\x81\x02hi", 1002),  # not masked
        (masked(0x83, b""), 1002),  # an undefined opcode
        (masked(0xC1, b""), 1002),  # compressed, though nothing was negotiated
        (masked(0x09, b""), 1002),  # a ping in fragments
        (masked(0x80, b""), 1002),  # a continuation of nothing
        (masked(0x88, b"\x00"), 1002),
        (masked(0x88, b"\x03\xed"), 1002),  # 1005, which must not be sent
    ],
)
async def test_an_invalid_frame_ends_the_connection_with_its_close_code(
    server: Server, stage: Stage, frame: bytes, code: int
) -> None:
    client, visit = await opened(server, stage)
    await client.send(frame)
    assert await client.close_code() == code
    assert await client.rest() == b""
    assert await visit.receive() == {"type": "websocket.disconnect", "code": code}
    visit.leave()


async def test_the_clients_close_is_answered_with_its_code(server: Server, stage: Stage) -> None:
    client, visit = await opened(server, stage)
    await client.put(CloseConnection(4000, "bye"))
    assert await client.frame() == CloseConnection(4000, "bye")
    assert await client.rest() == b""
    assert await visit.receive() == {"type": "websocket.disconnect", "code": 4000}
    visit.leave()


async def test_a_close_waits_until_it_is_answered(server: Server, stage: Stage) -> None:
    client, visit = await opened(server, stage)
    await visit.close(4401, "expired")
    visit.leave()
    assert await client.frame() == CloseConnection(4401, "expired")
    assert server.observer.live == 1
    await client.put(CloseConnection(4401))
    await server.observer.until(lambda: server.observer.live == 0)


@pytest.mark.parametrize("returned", [True, False])
async def test_a_close_that_is_not_answered_ends_within_the_close_timeout(
    stage: Stage, returned: bool
) -> None:
    async with serving(stage, limits=ConnectionLimits(close_timeout=0.1)) as server:
        client, visit = await opened(server, stage)
        await visit.close(1012)
        if returned:
            visit.leave()
        assert await client.close_code() == 1012
        assert await client.rest() == b""
        if not returned:
            assert await visit.receive() == {"type": "websocket.disconnect", "code": 1012}
            visit.leave()
        await server.observer.until(lambda: server.observer.live == 0)


async def test_the_close_code_survives_a_client_that_keeps_sending(stage: Stage) -> None:
    async with serving(stage, limits=ConnectionLimits(close_timeout=HOUR)) as server:
        client, visit = await opened(server, stage)
        for _ in range(100):
            await client.put(TextMessage("not read by anybody"))
        await trio.testing.wait_all_tasks_blocked()  # now the reading waits for the application
        await visit.close(4429)
        visit.leave()
        for _ in range(100):
            await client.put(TextMessage("still talking"))
        assert await client.close_code() == 4429
        await client.put(CloseConnection(4429))
        assert await client.rest() == b""
        await server.observer.until(lambda: server.observer.live == 0)


async def test_an_application_that_returns_without_closing_is_a_1011(
    server: Server, stage: Stage
) -> None:
    client, visit = await opened(server, stage)
    visit.leave()
    assert await client.close_code() == 1011


async def test_messages_sent_after_a_close_are_dropped(server: Server, stage: Stage) -> None:
    client, visit = await opened(server, stage)
    await visit.close(1012)
    await visit.send({"type": "websocket.send", "text": "too late"})
    assert await client.frame() == CloseConnection(1012, "")
    await client.put(CloseConnection(1012))
    assert await client.rest() == b""
    visit.leave()


async def test_messages_sent_during_the_clients_close_are_dropped(
    server: Server, stage: Stage
) -> None:
    client, visit = await opened(server, stage)

    async def send_on() -> None:
        while True:
            await visit.send({"type": "websocket.send", "text": "x"})
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send_on)
        # the close is the frame before which, or behind which, others get their turn
        await client.send(masked(0x8A, b"") * (FRAMES_PER_TURN - 1) + masked(CLOSE_FRAME, b""))
        while (await visit.receive())["type"] != "websocket.disconnect":
            pass
        nursery.cancel_scope.cancel()
    visit.leave()
    assert await client.close_code() == 1005
