"""A user's tasks in groups: the tasks of one title, or a parent with its children."""

from typing import Annotated, get_args

import msgspec
from msgspec import UNSET, Meta, UnsetType
from quart import Blueprint

from relay.db.task_groups import RECENT_TASKS, FoundGroup, GroupKey, select_group_page
from relay.errors import BadCursor, BadRequest
from relay.schema_types import CursorText, Examples, Identifier, Seq
from relay.tasks.view import TaskOutcome, TaskView
from relay.web.answers import Answer, json_answer
from relay.web.needs import WATCHER
from relay.web.openapi.describe import Link, Parameter, described
from relay.web.openapi.stream_messages import TASK
from relay.web.query import QueryParameters
from relay.web.rate_limits import READS, limited
from relay.web.request import HTTPRequest
from relay.web.routes import needs
from relay.web.task_catch_up import catch_up_to
from relay.web.task_filters import (
    AFTER,
    AFTER_CURSOR,
    HIDDEN,
    STATE,
    TITLE_PART,
    PageMark,
    read_filter,
    read_limit,
)

task_groups = Blueprint("task_groups", __name__)

MAX_PAGE_GROUPS = 100
GROUP_KEYS: dict[str, GroupKey] = {key: key for key in get_args(GroupKey)}


class TaskGroup(msgspec.Struct, kw_only=True):
    """Tasks that have one title, or one parent, which is then one of them.

    `task` is the parent, if it passes the filter, else the task with the latest event."""

    title: str | None
    parent_id: Identifier | None
    tasks: Annotated[int, Meta(ge=1, description="How many tasks of the group pass the filter.")]
    last_seq: Annotated[Seq, Meta(description="The last event of them all.")]
    task: TaskView
    recent: Annotated[
        list[TaskOutcome],
        Meta(max_length=RECENT_TASKS, description="Those with the latest events first."),
    ]


class TaskGroups(msgspec.Struct):
    """Groups, those with the latest events first. The rest is as in a page of tasks."""

    groups: list[TaskGroup]
    counts: dict[str, int]
    cursor: CursorText
    next: PageMark | UnsetType = UNSET


_EXAMPLE = TaskGroup(
    title=TASK.title,
    parent_id=None,
    tasks=12,
    last_seq=TASK.last_seq,
    task=TASK,
    recent=[
        TaskOutcome(task_id=TASK.task_id, run=TASK.run, state="running", duration_s=None),
        TaskOutcome(task_id="build-6", run=1, state="succeeded", duration_s=241.5),
    ],
)
_PARAMETERS = (
    Parameter("by", GroupKey, "What the tasks of a group have in common.", "title", required=True),
    *(STATE, TITLE_PART, HIDDEN),
    Parameter(
        "limit", Annotated[int, Meta(ge=1, le=MAX_PAGE_GROUPS)], "At most this many groups.", 100
    ),
    *(AFTER, AFTER_CURSOR),
)


@task_groups.get("/api/tasks/groups")
@described(
    "tasks",
    parameters=_PARAMETERS,
    answers={200: TaskGroups([_EXAMPLE], {"running": 1}, Examples.NEXT, next="42")},
    links=(Link("list_events", parameters={"after": "cursor"}),),
    refuses=(BadCursor, BadRequest),
)
@limited(READS)
@needs(WATCHER)
async def list_task_groups(request: HTTPRequest) -> Answer:
    """Read a page of groups of tasks."""
    args = request.args
    args.refuse_others(*(parameter.name for parameter in _PARAMETERS))
    key, wanted, most = _read_key(args), read_filter(args), read_limit(args, MAX_PAGE_GROUPS)
    await catch_up_to(request, args)
    page = await select_group_page(
        request.services.database, request.credential.user_id, key, wanted, most + 1
    )
    shown = [_group(found, key) for found in page.groups[:most]]
    return json_answer(
        TaskGroups(
            shown,
            page.counts,
            str(page.cursor),
            str(shown[-1].last_seq) if len(page.groups) > most else UNSET,
        )
    )


def _read_key(args: QueryParameters) -> GroupKey:
    key = GROUP_KEYS.get(args.get("by") or "")
    if key is None:
        raise BadRequest(f"`by` must be {' or '.join(GROUP_KEYS)}.")
    return key


def _group(found: FoundGroup, key: GroupKey) -> TaskGroup:
    parent_id = None
    if key == "parent" and (found.tasks > 1 or found.task.parent_id is not None):
        parent_id = found.task.parent_id or found.task.task_id
    return TaskGroup(
        title=found.task.title if key == "title" else None,
        parent_id=parent_id,
        tasks=found.tasks,
        last_seq=found.last_seq,
        task=found.task,
        recent=found.recent,
    )
