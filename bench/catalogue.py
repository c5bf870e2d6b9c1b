"""The programs that are measured beside Relay."""

import base64
import hmac
import json
import secrets
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

from bench import wire
from bench.peer import Endpoint, Peer, PeerInstance, Start, StartOptions
from bench.postgres import postgres
from bench.processes import PeerUnavailable, running
from bench.proxies import PEERS, PEERS_ENVIRONMENT, nchan, pushpin
from tests.support.ports import HeldPort

NODE_MODULES = PEERS_ENVIRONMENT / "node/node_modules"


def _peers_python() -> str:
    path = PEERS_ENVIRONMENT / "bin" / "python"
    if not path.exists():
        raise PeerUnavailable(
            "its packages are not installed; `make bench` does that, in .venv-bench"
        )
    return str(path)


Users = Callable[[int, int, bool], list[Endpoint]]  # port, number of users, whether they post


def _users_by_query(port: int, count: int, _posting: bool) -> list[Endpoint]:
    """Users that are named by the query, without a credential."""
    return [Endpoint(port, query=f"user=u{number}") for number in range(count)]


def _program(
    command: Callable[[int], list[str]],
    users: Users = _users_by_query,
    environ: Callable[[], Mapping[str, str]] = dict,
) -> Start:
    @contextmanager
    def start(options: StartOptions) -> Iterator[PeerInstance]:
        tls, given = options.tls, {**environ(), **_certificate(options)}
        with HeldPort() as held:
            port = held.number
            with running(command(port), port, given, cores=options.cores, tls=tls) as program:
                yield PeerInstance(program, lambda count, posting: users(port, count, posting), tls)

    return start


def _certificate(options: StartOptions) -> Mapping[str, str]:
    """The environment that makes a program of `bench/peers/` serve over TLS, if it shall."""
    return options.certificate.environ if options.certificate else {}


def _socketio_users(port: int, count: int, posting: bool) -> list[Endpoint]:
    path = "/socket.io/?EIO=4&transport=websocket"
    return [replace(endpoint, ws=path) for endpoint in _users_by_query(port, count, posting)]


def _python(file: str, users: Users = _users_by_query) -> Start:
    return _program(lambda port: [_peers_python(), str(PEERS / file), str(port)], users)


def _with_relay_packages(file: str) -> Start:
    """A peer that needs only packages that Relay has, too."""
    return _program(lambda port: [sys.executable, str(PEERS / file), str(port)])


@contextmanager
def _fastapi(options: StartOptions) -> Iterator[PeerInstance]:
    python, secret = _peers_python(), secrets.token_hex(32)
    with HeldPort() as held, postgres() as (dsn, pid):
        port = held.number
        command = [python, str(PEERS / "fastapi_durable.py"), str(port)]
        given = {"DATABASE_URL": dsn, "JWT_SECRET": secret, **_certificate(options)}
        with running(
            command, port, given, cores=options.cores, database=pid, tls=options.tls
        ) as program:

            def endpoints(count: int, _posting: bool) -> list[Endpoint]:
                tokens = (_jwt(secret, f"u{number}") for number in range(count))
                return [
                    Endpoint(port, headers=(f"Authorization: Bearer {token}",), missed="after=0")
                    for token in tokens
                ]

            yield PeerInstance(program, endpoints, options.tls)


def _jwt(secret: str, user: str) -> str:
    claims = {"sub": user, "aud": "bench", "exp": int(time.time()) + 86_400}
    parts = [json.dumps(part).encode() for part in ({"alg": "HS256", "typ": "JWT"}, claims)]
    text = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
    mac = hmac.digest(secret.encode(), text, "sha256")
    return (text + b"." + base64.urlsafe_b64encode(mac).rstrip(b"=")).decode()


def _node(port: int) -> list[str]:
    node = shutil.which("node")
    if node is None:
        raise PeerUnavailable("there is no node here")
    if not (NODE_MODULES / "ws").exists():
        raise PeerUnavailable("its package is not installed: `make bench` does that, with npm")
    return [node, str(PEERS / "node_ws.cjs"), str(port)]


NULL = Peer(name="null", title="no service", start=_with_relay_packages("null.py"))

# those that the page's summary compares Relay with
COMPARED = ("fastapi", "starlette", "node", "nchan", "pushpin", "quart-hypercorn")

NO_GUARANTEES = "no credential, no validation beyond JSON, nothing stored, no numbering, no resume"

CATALOGUE = (
    Peer(
        name="fastapi",
        title="FastAPI + uvicorn + asyncpg",
        start=_fastapi,
        resumes=True,
        durable=True,
        limitations="no revocation, no idempotency keys, no limits; ids are not in commit order, so"
        " a resume can miss an event; one process only; history is sent page by page, in order",
    ),
    Peer(
        name="starlette",
        title="Starlette + uvicorn, in memory",
        start=_python("starlette_memory.py"),
        limitations=f"{NO_GUARANTEES}; unbounded queues",
    ),
    Peer(
        name="litestar",
        title="Litestar channels on uvicorn, in memory",
        start=_python("litestar_channels.py"),
        limitations=f"{NO_GUARANTEES}; unbounded backlogs",
    ),
    Peer(
        name="django",
        title="Django Channels on uvicorn, in memory",
        start=_python("django_channels.py"),
        streams=("ws",),
        limitations=f"{NO_GUARANTEES}, no SSE; above its capacity the layer silently drops"
        " messages",
    ),
    Peer(
        name="socketio",
        title="python-socketio on uvicorn, in memory",
        start=_python("socketio_rooms.py", _socketio_users),
        streams=("ws",),
        greeting=wire.masked(wire.TEXT, b"40"),  # the CONNECT packet of its protocol
        limitations=f"{NO_GUARANTEES}, no SSE; works only with its own clients",
    ),
    Peer(
        name="node",
        title="Node's ws, in memory",
        start=_program(_node, environ=lambda: {"NODE_PATH": str(NODE_MODULES)}),
        limitations=f"{NO_GUARANTEES}; unbounded buffers",
    ),
    Peer(
        name="nchan",
        title="nginx with nchan, in memory",
        start=nchan,
        batches=False,
        multi_process=True,
        limitations="no credential, no validation, nothing stored; a message is the posted body,"
        " one per POST",
    ),
    Peer(
        name="pushpin",
        title="Pushpin, in memory",
        start=pushpin,
        quiet_clients=True,
        multi_process=True,
        limitations="no credential of its own and no validation: the service behind it has them;"
        " nothing stored, no numbering, no resume; its HTTP endpoint for events closes the"
        " connection after each POST; its limit of messages a second is off"
        " ([why](../../bench/peers/README.md#pushpin))",
    ),
    Peer(
        name="hypercorn",
        title="bare ASGI on Hypercorn's trio worker, in memory",
        start=_with_relay_packages("hypercorn_bare.py"),
        limitations=f"{NO_GUARANTEES}; unbounded queues",
    ),
    Peer(
        name="quart-hypercorn",
        title="Quart on Hypercorn's trio worker, in memory",
        start=_with_relay_packages("quart_hypercorn.py"),
        limitations=f"{NO_GUARANTEES}; unbounded queues",
    ),
)
