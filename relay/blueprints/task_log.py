"""A run's log as a download: what is still stored of it, streamed page by page."""

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Annotated, Literal
from uuid import UUID

from msgspec import Meta
from quart import Blueprint

from relay.db.task_history import TaskEvent, each_task_event, run_bounds
from relay.errors import BadRequest, NotFound, TooManyConnections
from relay.ingest.values import is_identifier
from relay.realtime.resume import parse_count
from relay.schema_types import Identifier
from relay.tasks.reported import printed_message
from relay.web.answers import NO_STORE, Answer
from relay.web.needs import WATCHER
from relay.web.openapi.describe import Parameter, Text, described
from relay.web.rate_limits import READS, limited
from relay.web.request import HTTPRequest
from relay.web.routes import needs

task_log = Blueprint("task_log", __name__)

MAX_DOWNLOADS = 2  # of one user at a time, in one process
MAX_RUN = 999_999_999
PART_BYTES = 65_536  # of the answer that are gathered before they are written

_MEDIA_TYPES = {"text": "text/plain; charset=utf-8", "ndjson": "application/x-ndjson"}


class Downloads:
    """Counts the downloads under way of each user."""

    def __init__(self) -> None:
        self._by_user: dict[UUID, int] = {}

    @contextmanager
    def slot(self, user_id: UUID) -> Iterator[None]:
        """Hold one of the user's places for the length of the block. Raises TooManyConnections."""
        if self._by_user.get(user_id, 0) >= MAX_DOWNLOADS:
            raise TooManyConnections(f"This user has {MAX_DOWNLOADS} downloads under way.")
        self._by_user[user_id] = self._by_user.get(user_id, 0) + 1
        try:
            yield
        finally:
            self._by_user[user_id] -= 1
            if not self._by_user[user_id]:
                del self._by_user[user_id]


downloads = Downloads()


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
    answers={200: Text("The log.", ("text/plain", "application/x-ndjson"))},
    refuses=(BadRequest, NotFound, TooManyConnections),
)
@limited(READS)
@needs(WATCHER)
async def download_log(request: HTTPRequest) -> Answer | None:
    """Download the log of a task's run, as far as it is still stored."""
    services, user_id, args = request.services, request.credential.user_id, request.args
    args.refuse_others("task_id", "run", "format")
    task_id, run, form = args.get("task_id"), args.get("run"), args.get("format") or "text"
    if task_id is None or not is_identifier(task_id):
        raise BadRequest("`task_id` must be the id of a task.")
    if form not in _MEDIA_TYPES:
        raise BadRequest("`format` must be `text` or `ndjson`.")
    head = await services.heads.head(user_id)
    await services.projector.catch_up_within_patience(user_id, head.last)
    wanted_run = None if run is None else parse_count("run", run, MAX_RUN)
    bounds = await run_bounds(services.database, user_id, task_id, wanted_run)
    if bounds is None:
        raise NotFound("There is no such task, or nothing of this run is stored any more.")
    suffix = "log" if form == "text" else "ndjson"
    name = re.sub(r"[^A-Za-z0-9._-]", "_", f"{task_id}-{bounds.run}.{suffix}")
    headers = [
        (b"content-type", _MEDIA_TYPES[form].encode()),
        (b"content-disposition", f'attachment; filename="{name}"'.encode()),
        NO_STORE,
    ]
    if request.method == "HEAD":
        return Answer(200, headers, b"")
    with downloads.slot(user_id):
        events = each_task_event(
            services.database, user_id, task_id, bounds.first_seq, bounds.last_seq
        )
        await request.start(200, headers)
        async for part in _parts(events, form):
            await request.write(part)
        await request.end()
    return None


async def _parts(events: AsyncIterator[TaskEvent], form: str) -> AsyncIterator[bytes]:
    """The download's body in parts of about `PART_BYTES`."""
    gathered: list[bytes] = []
    size = 0
    async for event in events:
        text = event.text + b"\n" if form == "ndjson" else _printed(event)
        gathered.append(text)
        size += len(text)
        if size >= PART_BYTES:
            yield b"".join(gathered)
            gathered, size = [], 0
    if gathered:
        yield b"".join(gathered)


def _printed(event: TaskEvent) -> bytes:
    """A log event's message with a line end; nothing for other events."""
    message = printed_message(event.payload) if event.event_type == "log" else None
    if message is None:
        return b""
    return (message if message.endswith("\n") else message + "\n").encode("utf-8", "replace")
