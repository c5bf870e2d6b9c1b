"""What a client may send is bounded, and a flood of it blocks no other connection."""

from collections.abc import Iterator

import pytest
import trio
import trio.testing
from quart import websocket
from quart_trio import QuartTrio
from wsproto.events import BytesMessage, CloseConnection, TextMessage
from wsproto.frame_protocol import Frame, FrameProtocol

from relay.server.limits import ConnectionLimits
from relay.server.messages import FRAMES_PER_TURN
from tests.support.client.protocol import masked
from tests.support.server.client_frames import CLOSE_FRAME, say_on_until_cut
from tests.support.server.stage import HOUR, Server, Stage, opened, serving


async def test_a_message_limit_counts_bytes_not_characters(stage: Stage) -> None:
    async with serving(stage, websocket_max_message_size=10) as server:
        client, visit = await opened(server, stage)
        await client.put(TextMessage("é" * 5))
        assert (await visit.receive())["text"] == "é" * 5
        await client.put(TextMessage("é" * 6))
        assert await client.close_code() == 1009
        assert await visit.receive() == {"type": "websocket.disconnect", "code": 1009}
        visit.leave()


async def test_endless_fragments_end_with_1009_and_the_connection(stage: Stage) -> None:
    limits = ConnectionLimits(close_timeout=HOUR, max_discarded=100_000)
    async with serving(stage, limits=limits, websocket_max_message_size=1_000) as server:
        client, visit = await opened(server, stage)
        await say_on_until_cut(client, TextMessage("x" * 100, message_finished=False))
        assert await visit.receive() == {"type": "websocket.disconnect", "code": 1009}
        visit.leave()
        await server.observer.until(lambda: server.observer.live == 0)


async def test_data_after_a_close_is_bounded(stage: Stage) -> None:
    limits = ConnectionLimits(close_timeout=HOUR, max_discarded=100_000)
    async with serving(stage, limits=limits) as server:
        client, visit = await opened(server, stage)
        await visit.close()
        visit.leave()
        await say_on_until_cut(client, BytesMessage(bytes(1_000)))


async def test_an_application_that_does_not_read_stops_the_reading(
    server: Server, stage: Stage
) -> None:
    client, visit = await opened(server, stage)
    sent = 0

    async def say_on() -> None:
        nonlocal sent
        while True:
            await client.put(BytesMessage(bytes(60_000)))
            sent += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(say_on)
        await trio.testing.wait_all_tasks_blocked()
        stopped_at = sent
        while sent == stopped_at:  # and where it reads again, the client goes on
            assert (await visit.receive())["type"] == "websocket.receive"
        nursery.cancel_scope.cancel()
    visit.handle.abort()
    visit.leave()


async def test_a_lost_client_is_reported_with_a_full_queue(server: Server, stage: Stage) -> None:
    client, visit = await opened(server, stage)
    for number in range(50):
        await client.put(TextMessage(str(number)))
    visit.handle.abort()
    received = [await visit.receive() for _ in range(11)]
    assert [event.get("text") for event in received[:10]] == [str(n) for n in range(10)]
    assert received[10]["type"] == "websocket.disconnect"
    assert (await visit.receive())["type"] == "websocket.disconnect"
    visit.leave()


async def test_a_quart_handler_that_returns_with_unread_messages_frees_its_connection() -> None:
    app = QuartTrio(__name__)

    @app.websocket("/")
    async def reads_one() -> None:
        await websocket.receive()

    async with serving(app, limits=ConnectionLimits(close_timeout=HOUR)) as server:
        client = await server.websocket()
        await client.accepted()
        for _ in range(100):
            await client.put(TextMessage("unread"))
        assert await client.close_code() == 1000
        await client.put(CloseConnection(1000))
        await server.observer.until(lambda: server.observer.live == 0)


async def test_a_send_only_loop_does_not_block_others(server: Server, stage: Stage) -> None:
    client, visit = await opened(server, stage)
    await client.stream.aclose()
    assert (await visit.receive())["type"] == "websocket.disconnect"
    for _ in range(100):
        with trio.testing.assert_checkpoints():
            await visit.send({"type": "websocket.send", "text": "to nobody"})
    visit.leave()


class Parsed(trio.abc.Instrument):
    """Counts the frames that a server parses in one step of its task."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.frames = self.in_step = self.most = 0
        received_frames = FrameProtocol.received_frames

        def counted(protocol: FrameProtocol) -> Iterator[Frame]:
            for frame in received_frames(protocol):
                if not protocol.client:
                    self.frames += 1
                    self.in_step += 1
                    self.most = max(self.most, self.in_step)
                yield frame

        monkeypatch.setattr(FrameProtocol, "received_frames", counted)

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.in_step = 0


@pytest.mark.parametrize("closing", [True, False])
async def test_a_flood_of_tiny_frames_does_not_block_others(
    server: Server, stage: Stage, monkeypatch: pytest.MonkeyPatch, closing: bool
) -> None:
    parsed = Parsed(monkeypatch)
    client, visit = await opened(server, stage)
    if closing:
        await visit.close(1012)
    trio.lowlevel.add_instrument(parsed)
    await client.send(masked(0x02, b"") + masked(0x00, b"") * 450 + masked(CLOSE_FRAME, b""))
    await client.rest()
    trio.lowlevel.remove_instrument(parsed)
    assert parsed.frames == 452
    assert parsed.most <= FRAMES_PER_TURN
    visit.leave()
