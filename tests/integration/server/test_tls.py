"""What TLS adds: the handshake, records, and an end that both sides have seen.

That bytes are written in order and completely is tested with TLS and without in test_transport.py,
test_cancelled_writes.py and test_stalled_readers.py.
"""

import ctypes
import fcntl
import socket
import ssl
import sys
import termios
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self

import pytest
import trio
import trio.testing
from wsproto.events import CloseConnection

from relay.server.client_socket import MAX_RECV_BYTES, MAX_UNSENT_REPLIES, TLSClientSocket
from relay.server.limits import ConnectionLimits
from relay.server.reader import MAX_BODY_RECV_BYTES, Reader
from relay.server.wire import Wire
from tests.support.client.connection import ClientConnection, connected
from tests.support.patience import PATIENCE
from tests.support.server.stage import HOUR, Server, Stage, get, opened, serving
from tests.support.server.writes import HELLO, MUCH

Send = Callable[[ClientConnection, bytes], Awaitable[None]]


@dataclass
class Session:
    """A client's side of TLS, whose bytes the test itself carries."""

    incoming: ssl.MemoryBIO
    outgoing: ssl.MemoryBIO
    tls: ssl.SSLObject

    @classmethod
    async def agreed(cls, server: Server, client: ClientConnection, send: Send) -> Self:
        """One after its handshake."""
        assert server.trusting is not None
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = server.trusting.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
        while True:
            try:
                tls.do_handshake()
                return cls(incoming, outgoing, tls)
            except ssl.SSLWantReadError:
                await send(client, outgoing.read())
                incoming.write(await client.receive())


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


