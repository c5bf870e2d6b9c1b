"""The streams that Relay opens most, past the framework's detours, as `direct.py` takes posts.

They are a program's: a bearer, no page and no ticket, over Relay's own server.
Whatever is not as plain as that, or not sure to be, goes the ordinary way through the blueprint,
which gives the same answers; a test holds the two to that.
"""

import re
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, NamedTuple

import structlog

from relay.auth.credentials import Credential
from relay.errors import Internal, Problem
from relay.observability.logs import know
from relay.realtime.asgi_websocket import Socket, Speaker
from relay.realtime.connection import Viewer, find_start, run_connection
from relay.realtime.hub import Inbox
from relay.realtime.resume import Position, parse_start
from relay.realtime.sse import HEADERS, Left, SseDoor, Write
from relay.realtime.websocket import SUBPROTOCOL, WebSocketDoor
from relay.server.transport import EXTENSION, Transport
from relay.services import Services
from relay.web.asgi_connection import Run
from relay.web.auth import block_of
from relay.web.middleware.access_log import ROUTE, request_id
from relay.web.problem_responses import Answer, refusal
from relay.web.rate_limits import charge_handshake, charge_viewer

SSE = "/api/sse"
WEBSOCKET = "/api/rt"

_BEARER = re.compile(rb"Bearer ([0-9A-Za-z_.-]+)")
_HEADERS = [(name.lower().encode(), text.encode()) for name, text in HEADERS.items()]
# one place to start, in letters that mean themselves
_PLAIN_QUERY = re.compile(rb"(after|last|lastEventId)=([0-9A-Za-z_.-]{1,99})")
# of a page, or with a body: for others to judge
_NOT_PLAIN = frozenset({b"origin", b"content-length", b"transfer-encoding"})

log = structlog.get_logger("relay.app")


class Asked(NamedTuple):
    """Who asks for a stream, and from where on."""

    token: str
    args: dict[str, str]
    last_event_id: str | None


class Streams:
    """`also` are headers that the app adds to each of its HTTP answers."""

    def __init__(self, services: Callable[[], Services], also: list[tuple[bytes, bytes]]) -> None:
        self._services = services
        self._also = also
        self.headers = [*_HEADERS, *also]  # of an SSE stream

    async def sse(self, scope: Any, staying: ExitStack) -> Run | Answer | None:
        """How the stream runs, or the answer that refuses it.

        None where the ordinary way must be gone; nothing is done then.
        """
        now = self._services()
        if scope["method"] != "GET" or (asked := _plain(scope, SSE)) is None:
            return None
        scope[ROUTE] = SSE
        opened = await _open(now, scope, asked, asked.last_event_id, staying)
        if isinstance(opened, Answer):
            opened.headers.extend(self._also)
            return opened
        return run_sse(now, *opened)

    async def websocket(self, scope: Any, socket: Socket) -> bool:
        """Serve it, from its handshake to its end; False as `sse`'s None."""
        now = self._services()
        if (asked := _plain(scope, WEBSOCKET)) is None:
            return False
        scope[ROUTE] = WEBSOCKET
        with ExitStack() as staying:
            opened = await _open(now, scope, asked, None, staying)
            if isinstance(opened, Answer):
                await socket.refuse(*opened)
                return True
            credential, inbox, position = opened
            subprotocol = chosen_subprotocol(scope)
            await socket.accept(subprotocol)
            door = websocket_door(now, scope, socket, subprotocol)
            viewer = Viewer(credential, now.settings.stream_max_age)
            await run_connection(door, inbox, viewer, position, now.publisher.journal)
        return True


def run_sse(now: Services, credential: Credential, inbox: Inbox, position: Position) -> Run:
    """How an admitted SSE stream runs."""

    async def run(write: Write, left: Left, transport: Transport | None) -> None:
        door = SseDoor(write, left, transport, heartbeat=now.settings.beat)
        viewer = Viewer(credential, now.settings.stream_max_age)
        await run_connection(door, inbox, viewer, position, now.publisher.journal)

    return run


def chosen_subprotocol(scope: Any) -> str | None:
    return SUBPROTOCOL if SUBPROTOCOL in scope["subprotocols"] else None


def websocket_door(
    now: Services, scope: Any, socket: Speaker, subprotocol: str | None
) -> WebSocketDoor:
    return WebSocketDoor(
        socket,
        (scope.get("extensions") or {}).get(EXTENSION),
        batched=subprotocol is not None,
        heartbeat=now.settings.beat,
        idle_timeout=now.settings.idle_timeout,
    )


async def _open(
    now: Services, scope: Any, asked: Asked, last_event_id: str | None, staying: ExitStack
) -> tuple[Credential, Inbox, Position] | Answer:
    """Who watches, an inbox, while `staying` stays, and where its reader starts.

    Or the answer that refuses.
    """
    try:
        charge_handshake(now.limits, scope)
        credential = await now.access.authenticate(asked.token, time.time())
        know(user_id=credential.user_id, token_id=credential.id)
        credential.require_watch()
        charge_viewer(now.limits, scope, credential.user_id)
        start = parse_start(asked.args, last_event_id)
        inbox = staying.enter_context(
            now.hub.subscribe(credential.user_id, credential.id, block_of(scope))
        )
        return credential, inbox, await find_start(inbox, start, now.heads)
    except Problem as problem:
        return await refusal(problem, request_id(scope))
    except Exception as error:  # our fault: the log has the details
        log.error("request_failed", exc_info=error)
        return await refusal(Internal(), request_id(scope))


def _plain(scope: Any, path: str) -> Asked | None:
    """What is asked for, if that is plain."""
    if scope.get("raw_path") != path.encode() or EXTENSION not in (scope.get("extensions") or ()):
        return None
    token = last_event_id = None
    for name, value in scope["headers"]:
        if name == b"authorization":
            if token is not None:
                return None
            token = value
        elif name == b"last-event-id":
            if last_event_id is not None:
                return None
            last_event_id = value
        elif name in _NOT_PLAIN:
            return None
    args = _plain_args(scope["query_string"])
    bearer = None if token is None else _BEARER.fullmatch(token)
    if args is None or bearer is None:
        return None
    return Asked(
        bearer[1].decode(),
        args,
        None if last_event_id is None else last_event_id.decode("latin-1"),
    )


def _plain_args(query: bytes) -> dict[str, str] | None:
    if not query:
        return {}
    plain = _PLAIN_QUERY.fullmatch(query)
    return None if plain is None else {plain[1].decode(): plain[2].decode()}
