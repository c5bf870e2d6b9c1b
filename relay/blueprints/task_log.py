"""A run's log as a download: what is still stored of it, streamed page by page."""

import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Literal

from msgspec import Meta
from quart import Blueprint

from relay.db.task_history import TaskEvent, each_task_event, run_bounds
from relay.errors import BadRequest, NotFound, ProcessFull, TooManyConnections
from relay.media_types import NDJSON
from relay.realtime.resume import parse_count
from relay.schema_types import Identifier
from relay.tasks.reported import printed_message
from relay.web.answers import Answer
from relay.web.download import send_download
from relay.web.named_tasks import checked_id
from relay.web.needs import WATCHER
from relay.web.openapi.describe import Parameter, Text, described
from relay.web.places import hold_places
from relay.web.rate_limits import CLIENT_PACED_READS, limited
from relay.web.request import HTTPRequest
from relay.web.routes import needs
from relay.web.task_catch_up import catch_up

task_log = Blueprint("task_log", __name__)

MAX_RUN = 999_999_999

_MEDIA_TYPES = {"text": "text/plain; charset=utf-8", "ndjson": NDJSON}


@task_log.get("/api/tasks/log")
@described(
    "tasks",
    parameters=(
        Parameter("task_id", Identifier, "The task.", "build-7", required=True),
        Parameter(
            "run",
            Annotated[int, Meta(ge=1, le=MAX_RUN)],
            "Which run; the present one if left out.",
            2,
        ),
        Parameter(
            "format",
            Literal["text", "ndjson"],
            "The messages as they were printed, or the events, a line each.",
            "text",
        ),
    ),
    answers={200: Text("The log.", ("text/plain", NDJSON))},
    refuses=(BadRequest, NotFound, TooManyConnections, ProcessFull),
)
@limited(CLIENT_PACED_READS)
@needs(WATCHER)
async def download_log(request: HTTPRequest) -> Answer | None:
    """Download the log of a task's run, as far as it is still stored."""
    services, user_id, args = request.services, request.credential.user_id, request.args
    args.refuse_others("task_id", "run", "format")
    task_id = checked_id("task_id", args.get("task_id"))
    run, form = args.get("run"), args.get("format") or "text"
    if task_id is None:
        raise BadRequest("`task_id` is missing.")
    if form not in _MEDIA_TYPES:
        raise BadRequest("`format` must be `text` or `ndjson`.")
    wanted_run = None if run is None else parse_count("run", run, MAX_RUN)
    # the place first: an earlier run is looked for among all that is stored
    downloads = services.log_downloads
    async with hold_places(request, downloads, user_id):
        with downloads.place(user_id, request.address_block):
            await catch_up(request)
            database, turns = services.database, services.publisher.journal.turns
            bounds = await run_bounds(database, turns, user_id, task_id, wanted_run)
            if bounds is None:
                raise NotFound("There is no such task, or nothing of this run is stored any more.")
            suffix = "log" if form == "text" else "ndjson"
            name = re.sub(r"[^A-Za-z0-9._-]", "_", f"{task_id}-{bounds.run}.{suffix}")
            events = each_task_event(
                database, turns, user_id, task_id, bounds.first_seq, bounds.last_seq
            )
            return await send_download(
                request, _texts(events, form), media_type=_MEDIA_TYPES[form], name=name
            )


async def _texts(events: AsyncGenerator[TaskEvent, None], form: str) -> AsyncGenerator[bytes, None]:
    """The download's body, event by event."""
    async with aclosing(events):
        async for event in events:
            yield event.text + b"\n" if form == "ndjson" else _printed(event)


def _printed(event: TaskEvent) -> bytes:
    """A log event's message with a line end; nothing for other events."""
    message = printed_message(event.payload) if event.event_type == "log" else None
    if message is None:
        return b""
    return (message if message.endswith("\n") else message + "\n").encode("utf-8", "replace")
