"""Beats: producers say that their tasks are alive, without an event."""

from functools import partial
from typing import Annotated

import msgspec
from msgspec import Meta
from quart import Blueprint

from relay.db.task_changes import renew_leases, select_user_stops
from relay.errors import Draining, ProcessFull, TooManyConnections
from relay.media_types import JSON
from relay.realtime.wait import WaitEnd
from relay.schema_types import Identifier
from relay.web.answers import Answer, json_answer
from relay.web.json import read_json
from relay.web.named_tasks import NamedTasks, check_ids
from relay.web.needs import PUBLISHER
from relay.web.openapi.describe import described
from relay.web.rate_limits import charge_beat, limited_by_handler
from relay.web.request import HTTPRequest
from relay.web.routes import direct, needs
from relay.web.task_catch_up import catch_up
from relay.web.waiting import MAX_WAIT_SECONDS, WaitingCall

task_beats = Blueprint("task_beats", __name__)

_WHOLE_WAIT = frozenset({WaitEnd.TIME_OVER})  # for which the leases were renewed


class Beat(msgspec.Struct, forbid_unknown_fields=True):
    """The tasks that are alive, and for how many seconds the answer may wait."""

    task_ids: NamedTasks
    wait_s: Annotated[int, Meta(ge=0, le=MAX_WAIT_SECONDS)] = 0


class Beaten(msgspec.Struct):
    """The tasks that were asked to stop."""

    stop: list[Identifier]


@task_beats.post("/api/tasks/beat")
@described(
    "tasks",
    body={JSON: Beat(["build-7"], wait_s=20)},
    answers={200: Beaten([])},
    refuses=(TooManyConnections, ProcessFull, Draining),
)
@direct
@limited_by_handler
@needs(PUBLISHER)
async def beat(request: HTTPRequest) -> Answer:
    """Renew the leases of tasks that are alive. Unknown tasks are ignored.

    With `wait_s` the answer comes after that time, and holds the leases until then; sooner when one
    of the tasks is asked to stop, and when the process stops.
    """
    alive = await read_json(request, Beat)
    check_ids(alive.task_ids)
    task_ids = list(dict.fromkeys(alive.task_ids))
    await charge_beat(request, task_ids)
    answer_now = partial(_answer_now, task_ids)
    if not alive.wait_s:
        return await answer_now(request)
    services, user_id = request.services, request.credential.user_id
    keys = [(user_id, task_id) for task_id in task_ids]
    with WaitingCall(request, services.stops, keys) as call:
        await catch_up(request)  # a task that has just begun is not stored yet
        await _renew(request, task_ids, alive.wait_s)
        if await select_user_stops(services.database, user_id, task_ids):
            return await answer_now(request)
        none = json_answer(Beaten([]))
        return await call.hold(request, none, alive.wait_s, answer_now, valid_after=_WHOLE_WAIT)


async def _answer_now(task_ids: list[str], request: HTTPRequest) -> Answer:
    """Renew the leases as of now, and find the stops."""
    await _renew(request, task_ids)
    return json_answer(Beaten(await _find_stops(request, task_ids)))


async def _find_stops(request: HTTPRequest, task_ids: list[str]) -> list[str]:
    """Those that were asked to stop: the present run of each, also if it is not folded yet."""
    database, user_id = request.services.database, request.credential.user_id
    stops = await select_user_stops(database, user_id, task_ids)
    if stops:
        await catch_up(request)
        stops = await select_user_stops(database, user_id, stops)
    return stops


async def _renew(request: HTTPRequest, task_ids: list[str], wait: int = 0) -> None:
    """Renew the leases as of the end of a wait."""
    services, user_id = request.services, request.credential.user_id
    await renew_leases(services.database, user_id, task_ids, wait=wait)
    services.task_feeds.touch(user_id)
