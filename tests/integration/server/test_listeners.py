"""Opening sockets: clear errors, inherited options, and running out of descriptors."""

import socket
import sys
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
import trio
from hypercorn.config import Config
from trio.testing import assert_checkpoints, assert_no_checkpoints

from relay.server.listeners import (
    ACCEPT_BATCH_SIZE,
    NOT_SENT_BYTES,
    TCP_USER_TIMEOUT_MS,
    BatchListener,
    ListenError,
    addresses,
    close_sockets,
    expected_address,
    inherited_binds,
    open_for_workers,
    open_sockets,
)
from relay.server_process import client_url
from tests.support.certificates import self_signed
from tests.support.patience import PATIENCE
from tests.support.ports import HeldPort
from tests.support.server.stage import configuration


def test_port_0_is_resolved() -> None:
    sockets = open_sockets(configuration(bind=["127.0.0.1:0", "[::1]:0"]))
    four, six = (sock.getsockname()[1] for sock in sockets.insecure_sockets)
    assert addresses(sockets) == [f"http://127.0.0.1:{four}", f"http://[::1]:{six}"]
    close_sockets(sockets)


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "TLS"])
@pytest.mark.parametrize(
    ("bind", "reached"),
    [
        ("127.0.0.1:{port}", "127.0.0.1:{port}"),
        ("0.0.0.0:{port}", "127.0.0.1:{port}"),
        ("localhost:{port}", "127.0.0.1:{port}"),
        ("[::]:{port}", "[::1]:{port}"),
        ("unix:{folder}/socket", "localhost"),
    ],
)
def test_the_address_is_known_before_a_server_listens(
    tmp_path: Path, certificate: dict[str, str], bind: str, reached: str, secure: bool
) -> None:
    held = HeldPort()
    names = {"port": held.number, "folder": tmp_path}
    config = configuration(bind=[bind.format(**names)], **(certificate if secure else {}))
    expected = expected_address(config)
    sockets = open_sockets(config)
    assert addresses(sockets) == [expected]
    close_sockets(sockets)
    scheme = "https" if secure else "http"
    assert client_url(expected) == f"{scheme}://{reached.format(**names)}"


