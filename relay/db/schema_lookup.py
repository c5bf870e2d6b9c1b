"""Looks up which migrations are applied, for probes, which need no credential and have no limit.

Probes that come together share one look, so that a flood of them does not take the pool's
connections from the probes of a balancer, and from other calls.
"""

from functools import partial

import trio

from relay.db.batched_lookup import BatchedLookup
from relay.db.migrate import AppliedMigration, applied_migrations
from relay.db.pool import Database, StatementFailed
from relay.errors import DatabaseAway

LOOK_TIMEOUT_SECONDS = 1.0  # for the database's answer: many probes time out soon after


class SchemaLookup:
    """Looks while `run` runs."""

    def __init__(self, database: Database) -> None:
        self._query: BatchedLookup[None, list[AppliedMigration]] = BatchedLookup(
            partial(_look, database)
        )
        self.run = self._query.run

    async def applied(self) -> list[AppliedMigration] | None:
        """The applied migrations in order, as of now or later; None if the database refuses it.

        Raises DatabaseAway.
        """
        return await self._query.find(None)


async def _look(database: Database, looks: list[None]) -> dict[None, list[AppliedMigration]]:
    with trio.move_on_after(LOOK_TIMEOUT_SECONDS):
        try:
            return dict.fromkeys(looks, await applied_migrations(database))
        except StatementFailed:
            return {}
    raise DatabaseAway()
