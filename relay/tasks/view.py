"""A task as readers see it: the object of the API, of streams and of clients."""

from typing import Annotated, Literal, get_args

import msgspec
from msgspec import Meta

from relay.schema_types import Identifier, Moment, Seq, Uuid

ShownState = Literal["running", "waiting", "lost", "succeeded", "failed", "canceled"]
SHOWN_STATES: tuple[str, ...] = get_args(ShownState)


class TaskView(msgspec.Struct, kw_only=True):
    """One task, by what its events say. Times are the database's. `state` is `lost` while the
    task is silent for longer than `lease_s`."""

    task_id: Identifier
    run: Annotated[int, Meta(ge=1, description="Which run it is: each start begins one.")]
    state: ShownState
    title: str | None
    progress: Annotated[float, Meta(ge=0, le=1)] | None
    message: Annotated[str | None, Meta(description="The last line that is not blank.")]
    metrics: Annotated[dict[str, float], Meta(description="The latest numbers, by name.")]
    parent_id: Identifier | None
    url: str | None
    exit_code: int | None
    started_at: Moment
    last_at: Annotated[Moment, Meta(description="When its last event was received.")]
    ended_at: Moment | None
    lost_at: Annotated[Moment | None, Meta(description="When the lease of a lost task ran out.")]
    duration_s: float | None
    first_seq: Annotated[Seq, Meta(description="The first event of this run.")]
    last_seq: Seq
    events: Annotated[int, Meta(ge=1, description="Events of this run.")]
    lease_s: int | None
    stoppable: bool
    stop_requested_at: Annotated[
        Moment | None, Meta(description="When a person asked this run to stop.")
    ]
    ask_id: Annotated[Uuid | None, Meta(description="The oldest open ask that it waits for.")]
    hidden: bool


class TaskOutcome(msgspec.Struct, kw_only=True):
    """How the present run of a task goes, or went."""

    task_id: Identifier
    run: Annotated[int, Meta(ge=1)]
    state: ShownState
    duration_s: float | None
