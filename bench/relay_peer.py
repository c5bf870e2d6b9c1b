"""Relay as a program that is measured."""

import http.client
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from bench.peer import Endpoint, Peer, PeerInstance, StartOptions
from bench.postgres import postgres
from bench.processes import ROOT, Program, free_port, running

# All clients share the loopback address, and one user has a thousand sockets: with these limits the
# benchmark would measure the limits. All other settings keep their defaults.
RELAY_SETTINGS = {
    "RELAY_RATE_LIMITS": "off",
    "RELAY_MAX_CONNECTIONS_PER_USER": "100000",
    "RELAY_MAX_CONNECTIONS_PER_ADDRESS": "100000",
}


def relay(
    name: str = "relay", environ: Mapping[str, str] | None = None, checkout: Path = ROOT
) -> Peer:
    """`relay serve` of a checkout, with its embedded database."""

    @contextmanager
    def start(options: StartOptions) -> Iterator[PeerInstance]:
        port = free_port()
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "relay.cli.main", "serve"]
            command += ["--bind", f"127.0.0.1:{port}", "--data-dir", f"{folder}/data"]
            command += ["--workers", str(options.workers)] if options.workers > 1 else []
            given = {
                **RELAY_SETTINGS,
                "PYTHONPATH": str(checkout),
                **options.environ,
                **(environ or {}),
            }
            with running(command, port, given, cwd=checkout, cores=options.cores) as program:
                _await_ready(port)
                program.pin_processes()
                yield PeerInstance(
                    program, lambda count, posting: relay_users(port, count, posting)
                )

    return Peer(
        name=name,
        title="Relay" if name == "relay" else name.replace("relay", "Relay", 1),
        start=start,
        resumes=True,
        multi_process=True,
        durable=True,
        checkout=checkout,
    )


class RelayFleet:
    """Relay processes on one database. `database` is the process id of its Postgres."""

    def __init__(
        self,
        checkout: Path,
        dsn: str,
        database: int,
        stack: ExitStack,
        environ: Mapping[str, str],
    ) -> None:
        self.programs: list[Program] = []
        self.database = database
        self._checkout = checkout
        self._stack = stack
        self._environ = {
            **RELAY_SETTINGS,
            "PYTHONPATH": str(checkout),
            "DATABASE_URL": dsn,
            "RELAY_SIGNING_KEYS": "bench:" + os.urandom(32).hex(),
            **environ,
        }

    def start(self) -> Program:
        """Start one more process."""
        port = free_port()
        # the issuer of the tokens is the first
        self._environ.setdefault("BASE_URL", f"http://127.0.0.1:{port}")
        command = [sys.executable, "-m", "relay.cli.main", "serve", "--bind", f"127.0.0.1:{port}"]
        program = self._stack.enter_context(
            running(command, port, self._environ, cwd=self._checkout, database=self.database)
        )
        _await_ready(port)
        self.programs.append(program)
        return program


@contextmanager
def relay_fleet(
    checkout: Path = ROOT, environ: Mapping[str, str] | None = None
) -> Iterator[RelayFleet]:
    """Relay processes of a checkout, started one by one, until the block ends."""
    with postgres() as (dsn, pid), ExitStack() as stack:
        yield RelayFleet(checkout, dsn, pid, stack, environ or {})


def _await_ready(port: int) -> None:
    """Wait until all workers serve; the first one answers earlier."""
    deadline = time.monotonic() + 30
    while _call(port, "GET", "/readyz")[0] != 200:
        if time.monotonic() > deadline:
            raise RuntimeError("Relay is not ready within 30 s")
        time.sleep(0.1)


def relay_users(port: int, count: int, posting: bool) -> list[Endpoint]:
    """Create users over HTTP, as any client would."""
    endpoints = []
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    for _ in range(count):
        token = ask(connection, "POST", "/api/user")["session_token"]
        if posting:
            token = ask(connection, "POST", "/api/token", token)["token"]
            # the cursor before the first event
            epoch = ask(connection, "GET", "/api/events?limit=1", token)["cursor"].split(".")[0]
            missed = f"after={epoch}.0"
        else:
            missed = ""
        endpoints.append(Endpoint(port, headers=(f"Authorization: Bearer {token}",), missed=missed))
    connection.close()
    return endpoints


def ask(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    token: str | None = None,
    body: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The answer of a call. Raises RuntimeError if it is refused."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    headers |= {} if body is None else {"Content-Type": "application/json"}
    connection.request(method, path, None if body is None else json.dumps(body), headers)
    answer = connection.getresponse()
    text = answer.read()
    if answer.status not in (200, 201):
        raise RuntimeError(f"{method} {path}: {answer.status} {text[:500]!r}")
    found: dict[str, Any] = json.loads(text)
    return found


def _call(port: int, method: str, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request(method, path)
    answer = connection.getresponse()
    return answer.status, answer.read()
