"""A user's tasks: their state, and what people and producers change of it beside events."""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType
from quart import Blueprint

from relay.db.task_changes import forget_tasks, set_hidden
from relay.db.task_pages import select_task_page
from relay.errors import BadCursor, BadRequest
from relay.media_types import JSON
from relay.schema_types import CursorText, Examples, Identifier
from relay.tasks.view import TaskView
from relay.web.answers import Answer, json_answer
from relay.web.json import read_json
from relay.web.named_tasks import NamedTasks, check_ids, checked_id
from relay.web.needs import SESSION, WATCHER
from relay.web.openapi.describe import Link, Parameter, described
from relay.web.openapi.stream_messages import TASK
from relay.web.rate_limits import READS, TOKENS, limited
from relay.web.request import HTTPRequest
from relay.web.routes import needs
from relay.web.task_catch_up import catch_up, catch_up_to
from relay.web.task_filters import (
    AFTER,
    AFTER_CURSOR,
    HIDDEN,
    PARENT,
    STATE,
    TASK_ID,
    TITLE,
    TITLE_PART,
    PageMark,
    read_filter,
    read_limit,
)

tasks = Blueprint("tasks", __name__)

MAX_PAGE_TASKS = 500


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


_LIMIT = Parameter(
    "limit", Annotated[int, Meta(ge=1, le=MAX_PAGE_TASKS)], "At most this many tasks.", 100
)
_PARAMETERS = (STATE, PARENT, TASK_ID, TITLE, TITLE_PART, HIDDEN, _LIMIT, AFTER, AFTER_CURSOR)


@tasks.get("/api/tasks")
@described(
    "tasks",
    parameters=_PARAMETERS,
    answers={200: Tasks([TASK], {"running": 1}, Examples.NEXT, next="42")},
    links=(Link("list_events", parameters={"after": "cursor"}),),
    refuses=(BadCursor, BadRequest),
)
@limited(READS)
@needs(WATCHER)
async def list_tasks(request: HTTPRequest) -> Answer:
    """Read a page of tasks."""
    args = request.args
    args.refuse_others(*(parameter.name for parameter in _PARAMETERS))
    wanted, most = read_filter(args), read_limit(args, MAX_PAGE_TASKS)
    await catch_up_to(request, args)
    page = await select_task_page(
        request.services.database, request.credential.user_id, wanted, most
    )
    following = str(page.tasks[-1].last_seq) if page.is_cut else UNSET
    return json_answer(Tasks(page.tasks, page.counts, str(page.cursor), following))


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
        task_id=checked_id("task_id", task_id),
        max_marks=services.settings.tasks_per_user,
    )
    services.task_feeds.touch(user_id)
    return json_answer(Deleted(deleted))
