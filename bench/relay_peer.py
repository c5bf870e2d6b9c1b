"""Relay as a program that is measured."""

import http.client
import json
import os
import ssl
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.certificates import Certificate
from bench.peer import Endpoint, Peer, PeerInstance, StartOptions
from bench.postgres import postgres
from bench.processes import ROOT, Program, running
from tests.support.ports import HeldPort

# All clients share the loopback address, and one user has a thousand sockets: with these limits the
# benchmark would measure the limits. All other settings keep their defaults.
RELAY_SETTINGS = {
    "RELAY_RATE_LIMITS": "off",
    "RELAY_MAX_CONNECTIONS_PER_USER": "100000",
    "RELAY_MAX_CONNECTIONS_PER_ADDRESS": "100000",
}
# Its name is looked up when there is something to send. The events of a workload are progress, of
# which no channel is notified: what is measured is that each user's events have to be looked at.
CHANNEL = {"kind": "webhook", "url": "https://receiver.example/hook"}


def relay(
    name: str = "relay", environ: Mapping[str, str] | None = None, checkout: Path = ROOT
) -> Peer:
    """`relay serve` of a checkout, with its embedded database."""

    @contextmanager
    def start(options: StartOptions) -> Iterator[PeerInstance]:
        tls = options.tls
        with HeldPort() as held, tempfile.TemporaryDirectory() as folder:
            port = held.number
            command = [sys.executable, "-m", "relay.cli.main", "serve"]
            command += ["--bind", f"127.0.0.1:{port}", "--data-dir", f"{folder}/data"]
            command += ["--workers", str(options.workers)] if options.workers > 1 else []
            given = {
                **RELAY_SETTINGS,
                "PYTHONPATH": str(checkout),
                **options.environ,
                **(environ or {}),
            }
            cwd = checkout
            if options.certificate:
                cwd = _folder_with_certificate(checkout, Path(folder), options.certificate)
            with running(command, port, given, cwd=cwd, cores=options.cores, tls=tls) as program:
                _await_ready(port, tls)
                program.pin_processes()

                def endpoints(count: int, posting: bool) -> list[Endpoint]:
                    found = relay_users(
                        port, count, posting, tls=tls, channels=options.channels and posting
                    )
                    query = "tasks=1" if options.tasks else ""
                    return [replace(endpoint, stream_query=query) for endpoint in found]

                yield PeerInstance(program, endpoints, tls)

    return Peer(
        name=name,
        title="Relay" if name == "relay" else name.replace("relay", "Relay", 1),
        start=start,
        resumes=True,
        multi_process=True,
        durable=True,
        checkout=checkout,
    )


def _folder_with_certificate(checkout: Path, folder: Path, certificate: Certificate) -> Path:
    """A folder whose `hypercorn.toml`, which `relay serve` reads, adds the certificate."""
    names = {"certfile": certificate.certificate, "keyfile": certificate.key}
    lines = [f"{name} = {json.dumps(path)}\n" for name, path in names.items()]
    text = (checkout / "hypercorn.toml").read_text()
    (folder / "hypercorn.toml").write_text(text + "".join(lines))
    return folder


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
        port = self._stack.enter_context(HeldPort()).number
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


def _await_ready(port: int, tls: ssl.SSLContext | None = None) -> None:
    """Wait until all workers serve; the first one answers earlier."""
    deadline = time.monotonic() + 30
    while _status(port, "/readyz", tls) != 200:
        if time.monotonic() > deadline:
            raise RuntimeError("Relay is not ready within 30 s")
        time.sleep(0.1)


def relay_users(
    port: int,
    count: int,
    posting: bool,
    *,
    tls: ssl.SSLContext | None = None,
    channels: bool = False,
) -> list[Endpoint]:
    """Create users over HTTP, as any client would; with `channels` each has one."""
    endpoints = []
    connection = _connect(port, tls)
    for _ in range(count):
        token = ask(connection, "POST", "/api/user")["session_token"]
        if channels:
            ask(connection, "POST", "/api/channels", token, CHANNEL)
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


def _connect(port: int, tls: ssl.SSLContext | None) -> http.client.HTTPConnection:
    if tls is not None:
        return http.client.HTTPSConnection("127.0.0.1", port, timeout=30, context=tls)
    return http.client.HTTPConnection("127.0.0.1", port, timeout=30)


def _status(port: int, path: str, tls: ssl.SSLContext | None) -> int:
    with closing(_connect(port, tls)) as connection:
        connection.request("GET", path)
        return connection.getresponse().status
