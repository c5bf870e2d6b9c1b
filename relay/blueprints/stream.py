"""The two doors to a user's stream, the same stream as plain pages, and tickets."""

from typing import Any, cast

import msgspec
from quart import Blueprint, Request, Response, Websocket, request, websocket
from quart_schema import document_response, tag

from relay.access import TICKET_SECONDS, Credential
from relay.bodies import answer
from relay.errors import Problem
from relay.exchange import EventStream
from relay.realtime.connection import Viewer, refuse, run_connection
from relay.realtime.frames import Frame
from relay.realtime.resume import Position, locate, parse_count, parse_start
from relay.realtime.sse import SseDoor, Write
from relay.realtime.websocket import SUBPROTOCOL, WebSocketDoor
from relay.requests import check_origin, client_address, needs_any, needs_viewer, viewer
from relay.server.transport import EXTENSION, Transport
from relay.services import services

stream = Blueprint("stream", __name__)

MAX_PAGE = 1_000  # events of one GET
MAX_PAGE_BYTES = 8 * 2**20  # of one GET; a page cut by bytes goes on from its cursor


class Ticket(msgspec.Struct):
    ticket: str
    expires_in: int


@stream.post("/api/rt/ticket")
@tag(["streams"])
@document_response(Ticket, 201)
@needs_any
async def mint_ticket(credential: Credential) -> Response:
    """A single use, 30 seconds credential for a URL that a browser opens without headers."""
    credential.require_watch()
    origin = request.headers.get("Origin")
    ticket = await services().access.mint_ticket(credential, origin)
    return answer(Ticket(ticket, TICKET_SECONDS), 201)


@stream.get("/api/events")
@tag(["streams"])
@needs_any
async def list_events(credential: Credential) -> Response:
    """A page of stored events, from the oldest or from a cursor on."""
    credential.require_watch()
    journal = services().publisher.journal
    limit = parse_count("limit", request.args.get("limit", str(MAX_PAGE)), MAX_PAGE)
    start = parse_start(request.args)
    head = await journal.head(credential.user_id)
    while True:
        position = locate(start, head, default_oldest=True)
        page = await journal.read(credential.user_id, position.seq, limit, MAX_PAGE_BYTES)
        if page.head.epoch == head.epoch and page.head.oldest <= position.seq + 1:
            break
        head = page.head  # trimmed between the two looks: what is missing must be told
    frames = [Frame(event) for event in page.events]
    facts: dict[str, Any] = {
        "cursor": frames[-1].cursor if frames else position.cursor,
        "resumed": position.resumed,
        "oldest": page.head.oldest,
    }
    if position.reason is not None:
        facts["reason"] = position.reason
    if position.gap is not None:
        facts["gap"] = {"from": position.gap.first, "to": position.gap.last}
    events = [msgspec.Raw(frame.json) for frame in frames]
    return answer({"events": events, **facts})


@stream.get("/api/sse")
@tag(["streams"])
@needs_viewer
async def sse() -> Response:
    """The stream as server-sent events."""
    _refuse_foreign(request)
    credential, position = await _admitted(request, request.headers.get("Last-Event-ID"))
    address = client_address(request)
    now = services()

    async def run(write: Write, transport: Transport | None) -> None:
        door = SseDoor(write, transport, heartbeat=now.settings.beat)
        watcher = Viewer(credential, now.settings.stream_max_age)
        try:
            with now.hub.subscribe(credential.user_id, credential.id, address) as inbox:
                await run_connection(door, inbox, watcher, position, now.publisher.journal)
        except Problem as problem:  # full since it was admitted, a moment ago
            await refuse(door, problem)

    return EventStream(run)


@stream.websocket("/api/rt")
@needs_viewer
async def rt() -> None:
    """The stream as WebSocket messages."""
    # the proxy stands for another object in every task; the door needs this one
    connection = cast("Any", websocket)._get_current_object()
    origin = _refuse_foreign(connection)
    batched = SUBPROTOCOL in connection.requested_subprotocols
    now = services()
    door = WebSocketDoor(
        connection,
        (connection.scope.get("extensions") or {}).get(EXTENSION),
        batched=batched,
        heartbeat=now.settings.beat,
        idle_timeout=now.settings.idle_timeout,
    )
    subprotocol = SUBPROTOCOL if batched else None
    try:
        credential, position = await _admitted(connection, None)
        with now.hub.subscribe(
            credential.user_id, credential.id, client_address(connection)
        ) as inbox:
            await connection.accept(subprotocol=subprotocol)
            watcher = Viewer(credential, now.settings.stream_max_age)
            await run_connection(door, inbox, watcher, position, now.publisher.journal)
    except Problem as problem:
        if origin is None:
            raise  # an HTTP answer: whoever is no browser can read it
        await connection.accept(subprotocol=subprotocol)
        await refuse(door, problem)


def _refuse_foreign(incoming: Request | Websocket) -> str | None:
    """The Origin of a page that may watch. Raises ForeignOrigin, before anything else."""
    return check_origin(incoming, services().origins, watches=True)


async def _admitted(
    incoming: Request | Websocket, last_event_id: str | None
) -> tuple[Credential, Position]:
    """Who watches, and from where; everything that may be refused is refused here."""
    now = services()
    credential = await viewer(incoming)
    start = parse_start(incoming.args, last_event_id)
    now.hub.admit(credential.user_id, client_address(incoming))
    head = await now.publisher.journal.head(credential.user_id)
    return credential, locate(start, head)
