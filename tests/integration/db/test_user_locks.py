"""Statements that lock several rows skip what is locked or go in one order: none deadlocks."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from uuid import UUID, uuid4

import pytest
import trio

from relay.auth.credentials import SESSION_DAYS
from relay.auth.tokens import Kind
from relay.background.sweeping import sweep
from relay.db.epochs import renew_epochs
from relay.db.links import spend_link
from relay.db.pool import Database, DatabaseConnection, connect, open_database
from relay.db.presence import write_presence
from relay.db.tokens import touch_tokens
from relay.db.user_credentials import UserCredential
from relay.db.users import end_other_sessions, touch_sessions
from tests.support.databases import begin, until_waiting
from tests.support.patience import PATIENCE

LOW, HIGH = sorted([uuid4(), uuid4()])


class Rows:
    """A database, and a transaction that holds rows in it."""

    def __init__(
        self, database: Database, holder: DatabaseConnection, watcher: DatabaseConnection
    ) -> None:
        self.database = database
        self.holder = holder
        self._watcher = watcher

    @asynccontextmanager
    async def held(self, lock: str) -> AsyncIterator[trio.Nursery]:
        """Hold the rows that `lock` selects for the length of the block.

        What runs in the nursery may wait for them: it has ended when the block is left.
        """
        async with trio.open_nursery() as nursery:
            await begin(self.holder, lock)
            try:
                yield nursery
            finally:
                await self.holder.execute("ROLLBACK")

    async def waiting(self, statements: int) -> None:
        """Wait until so many statements wait for a lock."""
        await until_waiting(self._watcher, statements)

    async def ids(self, sql: str, *args: object) -> list[UUID]:
        return [row[0] for row in await self.database.fetch(sql, *args)]


@pytest.fixture
async def rows(database_url: str) -> AsyncIterator[Rows]:
    """Two users; the one with the higher id is stored first, so a scan finds it first."""
    async with AsyncExitStack() as stack:
        holder, watcher = [
            await stack.enter_async_context(connect(database_url, timeout=PATIENCE))
            for _ in range(2)
        ]
        database = await stack.enter_async_context(
            open_database(database_url, connections=4, timeout=PATIENCE)
        )
        for user_id in (HIGH, LOW):
            await database.execute("INSERT INTO users (user_id, epoch) VALUES ($1, 'e')", user_id)
        yield Rows(database, holder, watcher)


async def session(rows: Rows, user_id: UUID, expires: str = "1 day") -> UUID:
    """A session that was used an hour ago."""
    return (
        await rows.ids(
            """
            INSERT INTO sessions (session_id, user_id, expires_at, last_used_at)
            VALUES (gen_random_uuid(), $1, now() + $2::text::interval, now() - interval '1 hour')
            RETURNING session_id
            """,
            user_id,
            expires,
        )
    )[0]


async def token(rows: Rows, user_id: UUID, expires: str = "1 day") -> UUID:
    return (
        await rows.ids(
            """
            INSERT INTO tokens (token_id, user_id, scopes, expires_at, kid)
            VALUES (gen_random_uuid(), $1, '{webhook}', now() + $2::text::interval, 'k')
            RETURNING token_id
            """,
            user_id,
            expires,
        )
    )[0]


# -- what never waits

OLD = {
    "processes": "SELECT gen_random_uuid(), now() - interval '2 minutes'",
    "trimmed_events": "SELECT gen_random_uuid(), 'e', 1, now() - interval '2 days'",
    "tickets": "SELECT 't', gen_random_uuid(), gen_random_uuid(), NULL, now() - interval '1 hour'",
    "links": "SELECT gen_random_uuid(), 'h', gen_random_uuid(), now() - interval '1 hour'",
    "audit_log": None,
    "tokens": None,
    "sessions": None,
}


async def test_no_sweep_waits_for_rows_that_are_locked(rows: Rows) -> None:
    for table, old in OLD.items():
        if old is not None:
            await rows.database.execute(f"INSERT INTO {table} {old}")
    await rows.database.execute(
        "INSERT INTO audit_log (at, user_id, action)"
        " VALUES (now() - interval '2 days', gen_random_uuid(), 'a')"
    )
    await session(rows, LOW, "-40 days")
    await token(rows, LOW, "-40 days")

    async def left() -> dict[str, int]:
        counts = {}
        for table in OLD:
            found = await rows.database.fetchval(f"SELECT count(*) FROM {table}")
            counts[table] = int(found)
        return counts

    locks = "; ".join(f"SELECT FROM {table} FOR UPDATE" for table in OLD)
    async with rows.held(locks):
        await sweep(rows.database, audit_days=1)
        assert await left() == dict.fromkeys(OLD, 1)
    await sweep(rows.database, audit_days=1)
    assert await left() == dict.fromkeys(OLD, 0)


@pytest.mark.parametrize("kind", [Kind.SESSION, Kind.HOOK])
async def test_the_use_of_a_locked_credential_is_passed_over_and_others_are_recorded(
    rows: Rows, kind: Kind
) -> None:
    make = session if kind is Kind.SESSION else token
    ids = [await make(rows, user_id) for user_id in (LOW, HIGH)]
    credentials = [UserCredential(*one) for one in zip((LOW, HIGH), ids, strict=True)]
    table, column = f"{kind.value}s".replace("hook", "token"), f"{kind.value}_id"
    column = column.replace("hook", "token")

    async def touch() -> list[UUID]:
        if kind is Kind.SESSION:
            await touch_sessions(rows.database, credentials, SESSION_DAYS)
        else:
            await touch_tokens(rows.database, credentials)
        used = f"SELECT {column} FROM {table} WHERE last_used_at > now() - interval '1 minute'"
        return await rows.ids(used)

    async with rows.held(f"SELECT FROM {table} WHERE {column} = '{ids[0]}' FOR NO KEY UPDATE"):
        assert await touch() == [ids[1]]
    assert sorted(await touch()) == sorted(ids)


async def test_the_use_of_a_session_is_recorded_while_its_user_is_locked(rows: Rows) -> None:
    ids = [await session(rows, user_id) for user_id in (LOW, HIGH)]
    credentials = [UserCredential(*one) for one in zip((LOW, HIGH), ids, strict=True)]
    await rows.database.execute("UPDATE users SET active_at = now() - interval '1 day'")
    async with rows.held(f"SELECT FROM users WHERE user_id = '{LOW}' FOR NO KEY UPDATE"):
        await touch_sessions(rows.database, credentials, SESSION_DAYS)
        active = "SELECT user_id FROM users WHERE active_at > now() - interval '1 minute'"
        assert await rows.ids(active) == [HIGH]
        extended = "SELECT session_id FROM sessions WHERE expires_at > now() + interval '20 days'"
        assert sorted(await rows.ids(extended)) == sorted(ids)


# -- what goes in one order


async def test_a_renewal_of_epochs_locks_users_in_the_order_that_appends_do(rows: Rows) -> None:
    async with rows.held(f"SELECT FROM users WHERE user_id = '{LOW}' FOR NO KEY UPDATE") as nursery:
        nursery.start_soon(renew_epochs, rows.database)
        await rows.waiting(1)
        await rows.holder.execute(
            f"SELECT FROM users WHERE user_id = '{HIGH}' FOR NO KEY UPDATE NOWAIT"
        )
    assert "e" not in [row[0] for row in await rows.database.fetch("SELECT epoch FROM users")]


async def test_a_process_is_locked_before_its_numbers_of_streams(rows: Rows) -> None:
    process_id = uuid4()
    await write_presence(rows.database, process_id, {LOW: 1, HIGH: 1})
    async with rows.held("SELECT FROM processes FOR UPDATE") as nursery:  # as a sweep deletes it
        nursery.start_soon(write_presence, rows.database, process_id, {LOW: 0, HIGH: 2})
        await rows.waiting(1)
        await rows.holder.execute("SELECT FROM watching FOR UPDATE NOWAIT")
    left = await rows.database.fetch("SELECT user_id, streams FROM watching")
    assert [tuple(row) for row in left] == [(HIGH, 2)]


# -- sessions of one user


async def in_this_order(
    rows: Rows, first: Callable[[], Awaitable[None]], second: Callable[[], Awaitable[None]]
) -> None:
    """Both wait for the user's lock; it is released when the second has come."""
    async with rows.held(f"SELECT lock_user('{LOW}')") as nursery:
        nursery.start_soon(first)
        await rows.waiting(1)
        nursery.start_soon(second)
        await rows.waiting(2)


