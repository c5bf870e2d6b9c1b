"""A cancelled write leaves no half frame, chunk or close behind."""

import socket

import pytest
import trio
import trio.testing
from wsproto.events import CloseConnection

from relay.server import wire
from relay.server.client_socket import ClientSocket
from tests.support.client.connection import ClientConnection
from tests.support.server.stage import HOUR, Server, Stage, get, opened
from tests.support.server.writes import HELLO, MUCH, chunk, frame, streaming


@pytest.fixture
def _patient_parting(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was begun is finished however long the reader takes; it is to read 20 MB."""
    monkeypatch.setattr(wire, "FINISH_SECONDS", HOUR)


@pytest.mark.usefixtures("_patient_parting")
async def test_a_cancelled_write_leaves_no_half_frame(either_server: Server, stage: Stage) -> None:
    client, visit = await opened(either_server, stage)
    whole = frame(bytes(MUCH * 20))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(visit.handle.send_raw, whole)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
        assert await _while_shielded(client, len(whole)) == whole
    await visit.handle.send_raw(HELLO)
    assert await client.exactly(len(HELLO)) == HELLO
    visit.leave()


@pytest.mark.usefixtures("_patient_parting")
async def test_the_end_of_a_response_is_written_though_its_writer_is_cancelled(
    either_server: Server, stage: Stage
) -> None:
    client, visit = await streaming(either_server, stage, get())
    await visit.start()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(visit.handle.send_raw, chunk(bytes(MUCH * 20)))
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(visit.body, b"the end")
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            assert (await client.response())[1].endswith(b"the end")
    visit.leave()
    await client.send(get("/again"))
    again = await stage.visit()
    assert again.scope["path"] == "/again"
    await again.respond()
    again.leave()


@pytest.mark.usefixtures("_patient_parting")
async def test_a_close_frame_is_written_though_its_writer_is_cancelled(
    either_server: Server, stage: Stage
) -> None:
    client, visit = await opened(either_server, stage)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(visit.handle.send_raw, frame(bytes(MUCH * 20)))
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(visit.close, 4408)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
        await _while_shielded(client, MUCH * 20 + 10)
    assert await client.frame() == CloseConnection(4408, "")
    visit.leave()


async def test_a_write_that_is_cancelled_as_its_reader_has_stalled_ends_the_connection(
    autojump_clock: trio.testing.MockClock,
) -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        async with ClientSocket(ours) as client:
            connection = wire.Wire(client, 10, lambda _: None)
            with trio.move_on_after(10):  # at the moment at which the write may take no longer
                await connection.send(bytes(MUCH * 20))
            assert connection.ended


async def _while_shielded(client: ClientConnection, size: int) -> bytes:
    with trio.CancelScope(shield=True):
        received = await client.exactly(size)
    return received
