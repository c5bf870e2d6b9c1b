"""Deletes what is stored of deleted users, in small steps beside the requests of others."""

import trio

from relay.background.one_by_one import OneByOne
from relay.db.deleted_users import clear_user, select_users_to_clear
from relay.db.pool import Database
from relay.db.work_failures import WorkFailures

PAUSE_SECONDS = 0.005  # between two steps: other statements need the disk, too


class Deletion:
    """Clears deleted users while `run` runs."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._woken = trio.Event()

    def clear_soon(self) -> None:
        """Clear the users that have been deleted by now."""
        self._woken.set()

    async def look(self, interval: float) -> None:
        """Ask for it at once and every `interval` seconds, until cancelled.

        So users are found that expired, and those that an ended process left.
        """
        while True:
            self.clear_soon()
            await trio.sleep(interval)

    async def run(self) -> None:
        """Clear users when asked to, until cancelled."""
        failures = WorkFailures(
            "relay.background.deletion", waits="deletion_waits", refused="deletion_refused"
        )
        while True:
            await self._woken.wait()
            self._woken = trio.Event()
            with failures.attempt():
                await clear_deleted_users(self._database)


async def clear_deleted_users(database: Database) -> None:
    """Delete what is stored of users that were deleted."""
    users = OneByOne()
    while user_ids := await select_users_to_clear(database, users.refused):
        for user_id in user_ids:
            with users.attempt(user_id):
                while await clear_user(database, user_id):  # noqa: ASYNC110 - each turn does a part
                    await trio.sleep(PAUSE_SECONDS)
    users.end()
