"""Start what is measured as a process of its own, on a core of its own where there are two."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from relay.packaged import packaged

SERVER_CORE, OTHER_CORE = 0, 1

SETTINGS = {
    "LOG_LEVEL": "error",
    "RELAY_RATE_LIMITS": "off",
    "RELAY_MAX_CONNECTIONS_PER_USER": "100000",
    "RELAY_MAX_CONNECTIONS_PER_ADDRESS": "100000",
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(command: list[str], port: int, **environ: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, *command],
        env={**os.environ, **environ},
        stdout=subprocess.DEVNULL,
    )
    try:
        _await_port(port, process)
        if (os.cpu_count() or 1) > 1:
            os.sched_setaffinity(process.pid, {SERVER_CORE})
            for child in _children(process.pid):
                with suppress(ProcessLookupError):  # Postgres' helpers come and go
                    os.sched_setaffinity(child, {OTHER_CORE})
        yield process
    finally:
        process.terminate()
        process.wait(20)


@contextmanager
def relay(**environ: str) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """A Relay with an embedded database in a folder of its own; Postgres on the other core."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        command = ["-m", "relay.cli.main", "serve", "--bind", f"127.0.0.1:{port}"]
        with running(
            [*command, "--data-dir", f"{folder}/data"], port, **{**SETTINGS, **environ}
        ) as process:
            yield port, process


@contextmanager
def unmodified() -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """The same app under an unmodified Hypercorn: no guard, no extension."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        command = ["-m", "hypercorn", "-c", str(packaged("hypercorn.toml"))]
        command += ["--bind", f"127.0.0.1:{port}", "relay.asgi:app"]
        with running(command, port, RELAY_DATA_DIR=f"{folder}/data", **SETTINGS) as process:
            yield port, process


@contextmanager
def bare_quart() -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    port = free_port()
    with running(["-m", "bench.peers", str(port)], port) as process:
        yield port, process


def call(port: int, path: str, token: str | None = None, **body: Any) -> dict[str, Any]:
    """POST JSON and return the answer."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}",
        method="POST",
        data=json.dumps(body).encode() if body else b"",
        headers={"Content-Type": "application/json"}
        | ({"Authorization": f"Bearer {token}"} if token else {}),
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        found: dict[str, Any] = json.load(answer)
        return found


def resident_kib(pid: int) -> int:
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def _await_port(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode}")
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=1)
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError("the server did not start")


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat") as stat:
                    parent = int(stat.read().rpartition(")")[2].split()[1])
            except OSError:
                continue
            if parent == pid:
                found += [int(entry), *_children(int(entry))]
    return found
