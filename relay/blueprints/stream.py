"""The two doors to a user's stream, the same stream as plain pages, and tickets."""

from contextlib import AbstractContextManager
from typing import Annotated, Any, Literal, cast

import msgspec
from msgspec import UNSET, Meta, UnsetType, field
from quart import Blueprint, Request, Response, Websocket, request, websocket

from relay.auth.credentials import TICKET_SECONDS, Credential
from relay.errors import (
    BadCursor,
    BadRequest,
    Draining,
    InsufficientScope,
    Problem,
    ProcessFull,
    TooManyConnections,
)
from relay.realtime.connection import Viewer, find_start, refuse, run_connection
from relay.realtime.hub import Inbox
from relay.realtime.resume import Start, locate, parse_count, parse_start
from relay.schema_types import CursorText, Somebody
from relay.web.asgi_connection import EventStream, staying
from relay.web.auth import check_origin, client_block, needs_any, needs_viewer, viewer
from relay.web.context import services
from relay.web.direct_streams import chosen_subprotocol, run_sse, websocket_door
from relay.web.json import answer
from relay.web.openapi.describe import Events, Link, Parameter, Text, described
from relay.web.openapi.stream_messages import EVENT, SSE_EVENT, StreamEvent
from relay.web.openapi.stream_parameters import LAST_EVENT_ID_HEADER, WHERE_TO_START
from relay.web.rate_limits import (
    READS,
    TOKENS,
    charge_handshake,
    charge_viewer,
    limited,
    limited_by_handler,
)

stream = Blueprint("stream", __name__)

MAX_PAGE = 1_000  # events of one GET
MAX_PAGE_BYTES = 8 * 2**20  # of one GET; a page cut by bytes goes on from its cursor


class Ticket(msgspec.Struct):
    """Goes into a URL once, within so many seconds."""

    ticket: str
    expires_in: int


class Trimmed(msgspec.Struct):
    """Seqs, both inclusive, that are no longer stored."""

    first: int = field(name="from")
    last: int = field(name="to")


class Page(msgspec.Struct):
    """Stored events. `cursor` stands behind the last one: ask with it for the next page."""

    events: list[StreamEvent]
    cursor: CursorText
    resumed: bool
    oldest: int
    reason: Literal["epoch", "ahead"] | UnsetType = UNSET
    gap: Trimmed | UnsetType = UNSET


_LIMIT = Parameter("limit", Annotated[int, Meta(ge=1, le=MAX_PAGE)], "At most so many.", 100)
_FULL = (TooManyConnections, ProcessFull, Draining)


@stream.post("/api/rt/ticket")
@described(
    "streams",
    answers={201: Ticket("kq3v7mHc0b9ZtLr2xY5wPn8sJf6dAeGu1iVo4TQhRkM", TICKET_SECONDS)},
    refuses=(InsufficientScope,),
)
@limited(TOKENS)
@needs_any
async def mint_ticket(credential: Credential) -> Response:
    """A single use, 30 seconds credential for a URL that a browser opens without headers."""
    credential.require_watch()
    origin = request.headers.get("Origin")
    ticket = await services().access.mint_ticket(credential, origin)
    return answer(Ticket(ticket, TICKET_SECONDS), 201)


@stream.get("/api/events")
@described(
    "streams",
    parameters=(*WHERE_TO_START, _LIMIT),
    answers={200: Page([EVENT], Somebody.NEXT, resumed=True, oldest=1)},
    links=(Link("list_events", parameters={"after": "cursor"}),),
    refuses=(BadCursor, BadRequest, InsufficientScope),
)
@limited(READS)
@needs_any
async def list_events(credential: Credential) -> Response:
    """A page of stored events, from the oldest or from a cursor on."""
    credential.require_watch()
    journal = services().publisher.journal
    limit = parse_count("limit", request.args.get("limit", str(MAX_PAGE)), MAX_PAGE)
    start = parse_start(request.args)
    head = await services().heads.head(credential.user_id)
    while True:
        position = locate(start, head, default_oldest=True)
        page = await journal.read(credential.user_id, position.seq, limit, MAX_PAGE_BYTES)
        if page.head.epoch == head.epoch and page.head.oldest <= position.seq + 1:
            break
        head = page.head  # trimmed between the two looks: what is missing must be told
    gap = position.gap
    return answer(
        Page(
            cast("Any", [msgspec.Raw(text) for text in page.texts]),  # encoded as they are
            cursor=page.cursor if page.texts else position.cursor,
            resumed=position.resumed,
            oldest=page.head.oldest,
            reason=UNSET if position.reason is None else position.reason,
            gap=UNSET if gap is None else Trimmed(gap.first, gap.last),
        )
    )


@stream.get("/api/sse")
@described(
    "streams",
    parameters=(*WHERE_TO_START, LAST_EVENT_ID_HEADER),
    answers={200: Events("The stream; see /asyncapi.json.", SSE_EVENT)},
    headers={200: ("Cache-Control",)},
    refuses=(BadCursor, BadRequest, *_FULL),
)
@limited_by_handler
@needs_viewer
async def sse() -> Response:
    """The stream as server-sent events."""
    _refuse_foreign(request)
    now = services()
    credential, start = await _admitted(request, request.headers.get("Last-Event-ID"))
    inbox = staying(request).enter_context(_subscribed(request, credential))
    position = await find_start(inbox, start, now.heads)
    return EventStream(run_sse(now, credential, inbox, position))


@stream.websocket("/api/rt")
@described(
    "streams",
    parameters=WHERE_TO_START,
    answers={101: Text("A WebSocket; see /asyncapi.json.")},
    refuses=(BadCursor, BadRequest, *_FULL),
)
@limited_by_handler
@needs_viewer
async def rt() -> None:
    """The stream as WebSocket messages."""
    # the proxy stands for another object in every task; the door needs this one
    connection = cast("Any", websocket)._get_current_object()
    origin = _refuse_foreign(connection)
    subprotocol = chosen_subprotocol(connection.scope)
    now = services()
    door = websocket_door(now, connection.scope, connection, subprotocol)
    try:
        credential, start = await _admitted(connection, None)
        with _subscribed(connection, credential) as inbox:
            position = await find_start(inbox, start, now.heads)
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
) -> tuple[Credential, Start]:
    """Who watches, and what is asked for. Raises whatever refuses it but the hub."""
    limits = services().limits
    charge_handshake(limits, incoming.scope)
    credential = await viewer(incoming)
    charge_viewer(limits, incoming.scope, credential.user_id)
    return credential, parse_start(incoming.args, last_event_id)


def _subscribed(
    incoming: Request | Websocket, credential: Credential
) -> AbstractContextManager[Inbox]:
    """The viewer's inbox. Raises as `Hub.admit` when entered."""
    hub = services().hub
    return hub.subscribe(credential.user_id, credential.id, client_block(incoming))
