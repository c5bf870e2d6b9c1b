"""A node's socket: order and completeness of what is written, and when it wakes its reader."""

import ssl
from functools import partial
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from relay.config.valkey_address import Node
from relay.realtime.valkey.node_socket import GATHER_SECONDS, NodeSocket, open_socket
from tests.support.certificates import self_signed
from tests.support.patience import eventually_on_a_still_clock as eventually
from tests.support.socket_pairs import SocketPair

LARGE = bytes(range(256)) * 2**14  # more than a socket takes at once


async def received(stream: trio.SocketStream, count: int) -> bytes:
    data = b""
    while len(data) < count:
        data += await stream.receive_some(count - len(data))
    return data


async def test_a_write_goes_out_without_any_task_and_those_right_after_it_go_together(
    pair: SocketPair, mock_clock: MockClock
) -> None:
    socket = NodeSocket(pair.ours)
    socket.write(b"first ")
    assert await received(pair.theirs, 6) == b"first "
    socket.write(b"second ")
    socket.write(b"third ")
    mock_clock.jump(2 * GATHER_SECONDS)
    socket.write(b"fourth ")  # in its place, after those that wait
    async with trio.open_nursery() as nursery:
        nursery.start_soon(socket.send_gathered)
        assert await pair.theirs.receive_some(100) == b"second third fourth "
        for several in (b"fifth ", b"sixth "), (b"seventh",):  # they wait for each other
            mock_clock.jump(2 * GATHER_SECONDS)
            for data in several:
                socket.write(data)
            assert await pair.theirs.receive_some(100) == b"".join(several)
        await wait_all_tasks_blocked()
        mock_clock.jump(2 * GATHER_SECONDS)
        nursery.cancel_scope.cancel()
    socket.write(b"eighth")  # the one before it was alone
    assert await received(pair.theirs, 6) == b"eighth"


async def test_what_the_socket_does_not_take_follows_in_order(
    pair: SocketPair, mock_clock: MockClock
) -> None:
    socket = NodeSocket(pair.ours)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(socket.send_gathered)
        for _ in range(2):
            socket.write(LARGE)
            await wait_all_tasks_blocked()
            mock_clock.jump(2 * GATHER_SECONDS)
            socket.write(b"end")
        assert await received(pair.theirs, 2 * len(LARGE) + 6) == (LARGE + b"end") * 2
        nursery.cancel_scope.cancel()


async def test_a_write_to_a_broken_connection_fails_in_the_task_that_sends(
    pair: SocketPair, mock_clock: MockClock
) -> None:
    socket = NodeSocket(pair.ours)
    socket.write(b"unread")
    await eventually(lambda: pair.unread() == 0)
    await pair.theirs.aclose()  # with unread bytes: a reset
    assert await socket_end(socket) == b""
    socket.write(b"lost")
    with pytest.raises(OSError, match=r"reset|pipe"):
        await socket.send_gathered()


async def socket_end(socket: NodeSocket) -> bytes:
    """What is read at the end; a reset counts as one."""
    try:
        return await socket.receive()
    except ConnectionResetError:
        return b""


async def test_its_reader_wakes_for_as_many_bytes_as_it_asks_for(
    pair: SocketPair, mock_clock: MockClock
) -> None:
    socket, got = NodeSocket(pair.ours), list[bytes]()

    async def read() -> None:
        while data := await socket.receive():
            got.append(data)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        socket.receive_from(100)
        await pair.theirs.send_all(b"a" * 99)
        await eventually(lambda: pair.unread() == 99)
        await pair.theirs.send_all(b"b")
        await eventually(lambda: got == [b"a" * 99 + b"b"])
        await pair.theirs.send_all(b"c")
        await eventually(lambda: pair.unread() == 1)
        assert socket.receive_now() == b"c"
        assert socket.receive_now() is None
        await pair.theirs.send_all(b"d")
        await eventually(lambda: pair.unread() == 1)
        socket.receive_from(1)
        await eventually(lambda: got[1:] == [b"d"])
        socket.receive_from(100)
        await pair.theirs.send_all(b"e")
        await pair.theirs.send_eof()
        await eventually(lambda: got[2:] == [b"e"])


async def test_over_tls_all_comes_and_goes_in_order(tmp_path: Path) -> None:
    files = self_signed(tmp_path)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(files["certfile"], files["keyfile"])
    client = ssl.create_default_context(cafile=files["certfile"])

    async def echo(stream: trio.SSLStream[trio.SocketStream]) -> None:
        async for data in stream:
            await stream.send_all(data)

    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(
            partial(trio.serve_ssl_over_tcp, echo, 0, server, host="127.0.0.1")
        )
        port = listener.transport_listener.socket.getsockname()[1]
        socket = await open_socket(Node("127.0.0.1", port), client)
        nursery.start_soon(socket.send_gathered)
        socket.receive_from(100)
        socket.write(b"short")
        assert await socket.receive() == b"short"
        socket.write(LARGE)
        socket.write(b"end")
        data = b""
        while len(data) < len(LARGE) + 3:
            data += await socket.receive()
        assert data == LARGE + b"end"
        nursery.cancel_scope.cancel()
    socket.close()


async def test_over_tls_a_certificate_that_is_not_trusted_is_refused(tmp_path: Path) -> None:
    files = self_signed(tmp_path)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(files["certfile"], files["keyfile"])

    async def ends(stream: trio.SSLStream[trio.SocketStream]) -> None:
        with pytest.raises(trio.BrokenResourceError):
            await stream.do_handshake()

    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(
            partial(trio.serve_ssl_over_tcp, ends, 0, server, host="127.0.0.1")
        )
        port = listener.transport_listener.socket.getsockname()[1]
        with pytest.raises(ssl.SSLCertVerificationError):
            await open_socket(Node("127.0.0.1", port), ssl.create_default_context())
        nursery.cancel_scope.cancel()
