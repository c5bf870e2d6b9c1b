"""Programs that are measured: started on the server's cores, known by their processes, stopped."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.machine import (
    OTHER_CORES,
    SERVER_CORES,
    Meter,
    is_postgres,
    memory_kib,
    on_cores,
    pin,
    tree,
)

START = 60.0  # seconds a program may take until it answers
STOP = 20.0  # seconds it may take to end
ROOT = Path(__file__).parents[1]


class Absent(Exception):
    """This machine lacks what a peer needs; the message says what."""


@dataclass(slots=True)
class Program:
    """A server that answers on `port`; what it started counts as its own, but for Postgres."""

    port: int
    process: "subprocess.Popen[bytes]"
    cores: frozenset[int]
    database: int | None = None  # of a Postgres beside it

    def _all(self) -> list[int]:
        beside = tree(self.database) if self.database else []
        return tree(self.process.pid) + beside

    def settle(self) -> None:
        """The server's threads on its cores, Postgres on the other ones."""
        for pid in self._all():
            pin(pid, OTHER_CORES if is_postgres(pid) else self.cores)

    def meter(self) -> Meter:
        found = self._all()
        postgres = [pid for pid in found if is_postgres(pid)]
        return Meter([pid for pid in found if pid not in postgres], postgres)

    def memory_kib(self) -> int:
        return sum(memory_kib(pid) for pid in tree(self.process.pid) if not is_postgres(pid))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(
    command: Sequence[str],
    port: int,
    environ: Mapping[str, str],
    *,
    cwd: Path = ROOT,
    cores: frozenset[int] = SERVER_CORES,
    database: int | None = None,
) -> Iterator[Program]:
    """The program until the block ends. Raises RuntimeError when it does not start."""
    with tempfile.TemporaryFile() as said:
        with on_cores(cores):
            process = subprocess.Popen(
                command,
                cwd=cwd,
                env={**os.environ, **environ},
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
            )
        try:
            if not _answers(port, process):
                said.seek(0)
                raise RuntimeError(
                    f"{command[0]} did not start: {said.read()[-2000:].decode(errors='replace')}"
                )
            program = Program(port, process, cores, database)
            program.settle()
            yield program
        finally:
            _stop(process)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(STOP)
    except subprocess.TimeoutExpired:
        print(f"process {process.pid} does not stop: killed", file=sys.stderr)
        process.kill()
        process.wait()


def _answers(port: int, process: "subprocess.Popen[bytes]") -> bool:
    """Whether it answers HTTP, whatever it says, before it ends and within START."""
    deadline = time.monotonic() + START
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=2) as sock:
                sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
                if sock.recv(16):
                    return True
        except OSError:
            pass
        time.sleep(0.05)
    return False
