"""Requests to stop a task, which its producer hears with its next beat."""

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType
from quart import Blueprint

from relay.db.shown_tasks import StoredTaskFilter
from relay.db.task_changes import request_stop
from relay.db.task_pages import select_task_page
from relay.errors import NotFound, Problem
from relay.media_types import JSON
from relay.schema_types import Identifier
from relay.web.answers import Answer, json_answer
from relay.web.json import read_json
from relay.web.named_tasks import check_fields
from relay.web.needs import SESSION
from relay.web.openapi.describe import described
from relay.web.openapi.stream_messages import TASK
from relay.web.rate_limits import TOKENS, limited
from relay.web.request import HTTPRequest
from relay.web.routes import needs
from relay.web.task_catch_up import catch_up

task_stop = Blueprint("task_stop", __name__)


class TaskToStop(msgspec.Struct, forbid_unknown_fields=True):
    """The task that should stop: its present run, and no other than `run` if that is given."""

    task_id: Identifier
    run: Annotated[int, Meta(ge=1, le=2**53)] | UnsetType = UNSET


class NoSuchTask(NotFound):
    hint = "There is no such task. It may have been deleted, or belong to another user."


class NotStoppable(Problem):
    status, code, title = 409, "not_stoppable", "Not stoppable"
    hint = "This run has ended, or its producer did not say that it can be stopped."


@task_stop.post("/api/tasks/stop")
@described(
    "tasks",
    body={JSON: TaskToStop("build-7", run=1)},
    answers={202: TASK},
    refuses=(NoSuchTask, NotStoppable),
)
@limited(TOKENS)
@needs(SESSION)
async def stop_task(request: HTTPRequest) -> Answer:
    """Ask a task to stop. It stops when its producer has heard of it, which its end says."""
    wanted = await read_json(request, TaskToStop)
    check_fields({"task_id": wanted.task_id})
    services, user_id = request.services, request.credential.user_id
    await catch_up(request)
    run = None if wanted.run is UNSET else wanted.run
    requested = await request_stop(
        services.database, user_id, wanted.task_id, run, by=request.credential.id
    )
    if requested is None:
        raise NoSuchTask()
    if not requested:
        raise NotStoppable()
    services.stops.wake((user_id, wanted.task_id))
    services.task_feeds.touch(user_id)
    only = StoredTaskFilter(task_ids=[wanted.task_id], hidden=None)
    page = await select_task_page(services.database, user_id, only, 1)
    if not page.tasks:
        raise NoSuchTask()
    return json_answer(page.tasks[0], 202)
