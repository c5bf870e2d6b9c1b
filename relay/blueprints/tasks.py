"""A user's tasks: their state, and what people and producers change of it beside events."""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType
from quart import Blueprint

from relay.db.task_changes import forget_tasks, set_hidden
from relay.db.task_pages import TaskFilter, select_task_page
from relay.errors import (
    BadCursor,
    BadRequest,
)
from relay.events import Cursor
from relay.ingest.values import IDENTIFIER_FAULT, is_identifier
from relay.media_types import JSON
from relay.realtime.resume import parse_count
from relay.schema_types import CursorText, Examples, Identifier
from relay.tasks.view import SHOWN_STATES, TaskView
from relay.web.answers import Answer, json_answer
from relay.web.json import read_json
from relay.web.named_tasks import MAX_NAMED_TASKS, NamedTasks, catch_up, check_ids
from relay.web.needs import SESSION, WATCHER
from relay.web.openapi.describe import Link, Parameter, described
from relay.web.openapi.stream_messages import TASK
from relay.web.query import QueryParameters
from relay.web.rate_limits import READS, TOKENS, limited
from relay.web.request import HTTPRequest
from relay.web.routes import needs

tasks = Blueprint("tasks", __name__)

MAX_PAGE_TASKS = 500
DEFAULT_PAGE_TASKS = 100
MAX_TITLE_PART = 300  # characters of `q`

_STATE = f"({'|'.join(SHOWN_STATES)})"
StateList = Annotated[str, Meta(extra_json_schema={"pattern": f"^{_STATE}(,{_STATE})*$"})]
PageMark = Annotated[str, Meta(extra_json_schema={"pattern": "^[0-9]{1,18}$"})]


class Tasks(msgspec.Struct):
    """Tasks, those with the latest events first, as of `cursor`. `counts` are of all tasks that are
    not hidden. Send `next`, where there is one, as `after`."""

    tasks: list[TaskView]
    counts: dict[str, int]
    cursor: CursorText
    next: PageMark | UnsetType = UNSET


class TasksToHide(msgspec.Struct, forbid_unknown_fields=True):
    """The tasks to hide, or to show again."""

    task_ids: NamedTasks
    hidden: bool


class Hidden(msgspec.Struct):
    """The ids of those of the tasks that exist."""

    task_ids: list[Identifier]
    hidden: bool
    ok: bool = True


class Deleted(msgspec.Struct):
    """The number of tasks that were forgotten. Their events are still stored."""

    deleted: int


_FILTERS = (
    Parameter("state", StateList, "States, separated by commas.", "running,lost"),
    Parameter("parent_id", Identifier, "Tasks with this parent.", "nightly"),
    Parameter(
        "task_id",
        Identifier,
        "This task; may be given up to 100 times. Hidden ones count, too.",
        "build-7",
    ),
    Parameter(
        "q",
        Annotated[str, Meta(min_length=1, max_length=MAX_TITLE_PART)],
        "A part of the title, in upper or lower case.",
        "test",
    ),
    Parameter("hidden", bool, "Hidden tasks instead of those that are not.", False),
    Parameter(
        "limit", Annotated[int, Meta(ge=1, le=MAX_PAGE_TASKS)], "At most this many tasks.", 100
    ),
    Parameter("after", PageMark, "The `next` of the page before.", "42"),
    Parameter(
        "after_cursor",
        CursorText,
        "Wait, for up to 2 seconds, until the tasks hold up to this position.",
        Examples.CURSOR,
    ),
)
_FILTER_NAMES = tuple(parameter.name for parameter in _FILTERS)


@tasks.get("/api/tasks")
@described(
    "tasks",
    parameters=_FILTERS,
    answers={200: Tasks([TASK], {"running": 1}, Examples.NEXT, next="42")},
    links=(Link("list_events", parameters={"after": "cursor"}),),
    refuses=(BadCursor, BadRequest),
)
@limited(READS)
@needs(WATCHER)
async def list_tasks(request: HTTPRequest) -> Answer:
    """Read a page of tasks."""
    services, user_id, args = request.services, request.credential.user_id, request.args
    args.refuse_others(*_FILTER_NAMES)
    wanted, limit = _read_filter(args), args.get("limit")
    most = DEFAULT_PAGE_TASKS if limit is None else parse_count("limit", limit, MAX_PAGE_TASKS)
    after_cursor = args.get("after_cursor")
    asked = None if after_cursor is None else Cursor.parse(after_cursor)
    head = await services.heads.head(user_id)
    seq = head.last if asked is None or asked.epoch != head.epoch else max(asked.seq, head.last)
    await services.projector.catch_up_within_patience(user_id, seq)
    page = await select_task_page(services.database, user_id, wanted, most + 1)
    shown = page.tasks[:most]
    return json_answer(
        Tasks(
            shown,
            page.counts,
            str(page.cursor),
            str(shown[-1].last_seq) if len(page.tasks) > most else UNSET,
        )
    )


