"""A user's tasks: their state, and what people and producers change of it beside events."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal

import msgspec
import trio
from msgspec import UNSET, Meta, UnsetType
from quart import Blueprint

from relay.db.task_changes import forget_tasks, renew_leases, set_hidden
from relay.db.task_pages import TaskFilter, select_task_page
from relay.errors import (
    BadCursor,
    BadRequest,
    Draining,
    FieldError,
    Invalid,
    ProcessFull,
    TooManyConnections,
)
from relay.events import Cursor
from relay.ingest.values import is_identifier
from relay.media_types import JSON
from relay.realtime.resume import parse_count
from relay.schema_types import CursorText, Examples, Identifier
from relay.tasks.view import SHOWN_STATES, TaskView
from relay.web.answers import Answer, json_answer
from relay.web.json import read_json
from relay.web.middleware.access_log import WAITED
from relay.web.needs import PUBLISHER, SESSION, WATCHER
from relay.web.openapi.describe import Link, Parameter, described
from relay.web.openapi.stream_messages import TASK
from relay.web.query import QueryParameters
from relay.web.rate_limits import READS, TOKENS, charge_beat, limited, limited_by_handler
from relay.web.request import HTTPRequest
from relay.web.routes import needs

tasks = Blueprint("tasks", __name__)

MAX_PAGE_TASKS = 500
DEFAULT_PAGE_TASKS = 100
MAX_NAMED_TASKS = 100  # tasks that one request may name
MAX_TITLE_PART = 300  # characters of `q`

_STATE = f"({'|'.join(SHOWN_STATES)})"
StateList = Annotated[str, Meta(extra_json_schema={"pattern": f"^{_STATE}(,{_STATE})*$"})]
PageMark = Annotated[str, Meta(extra_json_schema={"pattern": "^[0-9]{1,18}$"})]
MAX_WAIT_SECONDS = 25  # below the 30 seconds after which common proxies give up
NamedTasks = Annotated[list[Identifier], Meta(min_length=1, max_length=MAX_NAMED_TASKS)]


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


class Beat(msgspec.Struct, forbid_unknown_fields=True):
    """The tasks that are alive, and for how many seconds the answer may wait."""

    task_ids: NamedTasks
    wait_s: Annotated[int, Meta(ge=0, le=MAX_WAIT_SECONDS)] = 0


class Beaten(msgspec.Struct):
    """The tasks that were asked to stop."""

    stop: list[Identifier]


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
        parent_id=_storable(args.get("parent_id")),
        task_ids=[_storable(task_id) or "" for task_id in task_ids] or None,
        title=_storable(title),
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


def _storable(text: str | None) -> str | None:
    """The text as stored text may be: no U+0000, which the database refuses to compare with."""
    return None if text is None else text.replace("\0", "\ufffd")


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
    _check_ids(wanted.task_ids)
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
    await _catch_up(request)
    deleted = await forget_tasks(
        services.database,
        user_id,
        task_id=_storable(task_id),
        max_marks=services.settings.tasks_per_user,
    )
    services.task_feeds.touch(user_id)
    return json_answer(Deleted(deleted))


@tasks.post("/api/tasks/beat")
@described(
    "tasks",
    body={JSON: Beat(["build-7"], wait_s=20)},
    answers={200: Beaten([])},
    refuses=(TooManyConnections, ProcessFull, Draining),
)
@limited_by_handler
@needs(PUBLISHER)
async def beat(request: HTTPRequest) -> Answer:
    """Renew the leases of tasks that are alive. Unknown tasks are ignored.

    With `wait_s` the answer comes after that time, and holds the leases until then; sooner when the
    process stops.
    """
    alive = await read_json(request, Beat)
    _check_ids(alive.task_ids)
    task_ids = list(dict.fromkeys(alive.task_ids))
    charge_beat(request, task_ids)
    if alive.wait_s:
        with request.services.hub.hold_wait(
            request.credential.user_id, request.address_block
        ) as drain_began:
            request.scope[WAITED] = True
            await _catch_up(request)  # a task that has just begun is not stored yet
            await _renew(request, task_ids, alive.wait_s)
            await _wait(request, drain_began, alive.wait_s)
    await _renew(request, task_ids)
    return json_answer(Beaten([]))


async def _catch_up(request: HTTPRequest) -> None:
    """Wait until the stored tasks have all events that are acknowledged, for a bounded time."""
    services, user_id = request.services, request.credential.user_id
    head = await services.heads.head(user_id)
    await services.projector.catch_up_within_patience(user_id, head.last)


async def _renew(request: HTTPRequest, task_ids: list[str], wait: int = 0) -> None:
    """Renew the leases as of the end of a wait."""
    services, user_id = request.services, request.credential.user_id
    await renew_leases(services.database, user_id, task_ids, wait=wait)
    services.task_feeds.touch(user_id)


async def _wait(request: HTTPRequest, drain_began: trio.Event, seconds: int) -> None:
    """Wait, but no longer than the client is connected and the process does not drain."""
    async with trio.open_nursery() as nursery:
        nursery.cancel_scope.deadline = trio.current_time() + seconds
        for wait in (request.wait_for_disconnect, drain_began.wait):
            nursery.start_soon(_run_and_cancel, wait, nursery.cancel_scope)


async def _run_and_cancel(wait: Callable[[], Awaitable[Any]], scope: trio.CancelScope) -> None:
    await wait()
    scope.cancel()


def _check_ids(task_ids: list[str]) -> None:
    """Raise Invalid for an id that no task can have."""
    wrong = [number for number, task_id in enumerate(task_ids) if not is_identifier(task_id)]
    if wrong:
        raise Invalid(
            errors=[
                FieldError(f"task_ids[{number}]", "must be 1 to 128 printable ASCII characters")
                for number in wrong
            ]
        )
