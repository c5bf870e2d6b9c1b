"""Stored events of a user, page by page, and those of one task."""

from typing import Annotated, Any, Literal, NamedTuple, cast
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType, field
from quart import Blueprint

from relay.db.task_history import read_task_events
from relay.errors import BadCursor, BadRequest
from relay.events import StreamHead
from relay.realtime.resume import locate, parse_count, parse_start
from relay.schema_types import CursorText, Examples, Identifier
from relay.services import Services
from relay.web.answers import Answer, json_answer
from relay.web.named_tasks import checked_id
from relay.web.needs import WATCHER
from relay.web.openapi.describe import Link, Parameter, described
from relay.web.openapi.stream_messages import EVENT, StreamEvent
from relay.web.openapi.stream_parameters import WHERE_TO_START
from relay.web.rate_limits import READS, limited
from relay.web.request import HTTPRequest
from relay.web.routes import needs

events = Blueprint("events", __name__)

MAX_PAGE_EVENTS = 1_000  # events of one GET
MAX_PAGE_BYTES = 8 * 2**20  # of one GET; the next one starts at the cursor of the last event


class Trimmed(msgspec.Struct):
    """Events from one `seq` to another, both inclusive, that are no longer stored."""

    first: int = field(name="from")
    last: int = field(name="to")


class Page(msgspec.Struct):
    """Stored events. `cursor` is the position after the last one: send it as `after`."""

    events: list[StreamEvent]
    cursor: CursorText
    resumed: bool
    oldest: int
    reason: Literal["epoch", "ahead"] | UnsetType = UNSET
    gap: Trimmed | UnsetType = UNSET


_LIMIT = Parameter(
    "limit", Annotated[int, Meta(ge=1, le=MAX_PAGE_EVENTS)], "At most this many events.", 100
)
_TASK = Parameter(
    "task_id",
    Identifier,
    "Events of this task only. A page may be empty before the end.",
    "build-7",
)


@events.get("/api/events")
@described(
    "streams",
    parameters=(*WHERE_TO_START, _LIMIT, _TASK),
    answers={200: Page([EVENT], Examples.NEXT, resumed=True, oldest=1)},
    links=(Link("list_events", parameters={"after": "cursor"}),),
    refuses=(BadCursor, BadRequest),
)
@limited(READS)
@needs(WATCHER)
async def list_events(request: HTTPRequest) -> Answer:
    """Read a page of stored events, from the oldest or from a cursor.

    With `task_id` the cursor moves over events of other tasks: the end is where it stays.
    """
    services, user_id = request.services, request.credential.user_id
    limit = request.args.get("limit")
    most = MAX_PAGE_EVENTS if limit is None else parse_count("limit", limit, MAX_PAGE_EVENTS)
    start, task_id = parse_start(request.args), checked_id("task_id", request.args.get("task_id"))
    head = await services.heads.head(user_id)
    while True:
        position = locate(start, head, default_oldest=True)
        page = await _read_page(services, user_id, position.seq, most, task_id)
        if page.head.epoch == head.epoch and page.head.oldest <= position.seq + 1:
            break
        head = page.head  # trimmed between the two queries, so the answer needs the gap
    gap = position.gap
    return json_answer(
        Page(
            cast("Any", [msgspec.Raw(text) for text in page.texts]),  # they are JSON already
            cursor=f"{page.head.epoch}.{max(page.end, position.seq)}",
            resumed=position.resumed,
            oldest=page.head.oldest,
            reason=UNSET if position.reason is None else position.reason,
            gap=UNSET if gap is None else Trimmed(gap.first, gap.last),
        )
    )


class _StoredPage(NamedTuple):
    """Texts of events, and the seq up to which all that is asked for is among them."""

    head: StreamHead
    end: int
    texts: list[bytes]


async def _read_page(
    services: Services, user_id: UUID, after: int, limit: int, task_id: str | None
) -> _StoredPage:
    """Read the next events of the stream, or of one task in it."""
    database, journal = services.database, services.publisher.journal
    if task_id is None:
        page = await journal.read(user_id, after, limit, MAX_PAGE_BYTES)
        return _StoredPage(page.head, page.first + len(page.texts) - 1, page.texts)
    found = await read_task_events(
        *(database, journal.turns, user_id, task_id, after),
        max_events=limit,
        max_bytes=MAX_PAGE_BYTES,
    )
    return _StoredPage(found.head, found.scanned_to, [event.text for event in found.events])