def _read_filter(args: QueryParameters) -> TaskFilter:
    """Read the filters of a query. Raises BadRequest."""
    states, hidden, after = args.get("state"), args.get("hidden"), args.get("after")
    task_ids = args.get_all("task_id", MAX_NAMED_TASKS)
    title = args.get("q")
    if title is not None and len(title) > MAX_TITLE_PART:
        raise BadRequest(f"`q` must be at most {MAX_TITLE_PART} characters.")
    if hidden not in (None, "true", "false"):
        raise BadRequest("`hidden` must be `true` or `false`.")
    if after is not None and not (after.isdecimal() and after.isascii() and len(after) <= 18):
        raise BadRequest("`after` must be the `next` of a page of tasks.")
    return TaskFilter(
        states=None if states is None else _read_states(states),
        parent_id=_checked_id("parent_id", args.get("parent_id")),
        task_ids=[_checked_id("task_id", task_id) or "" for task_id in task_ids] or None,
        # the database refuses to compare with U+0000, and no title has it
        title=None if title is None else title.replace("\0", "\ufffd"),
        hidden=(None if task_ids else False) if hidden is None else hidden == "true",
        before=None if after is None else int(after),
    )


def _read_states(text: str) -> list[str]:
    states = text.split(",")
    if unknown := [state for state in states if state not in SHOWN_STATES]:
        raise BadRequest(
            f"`state` must be of {', '.join(SHOWN_STATES)}, separated by commas;"
            f" {len(unknown)} of the given ones are not."
        )
    return states


def _checked_id(name: str, task_id: str | None) -> str | None:
    """The id, if it is one that a task can have. Raises BadRequest."""
    if task_id is not None and not is_identifier(task_id):
        raise BadRequest(f"`{name}` {IDENTIFIER_FAULT}.")
    return task_id


@tasks.patch("/api/tasks")
@described(
    "tasks",
    body={JSON: TasksToHide(["build-7"], hidden=True)},
    answers={200: Hidden(["build-7"], hidden=True)},
)
@limited(TOKENS)
@needs(SESSION)
async def hide_tasks(request: HTTPRequest) -> Answer:
    """Hide tasks from lists and counts, or show them again."""
    wanted = await read_json(request, TasksToHide)
    check_ids(wanted.task_ids)
    await catch_up(request)
    known = await set_hidden(
        request.services.database,
        request.credential.user_id,
        wanted.task_ids,
        hidden=wanted.hidden,
    )
    request.services.task_feeds.touch(request.credential.user_id)
    return json_answer(Hidden(known, wanted.hidden))


@tasks.delete("/api/tasks")
@described(
    "tasks",
    parameters=(
        Parameter("task_id", Identifier, "Forget this task.", "build-7"),
        Parameter("state", Literal["ended"], "Forget all that succeeded, failed or were canceled."),
    ),
    answers={200: Deleted(1)},
    refuses=(BadRequest,),
)
@limited(TOKENS)
@needs(SESSION)
async def delete_tasks(request: HTTPRequest) -> Answer:
    """Forget a task, or all that have ended.

    The events stay. A forgotten task comes back only with its next start.
    """
    args = request.args
    args.refuse_others("task_id", "state")
    task_id, state = args.get("task_id"), args.get("state")
    if (task_id is None) == (state is None):
        raise BadRequest("Send either `task_id` or `state=ended`.")
    if state not in (None, "ended"):
        raise BadRequest("`state` must be `ended`.")
    services, user_id = request.services, request.credential.user_id
    await catch_up(request)
    deleted = await forget_tasks(
        services.database,
        user_id,
        task_id=_checked_id("task_id", task_id),
        max_marks=services.settings.tasks_per_user,
    )
    services.task_feeds.touch(user_id)
    return json_answer(Deleted(deleted))
