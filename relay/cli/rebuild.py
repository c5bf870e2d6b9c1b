"""Makes the stored tasks of users anew, as the operator: `relay tasks --rebuild`."""

from collections.abc import AsyncIterator
from functools import partial
from uuid import UUID

import click
import trio

from relay.cli.operator_database import operator_database, operator_settings
from relay.cli.output import note, show
from relay.config.settings import Settings
from relay.db.notifications import OutboxBounds
from relay.db.outbox import Outbox
from relay.db.pool import Database, connect
from relay.db.projections import select_projected
from relay.db.rebuilding import select_users
from relay.projection.projector import Projector
from relay.projection.rebuild import KeepsChanging, Rebuilt, rebuild

USERS_AT_ONCE = 100  # looked up by one statement
NOTE_EVERY_SECONDS = 2.0


def rebuild_tasks(user_id: UUID | None, data_dir: str | None) -> None:
    """Make the tasks of one user anew, or of all. Raises ClickException."""
    with operator_settings(data_dir) as settings:
        done = trio.run(partial(_run, settings, user_id))
    if user_id is not None and not done.users:
        raise click.ClickException(f"There is no user {user_id}.")
    show(f"users    {done.users}")
    show(f"tasks    {done.tasks}")
    show(f"changed  {done.changed}")
    if done.skipped:
        raise click.ClickException(f"{done.skipped} users were left out, see above: try again.")


class Totals:
    """What was done so far, noted every few seconds."""

    def __init__(self) -> None:
        self.users = self.tasks = self.changed = self.skipped = 0
        self._noted_at = trio.current_time()

    def add(self, rebuilt: Rebuilt | None) -> None:
        self.users += 1
        if rebuilt is not None:
            self.tasks += rebuilt.tasks
            self.changed += rebuilt.changed
        if trio.current_time() - self._noted_at >= NOTE_EVERY_SECONDS:
            self._noted_at = trio.current_time()
            note(f"{self.users} users so far, {self.changed} tasks changed")

    def skip(self, error: KeepsChanging) -> None:
        self.skipped += 1
        note(str(error))


async def _run(settings: Settings, user_id: UUID | None) -> Totals:
    totals = Totals()
    async with (
        operator_database(settings) as (source, database),
        connect(source.direct, timeout=settings.database_timeout) as connection,
        trio.open_nursery() as nursery,
    ):
        outbox = Outbox(OutboxBounds.of(settings))
        projector = Projector(database, max_tasks=settings.tasks_per_user, outbox=outbox)
        nursery.start_soon(projector.run)
        async for existing in _users(database, projector, user_id):
            for each in existing:
                try:
                    rebuilt = await rebuild(connection, each, max_tasks=settings.tasks_per_user)
                except KeepsChanging as error:
                    totals.skip(error)
                else:
                    totals.add(rebuilt)
        nursery.cancel_scope.cancel()
    return totals


async def _users(
    database: Database, projector: Projector, user_id: UUID | None
) -> AsyncIterator[list[UUID]]:
    """This user, if it exists, or else all. Their tasks are stored up to the present events."""
    users = [user_id] if user_id is not None else await select_users(database, None, USERS_AT_ONCE)
    while users:
        heads = await select_projected(database, users)
        behind = {each: head.last_seq for each, head in heads.items() if head.last_seq > head.seq}
        await projector.catch_up_all(behind)
        yield list(heads)
        users = (
            [] if user_id is not None else await select_users(database, users[-1], USERS_AT_ONCE)
        )