@pytest.mark.parametrize("link_first", [True, False])
async def test_ending_other_sessions_beside_a_link_leaves_no_session_of_that_link(
    rows: Rows, link_first: bool
) -> None:
    mine, other = await session(rows, LOW), await session(rows, LOW)
    new = uuid4()
    await rows.database.execute(
        "INSERT INTO links (session_id, link_hash, user_id, expires_at)"
        " VALUES ($1, 'hash', $2, now() + interval '1 hour')",
        other,
        LOW,
    )
    opened: list[bool] = []
    ended: list[UUID] = []

    async def redeem() -> None:
        expires = await spend_link(rows.database, b"hash", LOW, new, SESSION_DAYS, 100)
        opened.append(expires is not None)

    async def end() -> None:
        ended.extend(await end_other_sessions(rows.database, mine, LOW) or [])

    await in_this_order(rows, *((redeem, end) if link_first else (end, redeem)))
    assert opened == [link_first]
    assert sorted(ended) == sorted([other, new] if link_first else [other])
    assert await rows.ids("SELECT session_id FROM sessions WHERE revoked_at IS NULL") == [mine]


async def test_of_two_sessions_that_end_each_other_the_first_stays(rows: Rows) -> None:
    first, second = await session(rows, LOW), await session(rows, LOW)
    answers: dict[UUID, list[UUID] | None] = {}

    async def end(session_id: UUID) -> None:
        answers[session_id] = await end_other_sessions(rows.database, session_id, LOW)

    await in_this_order(rows, lambda: end(first), lambda: end(second))
    assert answers == {first: [second], second: None}
    assert await rows.ids("SELECT session_id FROM sessions WHERE revoked_at IS NULL") == [first]


async def test_a_revocation_has_the_time_at_which_its_wait_ended(rows: Rows) -> None:
    """Other processes look for revocations of the last seconds, and a wait may take as long."""
    mine, other = await session(rows, LOW), await session(rows, LOW)
    async with rows.held(f"SELECT lock_user('{LOW}')") as nursery:
        nursery.start_soon(end_other_sessions, rows.database, mine, LOW)
        await rows.waiting(1)
        released = await rows.database.fetchval("SELECT clock_timestamp()")
    revoked = "SELECT session_id FROM sessions WHERE revoked_at > $1"
    assert await rows.ids(revoked, released) == [other]
