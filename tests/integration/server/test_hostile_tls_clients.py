"""Clients of the TLS server that are silent, leave, or make it work: none harms another one.

What they cost is bounded: the bytes that OpenSSL gets in one turn, and those that it answers.
"""

import ctypes
import fcntl
import socket
import ssl
import sys
import termios
from contextlib import suppress
from typing import Any

import pytest
import trio
import trio.testing
from wsproto.events import CloseConnection

from relay.server.client_socket import MAX_RECV_BYTES, MAX_UNSENT_REPLIES, TLSClientSocket
from relay.server.limits import ConnectionLimits
from relay.server.reader import MAX_BODY_RECV_BYTES, Reader
from relay.server.wire import Wire
from tests.support.client.connection import ClientConnection
from tests.support.server.stage import HOUR, Stage, get, opened, serving
from tests.support.server.tls_session import Session, raw
from tests.support.server.writes import MUCH


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
