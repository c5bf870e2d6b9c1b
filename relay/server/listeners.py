"""Open the sockets a server listens on, from Hypercorn's configuration."""

import copy
import os
import socket
import ssl
from collections import deque

import trio
from hypercorn.config import Config, Sockets
from hypercorn.utils import repr_socket_addr

from .client_socket import ClientSocket, TLSClientSocket

TCP_USER_TIMEOUT_MS = 30_000
"""Milliseconds that sent bytes may stay unacknowledged before the kernel closes the connection.
Without it a vanished peer would be noticed after a quarter of an hour."""
NOT_SENT_BYTES = 16_384
"""Unsent bytes of a client past which the kernel takes no more: it would hide a slow reader.
trio sets the same, but only on what it accepts itself."""


ACCEPT_BATCH_SIZE = 16
"""Connections accepted in one turn of the scheduler. Each then runs up to its first wait."""


class BatchListener(trio.abc.Listener[ClientSocket]):
    """Accepts several connections at once; trio's own listener accepts one a scheduler turn.

    Connections that arrive together are then read, authenticated and answered in common turns.
    With `tls`, each connection begins with a TLS handshake.
    """

    def __init__(self, listening: socket.socket, tls: ssl.SSLContext | None = None) -> None:
        self._listening = listening
        self._tls = tls
        self._listener = trio.SocketListener(trio.socket.from_stdlib_socket(listening))
        self._accepted: deque[ClientSocket] = deque()

    async def accept(self) -> ClientSocket:
        """Accept a connection, without a checkpoint if one is queued. Raises as trio's own."""
        if not self._accepted:
            first = await self._listener.accept()
            self._add(socket.socket(fileno=first.socket.detach()))
            try:
                for _ in range(ACCEPT_BATCH_SIZE - 1):
                    self._add(self._listening.accept()[0])
            except OSError:
                pass  # no more are waiting; another error is raised by the next call
        return self._accepted.popleft()

    async def aclose(self) -> None:
        while self._accepted:
            self._accepted.popleft().close()
        await self._listener.aclose()

    def _add(self, connected: socket.socket) -> None:
        tls = self._tls
        self._accepted.append(
            ClientSocket(connected) if tls is None else TLSClientSocket(connected, tls)
        )


class ListenError(Exception):
    """Listening on an address failed. The message is one line for the operator."""


def open_sockets(config: Config) -> Sockets:
    """Listen on all addresses of the configuration. Raises ListenError."""
    opened = Sockets([], [], [])
    try:
        for bind in config.bind:
            one = _open(config, bind)
            opened.secure_sockets += one.secure_sockets
            opened.insecure_sockets += one.insecure_sockets
        for bind in config.insecure_bind if config.ssl_enabled else ():
            opened.insecure_sockets += _open(config, bind, secure=False).insecure_sockets
    except ListenError:
        close_sockets(opened)
        raise
    return opened


def open_for_workers(config: Config, workers: int) -> list[Sockets]:
    """Open listening sockets for each of several processes, on the same addresses.

    The kernel spreads connections over them (SO_REUSEPORT). A Unix socket is shared by all. The
    supervisor keeps them open while it replaces a worker, so that queued connections are not lost.
    Raises ListenError.
    """
    # Without SO_REUSEPORT first: this fails if another server has the address.
    exclusive = open_sockets(config)
    socket_sets: list[Sockets] = []
    try:
        main = [
            _release_address(sock)
            for sock in exclusive.secure_sockets or exclusive.insecure_sockets
        ]
        plain = [
            _release_address(sock)
            for sock in exclusive.insecure_sockets
            if exclusive.secure_sockets
        ]
        for _ in range(workers):
            shared = copy.copy(config)
            shared.workers = workers  # makes Hypercorn set SO_REUSEPORT
            shared.bind = [_bind_string(address) for address in main]
            shared.insecure_bind = [_bind_string(address) for address in plain]
            socket_sets.append(open_sockets(shared))
    except ListenError:
        for one in socket_sets:
            close_sockets(one)
        raise
    finally:
        close_sockets(exclusive)
    return socket_sets


def inherited_binds(config: Config, sockets: Sockets) -> tuple[list[str], list[str]]:
    """`bind` and `insecure_bind` for a process that inherits these sockets' descriptors."""
    plain = [f"fd://{sock.fileno()}" for sock in sockets.insecure_sockets]
    if config.ssl_enabled:
        return [f"fd://{sock.fileno()}" for sock in sockets.secure_sockets], plain
    return plain, []


def addresses(sockets: Sockets) -> list[str]:
    """The sockets' URLs, with the actual port where the configuration has 0."""
    return [
        f"{scheme}://{repr_socket_addr(sock.family, sock.getsockname())}"
        for scheme, group in (("https", sockets.secure_sockets), ("http", sockets.insecure_sockets))
        for sock in group
    ]


def expected_address(config: Config) -> str:
    """What `addresses` begins with where a server listens by this configuration.

    A port of 0 stays. Raises ListenError for a host that is not of this machine.
    """
    bind = config.bind[0]
    if bind.startswith("unix:"):
        return f"{'https' if config.ssl_enabled else 'http'}://{bind}"
    host, _, port = bind.rpartition(":")
    one = copy.copy(config)
    one.bind, one.insecure_bind, one.quic_bind = [f"{host}:0"], [], []
    try:
        sockets = one.create_sockets()  # of any free port, and closed again
    except OSError as error:
        raise _listen_error(bind, error.strerror or str(error)) from None
    address = addresses(sockets)[0]
    close_sockets(sockets)
    return f"{address.rpartition(':')[0]}:{port}"


def close_sockets(sockets: Sockets) -> None:
    """Close all the sockets."""
    for sock in (*sockets.secure_sockets, *sockets.insecure_sockets):
        sock.close()


def _release_address(sock: socket.socket) -> str | socket.socket:
    """The address to listen on again, after closing the socket; a Unix socket itself, kept open."""
    if sock.family == socket.AF_UNIX:
        return sock
    with sock:
        return repr_socket_addr(sock.family, sock.getsockname())


def _bind_string(address: str | socket.socket) -> str:
    return address if isinstance(address, str) else f"fd://{os.dup(address.fileno())}"


def _open(config: Config, bind: str, *, secure: bool = True) -> Sockets:
    one = copy.copy(config)
    one.bind, one.insecure_bind, one.quic_bind = [bind], [], []
    if not secure:
        one.certfile = None
    failure: str
    try:
        sockets = one.create_sockets()
    except OSError as error:
        failure = error.strerror or str(error)
    except (OverflowError, ValueError) as error:
        failure = str(error)
    else:
        try:
            for sock in (*sockets.secure_sockets, *sockets.insecure_sockets):
                _listen(sock, config.backlog)
        except OSError as error:  # with SO_REUSEADDR a port may be bound and yet not free
            close_sockets(sockets)
            failure = error.strerror or str(error)
        else:
            return sockets
    raise _listen_error(bind, failure)


def _listen_error(bind: str, failure: str) -> ListenError:
    reason = f"{failure[:1].lower()}{failure[1:]}"
    return ListenError(f"cannot listen on {bind}: {reason} (set RELAY_BIND)")


def _listen(sock: socket.socket, backlog: int) -> None:
    """Start listening. Accepted connections inherit the options set here."""
    if sock.family != socket.AF_UNIX:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, TCP_USER_TIMEOUT_MS)
        if hasattr(socket, "TCP_NOTSENT_LOWAT"):  # Linux, macOS
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, NOT_SENT_BYTES)
    sock.listen(backlog)