# Hypercorn leaves the socket that could not be bound to the garbage collector.
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    ("bind", "reason"),
    [
        ("{taken}", "address already in use"),
        ("192.0.2.1:80", "cannot assign requested address"),
        ("127.0.0.1:99999", "bind(): port must be 0-65535."),
        ("nowhere.invalid:80", ""),
    ],
)
def test_an_unavailable_address_is_one_clear_line(bind: str, reason: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        bind = bind.format(taken=f"127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(ListenError) as caught:
            open_sockets(configuration(bind=["127.0.0.1:0", bind]))
    assert str(caught.value).startswith(f"cannot listen on {bind}: {reason}")
    assert "\n" not in str(caught.value)


async def test_waiting_connections_are_accepted_in_bounded_groups_in_order() -> None:
    (listening,) = open_sockets(configuration()).insecure_sockets
    address = listening.getsockname()
    with ExitStack() as clients:
        came = [
            clients.enter_context(socket.create_connection(address))
            for _ in range(ACCEPT_BATCH_SIZE + 3)
        ]
        async with BatchListener(listening) as listener:
            taken = [await listener.accept()]
            with assert_no_checkpoints():
                taken += [await listener.accept() for _ in range(ACCEPT_BATCH_SIZE - 1)]
            with assert_checkpoints():
                taken.append(await listener.accept())
            for one, client in zip(taken, came, strict=False):
                assert one.addresses()[1] == client.getsockname()
                await one.aclose()
        for client in came:  # also those that were accepted and handed to no worker
            client.settimeout(PATIENCE)
            assert client.recv(1) == b""


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="Linux only")
async def test_accepted_connections_inherit_the_user_timeout() -> None:
    (listener,) = open_sockets(configuration()).insecure_sockets
    with listener, socket.create_connection(listener.getsockname()):
        listener.setblocking(True)
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            option = accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
            assert option == TCP_USER_TIMEOUT_MS


def test_a_unix_socket_can_be_listened_on(tmp_path: object) -> None:
    path = f"{tmp_path}/relay.sock"
    sockets = open_sockets(Config.from_mapping({"bind": [f"unix:{path}"]}))
    assert addresses(sockets) == [f"http://unix:{path}"]
    close_sockets(sockets)


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_workers_listen_on_the_same_port_and_no_other_process_can() -> None:
    sets = open_for_workers(configuration(bind=["127.0.0.1:0"]), 3)
    listeners = [sock for one in sets for sock in one.insecure_sockets]
    (address,) = {sock.getsockname() for sock in listeners}
    assert len({sock.fileno() for sock in listeners}) == 3
    for attempt in (open_sockets, lambda config: open_for_workers(config, 2)):
        with pytest.raises(ListenError, match="address already in use"):
            attempt(configuration(bind=[f"127.0.0.1:{address[1]}"]))
    reached = set()
    for _ in range(64):  # the kernel spreads them: all on one of three, once in 10 to the 30th
        with socket.create_connection(address):
            for sock in listeners:
                with suppress(BlockingIOError):
                    sock.accept()[0].close()
                    reached.add(sock.fileno())
    assert len(reached) > 1
    for one in sets:
        close_sockets(one)


def test_workers_share_one_socket_where_it_is_a_path(tmp_path: object) -> None:
    path = f"{tmp_path}/relay.sock"
    sets = open_for_workers(Config.from_mapping({"bind": [f"unix:{path}"]}), 2)
    assert {address for one in sets for address in addresses(one)} == {f"http://unix:{path}"}
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        sets[1].insecure_sockets[0].accept()[0].close()
        with pytest.raises(BlockingIOError):
            sets[0].insecure_sockets[0].accept()
    for one in sets:
        close_sockets(one)


def test_a_worker_gets_tls_and_plain_listeners_apart(tmp_path: Path) -> None:
    config = configuration(bind=["127.0.0.1:0"], **self_signed(tmp_path))
    config.insecure_bind = ["127.0.0.1:0"]
    (one, other) = open_for_workers(config, 2)
    assert [len(group) for group in (one.secure_sockets, one.insecure_sockets)] == [1, 1]
    assert inherited_binds(config, one) == (
        [f"fd://{one.secure_sockets[0].fileno()}"],
        [f"fd://{one.insecure_sockets[0].fileno()}"],
    )
    assert addresses(one) == addresses(other)
    for sockets in (one, other):
        close_sockets(sockets)


OUT_OF_DESCRIPTORS = """
import logging, os, resource, sys
import trio
from tests.support.server.stage import Stage, get, serving

class Told(logging.StreamHandler):
    def __init__(self):
        super().__init__()
        self.event = trio.Event()

    def emit(self, record):
        super().emit(record)
        if "Too many open files" in record.getMessage():
            self.event.set()

async def main():
    stage = Stage()
    told = Told()
    logging.getLogger().addHandler(told)
    async with serving(stage) as server:
        used = len(os.listdir("/proc/self/fd"))
        # Ours and the server's ends live in this process: some of these are never accepted.
        resource.setrlimit(resource.RLIMIT_NOFILE, (used + 12, used + 12))
        crowd = []
        try:
            while True:
                crowd.append(await trio.open_tcp_stream("127.0.0.1", server.port))
        except OSError:
            pass
        await told.event.wait()  # accept has failed, and is tried again
        for stream in crowd:
            await stream.aclose()
        client = await server.connect()
        await client.send(get("/", "Connection: close"))
        visit = await stage.visit()
        await visit.respond(b"recovered")
        visit.leave()
        sys.stdout.write((await client.rest()).decode())

trio.run(main)
"""


async def test_running_out_of_descriptors_passes() -> None:
    command = [sys.executable, "-c", OUT_OF_DESCRIPTORS]
    result = await trio.run_process(command, capture_stdout=True, capture_stderr=True)
    assert b"Too many open files" in result.stderr
    assert result.stdout.endswith(b"recovered")


@pytest.mark.skipif(
    not hasattr(socket, "TCP_NOTSENT_LOWAT"), reason="the kernel has no such option"
)
def test_every_accepted_connection_keeps_little_unsent() -> None:
    sockets = open_sockets(configuration())
    (listening,) = sockets.insecure_sockets
    with socket.create_connection(listening.getsockname()), listening.accept()[0] as accepted:
        kept = accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT)
    close_sockets(sockets)
    assert kept == NOT_SENT_BYTES
