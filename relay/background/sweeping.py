"""Deletes rows that have expired: each kind is a step of its own, repeated until none is left."""

from collections.abc import Awaitable, Callable
from functools import partial

import trio

from relay.background.steps import Step
from relay.db.expired_rows import (
    BLOCKS_AT_ONCE,
    ENDED_CREDENTIALS,
    SWEEPS,
    delete_audit_rows,
    delete_ended_credentials,
    delete_expired,
)
from relay.db.pool import Database

PAUSE_SECONDS = 0.005  # between two statements: others need the disk, too


def sweep_steps(database: Database, *, audit_days: float) -> dict[str, Step]:
    """The steps by what each deletes; the note that a user was deleted outlives its credentials."""
    audit = partial(delete_audit_rows, database, days=audit_days)
    return {
        **{table: partial(_sweep_blocks, database, table) for table in ENDED_CREDENTIALS},
        **{kind: partial(_sweep, partial(delete_expired, database, kind)) for kind in SWEEPS},
        "audit_log": partial(_sweep, audit),
    }


async def sweep(database: Database, *, audit_days: float) -> None:
    """Delete all rows that have expired."""
    for step in sweep_steps(database, audit_days=audit_days).values():
        await step()


async def _sweep(delete: Callable[[], Awaitable[bool]]) -> None:
    while await delete():  # noqa: ASYNC110 - each turn deletes a part
        await trio.sleep(PAUSE_SECONDS)


async def _sweep_blocks(database: Database, table: str) -> None:
    first = 0
    while await delete_ended_credentials(database, table, first):
        first += BLOCKS_AT_ONCE
        await trio.sleep(PAUSE_SECONDS)
