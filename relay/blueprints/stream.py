"""A user's stream over WebSocket and SSE, and tickets that open it."""

from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from typing import NamedTuple

import msgspec
from msgspec.structs import replace
from quart import Blueprint

from relay.auth.credentials import TICKET_SECONDS
from relay.db.journal import Journal
from relay.errors import BadCursor, BadRequest, Draining, Problem, ProcessFull, TooManyConnections
from relay.realtime.inbox import Inbox
from relay.realtime.resume import Position, Start, parse_start
from relay.realtime.sse import HEADERS, SseTransport
from relay.realtime.stream_connection import Viewer, find_start, refuse, run_connection
from relay.realtime.task_feeds import TaskFeed
from relay.realtime.websocket import SUBPROTOCOL, WebSocketTransport
from relay.web.answers import Answer, json_answer
from relay.web.auth import authenticate_viewer, refuse_foreign_origin
from relay.web.needs import VIEWER, WATCHER
from relay.web.openapi.describe import EventStreamAnswer, Text, described
from relay.web.openapi.stream_messages import SSE_EVENT
from relay.web.openapi.stream_parameters import LAST_EVENT_ID_HEADER, TASKS, WHERE_TO_START
from relay.web.places import hold_places
from relay.web.rate_limits import (
    TOKENS,
    charge_handshake,
    charge_viewer,
    limited,
    limited_by_handler,
)
from relay.web.refused_streams import comes_back_by_itself, refused_stream_answer
from relay.web.request import HTTPRequest, Request, WebSocketRequest
from relay.web.routes import direct, needs

stream = Blueprint("stream", __name__)


class Ticket(msgspec.Struct):
    """A credential for a URL, valid once within `expires_in` seconds."""

    ticket: str
    expires_in: int


class _Opened(NamedTuple):
    """What `run_connection` serves over a transport: the reader, and where its stream starts."""

    inbox: Inbox
    viewer: Viewer
    position: Position
    journal: Journal
    feed: TaskFeed | None


_FULL = (TooManyConnections, ProcessFull, Draining)


@stream.post("/api/rt/ticket")
@described(
    "streams",
    answers={201: Ticket("kq3v7mHc0b9ZtLr2xY5wPn8sJf6dAeGu1iVo4TQhRkM", TICKET_SECONDS)},
)
@limited(TOKENS)
@needs(WATCHER)
async def mint_ticket(request: HTTPRequest) -> Answer:
    """Make a ticket: a single-use credential for a URL, valid for 30 seconds."""
    ticket = await request.services.credentials.mint_ticket(request.credential, request.origin)
    return json_answer(Ticket(ticket, TICKET_SECONDS), 201)


@stream.get("/api/sse")
@direct
@described(
    "streams",
    parameters=(*WHERE_TO_START, TASKS, LAST_EVENT_ID_HEADER),
    answers={200: EventStreamAnswer("The stream; see /asyncapi.json.", SSE_EVENT)},
    headers={200: ("Cache-Control",)},
    refuses=(BadCursor, BadRequest, *_FULL),
)
@limited_by_handler
@needs(VIEWER)
async def sse(request: HTTPRequest) -> Answer | None:
    """Open the stream as server-sent events.

    A refusal with 429 or 503 is a 200 with `retry` and `event: close` for a client whose `Accept`
    names `text/event-stream`: an EventSource reconnects after no other status.
    """
    refuse_foreign_origin(request, for_stream=True)
    try:
        return await _open_sse(request)
    except Problem as problem:
        if request.started or not comes_back_by_itself(problem, request):
            raise
        return await refused_stream_answer(problem, request)


async def _open_sse(request: HTTPRequest) -> Answer | None:
    """Serve the stream until it ends. Raises like `_open`."""
    async with _open(request, request.headers.get("Last-Event-ID")) as opened:
        if request.method == "HEAD":
            return Answer(200, [*HEADERS], b"")
        await request.start(200, [*HEADERS])
        transport = SseTransport(
            *(request.write, request.wait_for_disconnect, request.handle),
            heartbeat=request.services.settings.heartbeat_interval,
        )
        await run_connection(transport, *opened)
        await request.end()
    return None


@stream.websocket("/api/rt")
@direct
@described(
    "streams",
    parameters=(*WHERE_TO_START, TASKS),
    answers={101: Text("A WebSocket; see /asyncapi.json.")},
    refuses=(BadCursor, BadRequest, *_FULL),
)
@limited_by_handler
@needs(VIEWER)
async def rt(request: WebSocketRequest) -> None:
    """Open the stream as a WebSocket."""
    refuse_foreign_origin(request, for_stream=True)
    services = request.services
    subprotocol = SUBPROTOCOL if SUBPROTOCOL in request.scope["subprotocols"] else None
    transport = WebSocketTransport(
        request.socket,
        request.handle,
        batched=subprotocol is not None,
        heartbeat=services.settings.heartbeat_interval,
        idle_timeout=services.settings.idle_timeout,
    )
    try:
        async with _open(request, None) as opened:
            await request.accept(subprotocol)
            await run_connection(transport, *opened)
    except Problem as problem:
        if request.origin is None:
            raise  # an HTTP answer, which a page's script could not read
        await request.accept(subprotocol)
        await refuse(transport, problem)


@asynccontextmanager
async def _open(request: Request, last_event_id: str | None) -> AsyncIterator[_Opened]:
    """Admit a reader, and hold what its stream takes: places, an inbox, the feed of its tasks.

    Raises RateLimited, what `authenticate_viewer` raises, BadCursor, BadRequest,
    TooManyConnections, ProcessFull, Draining, UserGone, DatabaseAway.
    """
    await charge_handshake(request)
    credential = await authenticate_viewer(request)
    await charge_viewer(request, credential.user_id)
    start, has_tasks = parse_start(request.args, last_event_id), _wants_tasks(request)
    services, user_id = request.services, credential.user_id
    viewer = Viewer(credential, services.settings.stream_max_age, services.revocations)
    async with hold_places(request, services.hub, user_id):
        with services.hub.subscribe(user_id, credential.id, request.address_block) as inbox:
            position = await find_start(inbox, start, services.backplane, services.heads)
            feeding: AbstractContextManager[TaskFeed | None] = nullcontext()
            if has_tasks:
                snapshot = await services.task_feeds.read_snapshot(user_id, position.last)
                if start == Start() and snapshot.cursor.epoch == position.epoch:
                    # the reader does not say where to start: after the snapshot
                    position = replace(position, seq=snapshot.cursor.seq)
                feeding = services.task_feeds.subscribe(inbox, snapshot)
            with feeding as feed:
                yield _Opened(inbox, viewer, position, services.publisher.journal, feed)


def _wants_tasks(request: Request) -> bool:
    """Whether the query has `tasks=1`. Raises BadRequest for another value."""
    tasks = request.args.get("tasks")
    if tasks not in (None, "1"):
        raise BadRequest("`tasks` must be 1: the stream has tasks, too. Leave it out otherwise.")
    return tasks is not None
