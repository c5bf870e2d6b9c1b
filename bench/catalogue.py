"""Who is measured: Relay, and what people would use instead."""

import base64
import hmac
import http.client
import json
import os
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench import wire
from bench.peer import Ask, Door, Peer, Scene, Start
from bench.postgres import postgres
from bench.processes import ROOT, Absent, free_port, running

PEERS = ROOT / "bench" / "peers"
OWN = ROOT / ".venv-bench"  # the peers' packages, away from Relay's
NODE = OWN / "node/node_modules"
NCHAN = OWN / "nchan/usr/lib/nginx/modules/ngx_nchan_module.so"
# Everybody on loopback is one address, and one user has a thousand sockets: these limits would
# be what is measured. All else is as it comes.
RELAY = {
    "RELAY_RATE_LIMITS": "off",
    "RELAY_MAX_CONNECTIONS_PER_USER": "100000",
    "RELAY_MAX_CONNECTIONS_PER_ADDRESS": "100000",
}


# -- Relay -------------------------------------------------------------------------------------


def relay(
    name: str = "relay", environ: Mapping[str, str] | None = None, checkout: Path = ROOT
) -> Peer:
    """`relay serve` of a checkout, durable, with a database of its own."""

    @contextmanager
    def start(ask: Ask) -> Iterator[Scene]:
        port = free_port()
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "relay.cli.main", "serve"]
            command += ["--bind", f"127.0.0.1:{port}", "--data-dir", f"{folder}/data"]
            command += ["--workers", str(ask.workers)] if ask.workers > 1 else []
            given = {**RELAY, "PYTHONPATH": str(checkout), **ask.environ, **(environ or {})}
            with running(command, port, given, cwd=checkout, cores=ask.cores) as program:
                _await_ready(port)
                program.settle()
                yield Scene(program, lambda count, posting: _relay_users(port, count, posting))

    return Peer(
        name=name,
        title="Relay" if name == "relay" else name.replace("relay", "Relay", 1),
        start=start,
        resumes=True,
        several=True,
        durable=True,
        checkout=checkout,
    )


def _await_ready(port: int) -> None:
    """Several workers: the first one answers before all do."""
    deadline = time.monotonic() + 30
    while _call(port, "GET", "/readyz")[0] != 200:
        if time.monotonic() > deadline:
            raise RuntimeError("Relay is not ready within 30 s")
        time.sleep(0.1)


def _relay_users(port: int, count: int, posting: bool) -> list[Door]:
    """Users made over HTTP, as any client would."""
    doors = []
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    for _ in range(count):
        token = _ask(connection, "POST", "/api/user")["session_token"]
        if posting:
            token = _ask(connection, "POST", "/api/token", token)["token"]
            # where a stream starts that was there before the first event
            epoch = _ask(connection, "GET", "/api/events?limit=1", token)["cursor"].split(".")[0]
            missed = f"after={epoch}.0"
        else:
            missed = ""
        doors.append(Door(port, headers=(f"Authorization: Bearer {token}",), missed=missed))
    connection.close()
    return doors


def _ask(
    connection: http.client.HTTPConnection, method: str, path: str, token: str | None = None
) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    body = answer.read()
    if answer.status not in (200, 201):
        raise RuntimeError(f"{method} {path}: {answer.status} {body[:500]!r}")
    found: dict[str, Any] = json.loads(body)
    return found


