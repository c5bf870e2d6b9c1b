"""A receiver of webhooks in the load generator: when each notification came, by its task."""

import json
import socket
from typing import Any

from bench.generator import Generator, clock

ANSWER = b"HTTP/1.1 204 No Content\r\n\r\n"
_BLOCK_BYTES = 2**16


class Receiver:
    """Listens on loopback and takes every POST. `arrived` has the time of each task's first one."""

    def __init__(self, load: Generator) -> None:
        self._load = load
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._listener.setblocking(False)
        self._buffers: dict[socket.socket, bytearray] = {}
        self.port: int = self._listener.getsockname()[1]
        self.arrived: dict[str, float] = {}
        self.repeated = 0
        load.add(self._listener, self._accept)

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except BlockingIOError:
            return
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffers[sock] = bytearray()
        self._load.add(sock, lambda: self._read(sock))

    def _read(self, sock: socket.socket) -> None:
        try:
            found = sock.recv(_BLOCK_BYTES)
        except BlockingIOError:
            return
        except OSError:
            found = b""
        if not found:
            del self._buffers[sock]
            self._load.remove(sock)
            return
        now, buffer = clock(), self._buffers[sock]
        buffer += found
        while (body := _request(buffer)) is not None:
            sock.send(ANSWER)
            task_id = json.loads(body)["data"]["task_id"]
            self.repeated += task_id in self.arrived
            self.arrived.setdefault(task_id, now)

    def close(self) -> None:
        for sock in [*self._buffers, self._listener]:
            self._load.remove(sock)
        self._buffers.clear()


def _request(buffer: bytearray) -> Any:
    """Take the body of the first whole request out of the buffer; None if there is none."""
    end = buffer.find(b"\r\n\r\n") + 4
    if end < 4:
        return None
    fields = bytes(buffer[:end]).lower().split(b"\r\n")
    (length,) = [int(line[15:]) for line in fields if line.startswith(b"content-length:")]
    if len(buffer) < end + length:
        return None
    body = bytes(buffer[end : end + length])
    del buffer[: end + length]
    return body