async def test_one_read_takes_a_bounded_number_of_bytes_from_the_socket(
    certificate: dict[str, Any],
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(**certificate)
    trusting = ssl.create_default_context(cafile=certificate["certfile"])
    ours, theirs = socket.socketpair()
    client = trio.SSLStream(
        trio.SocketStream(trio.socket.from_stdlib_socket(theirs)),
        trusting,
        server_hostname="127.0.0.1",
    )
    async with TLSClientSocket(ours, context) as served, trio.open_nursery() as nursery:
        nursery.start_soon(client.do_handshake)
        await served.do_handshake()
        while waiting(ours) < MAX_RECV_BYTES * 4:
            await client.send_all(bytes(1_000))
        before = waiting(ours)
        assert served.read(MAX_BODY_RECV_BYTES)
        assert before - waiting(ours) <= MAX_RECV_BYTES
        await trio.aclose_forcefully(client)


async def test_a_client_that_only_makes_tls_answer_is_cut(
    stage: Stage, certificate: dict[str, Any]
) -> None:
    async with serving(stage, **certificate) as server:
        client = await raw(server)
        session = await Session.agreed(server, client, ClientConnection.send)
        session.tls.write(get("/", f"Content-Length: {MUCH}"))
        await client.send(session.outgoing.read())
        visit = await stage.visit()
        received = 0
        async with trio.open_nursery() as nursery:
            nursery.start_soon(change_keys_for_ever, client, session)
            while (event := await visit.receive())["type"] != "http.disconnect":
                received += len(event["body"])
                assert received <= MAX_UNSENT_REPLIES / 22  # bytes of the shortest record
            nursery.cancel_scope.cancel()
        visit.leave()
        assert received


async def change_keys_for_ever(client: ClientConnection, session: Session) -> None:
    """Ask the server for new keys with each byte of a body, until it closes the connection."""
    library = ctypes.CDLL(ssl._ssl.__file__)  # type: ignore[attr-defined]
    # behind the object's head and its weak reference to a socket
    address = id(session.tls._sslobj) + 3 * ctypes.sizeof(ctypes.c_void_p)  # type: ignore[attr-defined]
    pointer = ctypes.c_void_p.from_address(address)
    with suppress(trio.BrokenResourceError):
        while True:
            assert library.SSL_key_update(pointer, 1) == 1  # SSL_KEY_UPDATE_REQUESTED
            session.tls.write(b".")
            await client.send(session.outgoing.read())


def waiting(connected: socket.socket) -> int:
    """How many bytes have come and are not read."""
    return int.from_bytes(fcntl.ioctl(connected, termios.FIONREAD, bytes(4)), sys.byteorder)


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


@pytest.mark.parametrize("sent", [b"GET / HTTP/1.1\r\n\r\n", b"", b"\x16\x03\x01\x00\x05hello"])
async def test_a_client_without_tls_harms_no_other(
    stage: Stage, certificate: dict[str, Any], sent: bytes
) -> None:
    async with serving(stage, ssl_handshake_timeout=0.1, **certificate) as server:
        client = await raw(server)
        await client.send(sent)
        await client.rest()
        client.drop()
        await server.observer.until(lambda: server.observer.live == 0)


async def test_silent_clients_keep_no_other_out(stage: Stage, certificate: dict[str, Any]) -> None:
    limits = ConnectionLimits(max_connections=2, close_timeout=HOUR)
    async with serving(stage, limits=limits, ssl_handshake_timeout=HOUR, **certificate) as server:
        first = await raw(server)
        await server.observer.until(lambda: server.observer.opened == 1)
        await raw(server)
        await server.observer.until(lambda: server.observer.opened == 2)
        client = await server.connect()
        await client.send(get())
        visit = await stage.visit()
        await visit.respond()
        visit.leave()
        assert (await client.response())[1] == b"ok"
        assert await first.rest() == b""
        assert server.observer.displaced == 1


async def test_a_silent_client_does_not_hold_up_a_stop(
    stage: Stage, certificate: dict[str, Any]
) -> None:
    times: dict[str, Any] = {"ssl_handshake_timeout": HOUR, "graceful_timeout": HOUR}
    async with serving(stage, **times, **certificate) as server:
        silent = await raw(server)
        await server.observer.until(lambda: server.observer.opened == 1)
        server.stop.set()
        await server.stopped.wait()
        assert await silent.rest() == b""


async def test_a_part_of_a_record_is_input_that_has_come(certificate: dict[str, Any]) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(**certificate)
    ours, theirs = socket.socketpair()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    trusting = ssl.create_default_context(cafile=certificate["certfile"])
    tls = trusting.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
    with theirs:
        async with TLSClientSocket(ours, context) as served, trio.open_nursery() as nursery:
            reader = Reader(served, Wire(served, HOUR, lambda _: None))
            nursery.start_soon(served.do_handshake)
            while True:
                try:
                    tls.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    theirs.sendall(outgoing.read())
                    await trio.testing.wait_all_tasks_blocked()
                    await trio.lowlevel.wait_readable(theirs)
                    incoming.write(theirs.recv(MAX_RECV_BYTES))
            theirs.sendall(outgoing.read())
            await trio.testing.wait_all_tasks_blocked()
            assert not reader.has_input()
            tls.write(get())
            record = outgoing.read()
            theirs.sendall(record[:-1])
            assert await reader.more()  # nothing of it is data yet
            assert reader.unread == 0
            assert reader.has_input()
            theirs.sendall(record[-1:])
            assert await reader.more()
            assert reader.take_all() == get()
            assert not reader.has_input()


async def test_a_client_that_leaves_before_it_is_accepted_harms_no_other(
    stage: Stage, certificate: dict[str, Any]
) -> None:
    async with serving(stage, **certificate) as server:
        for sent in (b"", b"\x16\x03"):
            gone = await raw(server)
            await gone.send(sent)
            gone.reset_when_closed()
            gone.drop()
        client, visit = await opened(server, stage)
        await visit.close()
        visit.leave()
        assert await client.frame() == CloseConnection(1000, "")


async def raw(server: Server) -> ClientConnection:
    """A connection without TLS to a server that expects it."""
    client = ClientConnection(await connected(server.port))
    server.clients.append(client)
    return client


async def send_byte_by_byte(client: ClientConnection, data: bytes) -> None:
    for byte in data:
        await client.send(bytes([byte]))