def _call(port: int, method: str, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request(method, path)
    answer = connection.getresponse()
    return answer.status, answer.read()


# -- the others --------------------------------------------------------------------------------


def _own_python() -> str:
    path = OWN / "bin" / "python"
    if not path.exists():
        raise Absent("its packages are not installed: `make bench` does that, in .venv-bench")
    return str(path)


Users = Callable[[int, int, bool], list[Door]]  # port, how many, whether they post


def _named(port: int, count: int, _posting: bool) -> list[Door]:
    """Users who are whoever they say they are."""
    return [Door(port, query=f"user=u{number}") for number in range(count)]


def _program(
    command: Callable[[int], list[str]],
    users: Users = _named,
    environ: Callable[[], Mapping[str, str]] = dict,
) -> Start:
    @contextmanager
    def start(ask: Ask) -> Iterator[Scene]:
        port = free_port()
        with running(command(port), port, environ(), cores=ask.cores) as program:
            yield Scene(program, lambda count, posting: users(port, count, posting))

    return start


def _rooms(port: int, count: int, posting: bool) -> list[Door]:
    path = "/socket.io/?EIO=4&transport=websocket"
    return [replace(door, ws=path) for door in _named(port, count, posting)]


def _python(file: str, users: Users = _named) -> Start:
    return _program(lambda port: [_own_python(), str(PEERS / file), str(port)], users)


def _beside_relay(file: str) -> Start:
    """One that needs no package but Relay's own."""
    return _program(lambda port: [sys.executable, str(PEERS / file), str(port)])


@contextmanager
def _fastapi(ask: Ask) -> Iterator[Scene]:
    python, port, secret = _own_python(), free_port(), secrets.token_hex(32)
    with postgres() as (dsn, pid):
        command = [python, str(PEERS / "fastapi_durable.py"), str(port)]
        given = {"DATABASE_URL": dsn, "JWT_SECRET": secret}
        with running(command, port, given, cores=ask.cores, database=pid) as program:

            def doors(count: int, _posting: bool) -> list[Door]:
                tokens = (_jwt(secret, f"u{number}") for number in range(count))
                return [
                    Door(port, headers=(f"Authorization: Bearer {token}",), missed="after=0")
                    for token in tokens
                ]

            yield Scene(program, doors)


def _jwt(secret: str, user: str) -> str:
    claims = {"sub": user, "aud": "bench", "exp": int(time.time()) + 86_400}
    parts = [json.dumps(part).encode() for part in ({"alg": "HS256", "typ": "JWT"}, claims)]
    text = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
    mac = hmac.digest(secret.encode(), text, "sha256")
    return (text + b"." + base64.urlsafe_b64encode(mac).rstrip(b"=")).decode()


def _node(port: int) -> list[str]:
    node = shutil.which("node")
    if node is None:
        raise Absent("there is no node here")
    if not (NODE / "ws").exists():
        raise Absent("its package is not installed: `make bench` does that, with npm")
    return [node, str(PEERS / "node_ws.cjs"), str(port)]


@contextmanager
def _nchan(ask: Ask) -> Iterator[Scene]:
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/sbin")
    if nginx is None or not NCHAN.exists():
        raise Absent("it takes Debian's nginx and libnginx-mod-nchan")
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o711)  # its workers are nobody
        text = (PEERS / "nchan.conf").read_text()
        for name, value in (
            ("module", NCHAN), ("workers", ask.workers), ("folder", folder), ("port", port),
        ):  # fmt: skip
            text = text.replace(f"{{{name}}}", str(value))
        path = Path(folder) / "nginx.conf"
        path.write_text(text)
        with running([nginx, "-c", str(path)], port, {}, cores=ask.cores) as program:

            def doors(count: int, _posting: bool) -> list[Door]:
                named = (f"user=u{number}" for number in range(count))
                return [Door(port, sse="/api/rt", query=name) for name in named]

            yield Scene(program, doors)


NULL = Peer(name="null", title="no service", start=_beside_relay("null.py"))

NO_PROMISE = "no credential, no validation beyond JSON, nothing stored, no numbering, no resume"

CATALOGUE = (
    Peer(
        name="fastapi",
        title="FastAPI + uvicorn + asyncpg",
        start=_fastapi,
        resumes=True,
        durable=True,
        lacks="no revocation, no idempotency keys, no limits; ids are no order of commits, so a"
        " resume can miss an event; one process only; a page of history at a time, in order",
    ),
    Peer(
        name="starlette",
        title="Starlette + uvicorn, in memory",
        start=_python("starlette_memory.py"),
        lacks=f"{NO_PROMISE}; queues without bound",
    ),
    Peer(
        name="litestar",
        title="Litestar channels on uvicorn, in memory",
        start=_python("litestar_channels.py"),
        lacks=f"{NO_PROMISE}; backlogs without bound",
    ),
    Peer(
        name="django",
        title="Django Channels on uvicorn, in memory",
        start=_python("django_channels.py"),
        streams=("ws",),
        lacks=f"{NO_PROMISE}; SSE; beyond its capacity the layer drops messages silently",
    ),
    Peer(
        name="socketio",
        title="python-socketio on uvicorn, in memory",
        start=_python("socketio_rooms.py", _rooms),
        streams=("ws",),
        greeting=wire.masked(wire.TEXT, b"40"),  # "connect me", in its own protocol
        lacks=f"{NO_PROMISE}; SSE; only its own clients understand it",
    ),
    Peer(
        name="node",
        title="Node's ws, in memory",
        start=_program(_node, environ=lambda: {"NODE_PATH": str(NODE)}),
        lacks=f"{NO_PROMISE}; buffers without bound",
    ),
    Peer(
        name="nchan",
        title="nginx with nchan, in memory",
        start=_nchan,
        batches=False,
        several=True,
        lacks="no credential, no validation, nothing stored; a message is whatever was posted, one"
        " a POST",
    ),
    Peer(
        name="hypercorn",
        title="bare ASGI on Hypercorn's trio worker, in memory",
        start=_beside_relay("hypercorn_bare.py"),
        lacks=f"{NO_PROMISE}; queues without bound",
    ),
    Peer(
        name="quart-hypercorn",
        title="Quart on Hypercorn's trio worker, in memory",
        start=_beside_relay("quart_hypercorn.py"),
        lacks=f"{NO_PROMISE}; queues without bound",
    ),
)
