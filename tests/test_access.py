"""Revocations reach who must act on them: at once when told, by a look soon after."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import pytest
import trio

from relay.access import POLL, Access
from relay.db.pool import Database
from relay.setting_types import signing_keys
from relay.tokens import Keyring
from tests.db.test_retention import database_of
from tests.faults.program import eventually
from tests.live import KEYS, Relay


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with database_of(database_url) as database:
        yield database


@asynccontextmanager
async def listening(database: Database) -> AsyncIterator[tuple[Access, list[UUID], list[UUID]]]:
    """Access at work, what it ended here, and what it told the others."""
    ended: list[UUID] = []
    told: list[UUID] = []
    access = Access(
        Keyring(signing_keys(KEYS), "http://here"),
        database,
        on_revoked=ended.append,
        tell=told.append,
        watching=lambda: (),
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(access.run)
        yield access, ended, told
        nursery.cancel_scope.cancel()


async def test_a_revoke_here_is_told_and_one_that_is_heard_of_is_not_told_again(
    database: Database,
) -> None:
    mine, theirs = UUID(int=1), UUID(int=2)
    async with listening(database) as (access, ended, told):
        access.revoked(mine)
        access.heard_revoked(theirs)
        assert (ended, told) == ([mine, theirs], [mine])


async def test_a_look_that_is_asked_for_does_not_wait_for_the_next_second(
    relay: Relay, database: Database
) -> None:
    tokens = [UUID((await (await relay.user()).token())["token_id"]) for _ in range(3)]
    async with listening(database) as (access, ended, told):
        took = []
        for token_id in tokens:
            await database.execute(
                "UPDATE tokens SET revoked_at = now() WHERE token_id = $1", token_id
            )
            access.look()
            took.append(await eventually(lambda: token_id in ended, within=10 * POLL))  # noqa: B023
        assert min(took) < POLL / 2
        assert told == []
