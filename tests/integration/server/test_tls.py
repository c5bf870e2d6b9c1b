"""What TLS adds: the handshake, records, and an end that both sides have seen.

That bytes are written in order and completely is tested with TLS and without in test_transport.py,
test_cancelled_writes.py and test_stalled_readers.py.
"""

import ssl
from typing import Any

import pytest
import trio
import trio.testing
from wsproto.events import CloseConnection

from relay.server.limits import ConnectionLimits
from tests.support.client.connection import ClientConnection
from tests.support.patience import PATIENCE
from tests.support.server.stage import HOUR, Stage, get, opened, serving
from tests.support.server.tls_session import Session, raw, send_byte_by_byte
from tests.support.server.writes import HELLO, MUCH


async def test_http_is_served_and_http_2_not_negotiated(
    stage: Stage, certificate: dict[str, Any]
) -> None:
    async with serving(stage, **certificate) as server:
        client = await server.connect()
        await client.send(get("/", "Connection: close"))
        assert isinstance(client.stream, trio.SSLStream)
        assert client.stream.selected_alpn_protocol() == "http/1.1"
        visit = await stage.visit()
        assert visit.scope["scheme"] == "https"
        await visit.respond(b"secure")
        visit.leave()
        assert (await client.rest()).endswith(b"secure")


async def test_a_body_of_many_records_is_received_whole(
    stage: Stage, certificate: dict[str, Any]
) -> None:
    sent = bytes(range(256)) * (MUCH // 256)
    async with serving(stage, **certificate) as server:
        client = await server.connect()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.send, get("/", f"Content-Length: {len(sent)}") + sent)
            visit = await stage.visit()
            received = bytearray()
            while len(received) < len(sent):
                received += (await visit.receive())["body"]
        assert received == sent
        await visit.respond()
        visit.leave()
        assert (await client.response())[1] == b"ok"


async def test_a_handshake_in_single_bytes_succeeds(
    stage: Stage, certificate: dict[str, Any]
) -> None:
    async with serving(stage, **certificate) as server:
        client = await raw(server)
        session = await Session.agreed(server, client, send_byte_by_byte)
        session.tls.write(get())
        await send_byte_by_byte(client, session.outgoing.read())
        visit = await stage.visit()
        assert visit.scope["path"] == "/"
        client.drop()
        visit.leave()


async def test_an_answer_reaches_a_client_that_is_still_sending(
    stage: Stage, certificate: dict[str, Any]
) -> None:
    limits = ConnectionLimits(max_discarded=MUCH * 40, close_timeout=HOUR)
    async with serving(stage, limits=limits, **certificate) as server:
        client = await server.connect()
        await client.send(get("/", f"Content-Length: {MUCH * 20}"))
        visit = await stage.visit()
        await visit.respond(b"refused")
        visit.leave()
        await client.send(bytes(MUCH * 20))  # unread bytes would make of the end a reset
        assert (await client.rest()).endswith(b"refused")


async def test_the_end_is_announced_in_tls(stage: Stage, certificate: dict[str, Any]) -> None:
    async with serving(stage, **certificate) as server:
        assert server.trusting is not None
        client = await raw(server)
        strict = trio.SSLStream(client.stream, server.trusting, server_hostname="127.0.0.1")
        await strict.send_all(get("/", "Connection: close"))
        visit = await stage.visit()
        await visit.respond(b"whole")
        visit.leave()
        received = b""
        while data := await strict.receive_some():  # raises if the end could be an attacker's
            received += data
        assert received.endswith(b"whole")


async def test_unread_bytes_do_not_end_a_connection_before_it_lingers(
    stage: Stage, certificate: dict[str, Any]
) -> None:
    async with serving(stage, **certificate) as server:
        client = await server.connect()
        await client.send(get("/", f"Content-Length: {MUCH}") + bytes(MUCH // 20))
        visit = await stage.visit()
        await visit.respond(b"refused")
        visit.leave()
        with trio.fail_after(PATIENCE):
            assert (await client.rest()).endswith(b"refused")
        assert server.observer.live == 1  # it waits for what the client is still sending
        client.drop()
        await server.observer.until(lambda: server.observer.live == 0)


async def test_the_end_is_announced_to_a_client_that_has_announced_its_own(
    stage: Stage, certificate: dict[str, Any]
) -> None:
    async with serving(stage, **certificate) as server:
        client = await raw(server)
        session = await Session.agreed(server, client, ClientConnection.send)
        session.tls.write(get())
        with pytest.raises(ssl.SSLWantReadError):
            session.tls.unwrap()
        await client.send(session.outgoing.read())  # and the socket stays open
        visit = await stage.visit()
        assert await visit.receive() == {"type": "http.request", "body": b"", "more_body": False}
        assert await visit.receive() == {"type": "http.disconnect"}
        visit.leave()
        session.incoming.write(await client.rest())
        session.tls.unwrap()  # raises if no end of the server's is among what came


async def test_ready_frames_go_out_at_once(stage: Stage, certificate: dict[str, Any]) -> None:
    async with serving(stage, **certificate) as server:
        client, visit = await opened(server, stage)
        with trio.testing.assert_no_checkpoints():
            assert visit.handle.try_send(HELLO)
        assert await client.exactly(len(HELLO)) == HELLO
        await visit.close(4401)
        visit.leave()
        assert await client.frame() == CloseConnection(4401, "")


async def test_a_reader_that_stalls_is_cut(stage: Stage, certificate: dict[str, Any]) -> None:
    limits = ConnectionLimits(send_timeout=0.2, close_timeout=0.2)
    async with serving(stage, limits=limits, **certificate) as server:
        client = await server.connect()
        await client.send(get())
        visit = await stage.visit()
        await visit.start()
        await visit.body(bytes(MUCH * 20), more=True)
        assert visit.handle.stalled
        visit.leave()
