"""Start the measured programs on the server's cores, find their processes, and stop them."""

import os
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.connections import open_socket
from bench.machine import (
    OTHER_CORES,
    SERVER_CORES,
    Meter,
    is_postgres,
    memory_kib,
    on_cores,
    pin,
    process_tree,
)

START_SECONDS = 60.0  # until the program answers
STOP_SECONDS = 20.0  # until the program has ended
ROOT = Path(__file__).parents[1]


class PeerUnavailable(Exception):
    """This machine lacks something that a peer needs; the message names it."""


class ProgramMissing(Exception):
    """This machine lacks a program that the rest of a workload needs; the message names it."""


@dataclass(slots=True)
class Program:
    """A server on `port`, with its child processes; Postgres is counted separately."""

    port: int
    process: "subprocess.Popen[bytes]"
    cores: frozenset[int]
    database: int | None = None  # process id of its separate Postgres

    def _all(self) -> list[int]:
        beside = process_tree(self.database) if self.database else []
        return process_tree(self.process.pid) + beside

    def pin_processes(self) -> None:
        """Pin the server's threads to its cores, and Postgres to the others."""
        for pid in self._all():
            pin(pid, OTHER_CORES if is_postgres(pid) else self.cores)

    def meter(self) -> Meter:
        found = self._all()
        postgres = [pid for pid in found if is_postgres(pid)]
        return Meter([pid for pid in found if pid not in postgres], postgres)

    def memory_kib(self) -> int:
        return sum(
            memory_kib(pid) for pid in process_tree(self.process.pid) if not is_postgres(pid)
        )


@contextmanager
def running(
    command: Sequence[str],
    port: int,
    environ: Mapping[str, str],
    *,
    cwd: Path = ROOT,
    cores: frozenset[int] = SERVER_CORES,
    database: int | None = None,
    tls: ssl.SSLContext | None = None,
) -> Iterator[Program]:
    """Run a program until the block ends; with `tls` it is asked over TLS whether it serves.

    Raises RuntimeError if it does not start.
    """
    with tempfile.TemporaryFile() as output:
        with on_cores(cores):
            process = subprocess.Popen(
                command,
                cwd=cwd,
                env={**os.environ, **environ},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            if not _answers(port, process, tls):
                output.seek(0)
                raise RuntimeError(
                    f"{command[0]} did not start: {output.read()[-2000:].decode(errors='replace')}"
                )
            program = Program(port, process, cores, database)
            program.pin_processes()
            yield program
        finally:
            _stop(process)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        print(f"process {process.pid} does not stop and is killed", file=sys.stderr)
        process.kill()
        process.wait()


def _answers(
    port: int, process: "subprocess.Popen[bytes]", tls: ssl.SSLContext | None = None
) -> bool:
    """Whether it gives any HTTP answer within START_SECONDS."""
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with open_socket(port, tls) as sock:
                sock.settimeout(2)
                sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
                if sock.recv(16):
                    return True
        except OSError:
            pass
        time.sleep(0.05)
    return False
