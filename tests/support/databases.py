"""Databases for tests: made, opened, changed behind Relay's back.

Each belongs to one test for as long as it runs. To make a migrated database and to drop it takes
Postgres some 150 ms of CPU, to empty one of a few rows 18 ms and one of many rows 60 ms. So it
serves one test after another, as long as the tests leave nothing in it but rows.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from urllib.parse import unquote, urlsplit

import asyncpg
import trio

from relay.db.pool import Database, DatabaseConnection, connect, open_database
from relay.db.source import bring_up_to_date
from tests.support.patience import LOOK_EVERY, PATIENCE
from tests.support.relay_server import User

TEMPLATE = "relay_template"
# Its files are copied. Unless asked, Postgres writes each page into its log, for twice the CPU.
COPY = f"TEMPLATE {TEMPLATE} STRATEGY FILE_COPY"
FEW_ROWS = 500  # so many dead ones may lie on the pages that the next test reads
LEFT_WITHIN = 10.0  # seconds for Postgres to see that connections were closed

# 4096 rounds of hashing for each connection, on both sides, protect passwords that people choose.
FAST_LOGIN = "SET scram_iterations = 1; ALTER ROLE CURRENT_USER PASSWORD '{password}'"

IN_USE = """
SELECT count(*) > 0 FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""

# Each change of the schema, a grant or a setting changes one of these rows. Of a table's own row
# it leaves out what vacuum, analyze and truncate write there.
SCHEMA = """
WITH tables AS (SELECT * FROM pg_class WHERE relnamespace = 'public'::regnamespace)
SELECT md5(string_agg(line, ' ' ORDER BY line)) FROM (
    SELECT concat_ws('-', 'table', oid, relname, relowner, relpersistence, relchecks,
                     relrowsecurity, relforcerowsecurity, relreplident, relacl, reloptions)
    FROM tables
    UNION ALL
    SELECT concat('column', attrelid, '-', attnum, '-', xmin) FROM pg_attribute
    WHERE attrelid IN (SELECT oid FROM tables)
    UNION ALL
    SELECT concat('function', oid, '-', xmin) FROM pg_proc
    WHERE pronamespace = 'public'::regnamespace
    UNION ALL
    SELECT concat('trigger', oid, '-', xmin) FROM pg_trigger
    UNION ALL
    SELECT concat('constraint', oid, '-', xmin) FROM pg_constraint
    UNION ALL
    SELECT concat('limit', datconnlimit) FROM pg_database WHERE datname = current_database()
    UNION ALL
    SELECT concat('setting', setconfig::text) FROM pg_db_role_setting
    WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
    UNION ALL
    SELECT concat('migration', version, checksum) FROM schema_migrations
) AS everything (line)
"""
TABLES = """
SELECT quote_ident(tablename) FROM pg_tables
WHERE schemaname = 'public' AND tablename <> 'schema_migrations'
ORDER BY tablename <> 'users' -- a trigger adds rows to other tables
"""
RESTART = """
SELECT setval(format('%I.%I', schemaname, sequencename)::regclass, 1, false) FROM pg_sequences
WHERE schemaname = 'public' -- changes no row of SCHEMA
"""


class Databases:
    """Makes databases in the Postgres at `dsn`, and keeps those that can serve another test."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._password = unquote(urlsplit(dsn).password or "")
        self._spare: list[str] = []  # names
        self._schema = ""

    def prepare(self) -> None:
        """Make the migrated database that the others are copies of, and logins fast."""
        asyncio.run(execute(self._dsn, FAST_LOGIN.format(password=self._password)))
        asyncio.run(execute(self._dsn, f"CREATE DATABASE {TEMPLATE}"))
        template = self._address(TEMPLATE)
        trio.run(lambda: bring_up_to_date(template, apply=True, timeout=PATIENCE))
        self._schema = asyncio.run(_value(template, SCHEMA))

    @contextmanager
    def migrated(self) -> Iterator[str]:
        """The address of a migrated database without a row, for the length of the block."""
        name = self._spare.pop() if self._spare else self._create(COPY)
        try:
            yield self._address(name)
        finally:
            if asyncio.run(self._emptied(name)):
                self._spare.append(name)
            else:
                asyncio.run(self._drop(name))

    @contextmanager
    def empty(self) -> Iterator[str]:
        """The address of a database with nothing in it, for the length of the block."""
        name = self._create()
        try:
            yield self._address(name)
        finally:
            asyncio.run(self._drop(name))

    def _address(self, name: str) -> str:
        return self._dsn.replace("@/relay?", f"@/{name}?")

    def _create(self, options: str = "") -> str:
        name = f"test_{secrets.token_hex(6)}"
        asyncio.run(self._until_unused(f"CREATE DATABASE {name} {options}"))
        return name

    async def _emptied(self, name: str) -> bool:
        """Whether it is as it was when it was new, after its few rows were deleted."""
        with suppress(asyncpg.PostgresError, OSError, TimeoutError):
            connection = await asyncpg.connect(self._address(name), timeout=PATIENCE)
            try:
                return await self._empty(connection)
            finally:
                await connection.close()
        return False

    async def _empty(self, connection: asyncpg.Connection) -> bool:
        if await connection.fetchval(SCHEMA) != self._schema or not await _left(connection):
            return False
        tables = [row[0] for row in await connection.fetch(TABLES)]
        rows = " + ".join(f"(SELECT count(*) FROM {table})" for table in tables)
        if await connection.fetchval(f"SELECT {rows}") > FEW_ROWS:
            emptied = f"TRUNCATE {', '.join(tables)}"
        else:
            emptied = ";".join(f"DELETE FROM {table}" for table in tables)
        await connection.execute(f"{emptied}; {RESTART}")
        return True

    async def _drop(self, name: str) -> None:
        await self._until_unused(f"DROP DATABASE {name} WITH (FORCE)")

    async def _until_unused(self, sql: str) -> None:
        """Also while Postgres' own autovacuum looks at a database, which we may not send away, or
        a connection to the template has been closed and Postgres has not noticed for seconds."""
        async with asyncio.timeout(PATIENCE):
            while True:
                with suppress(asyncpg.InsufficientPrivilegeError, asyncpg.ObjectInUseError):
                    await execute(self._dsn, sql)
                    return
                await asyncio.sleep(LOOK_EVERY)


@asynccontextmanager
async def database_of(url: str) -> AsyncIterator[Database]:
    async with open_database(url, connections=2, timeout=PATIENCE) as database:
        yield database


async def trim(database_url: str, user: User, oldest: int) -> None:
    """As retention does it: what is older is gone, and the stream knows."""
    async with connect(database_url, timeout=PATIENCE) as database:
        await database.execute(
            "DELETE FROM events WHERE user_id = $1::text::uuid AND seq < $2", user.user_id, oldest
        )
        await database.execute(
            "UPDATE users SET oldest_seq = $2 WHERE user_id = $1::text::uuid", user.user_id, oldest
        )


async def begin(holder: DatabaseConnection, locks: str) -> None:
    """Begin a transaction that holds locks however long the test takes."""
    await holder.execute(f"BEGIN; SET LOCAL idle_in_transaction_session_timeout = 0; {locks}")


WAITING = """
SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE a.datname = current_database() AND NOT l.granted
"""


async def until_waiting(watcher: DatabaseConnection, statements: int) -> None:
    """Wait until so many statements wait for a lock; the watcher is in no transaction."""
    with trio.fail_after(PATIENCE):
        while (await watcher.fetch(WAITING))[0][0] != statements:  # noqa: ASYNC110
            await trio.sleep(LOOK_EVERY)


async def statement(url: str, sql: str) -> None:
    """Execute a statement from trio."""
    await trio.to_thread.run_sync(asyncio.run, execute(url, sql))


# Relay waits out a refused statement; an answer that no code expects ends its process
_TRIM = "trim_stream(uuid, bigint, bigint, timestamptz, integer)"

NONSENSE = f"""
    ALTER FUNCTION {_TRIM} RENAME TO real_trim_stream;
    CREATE FUNCTION {_TRIM} RETURNS bigint LANGUAGE sql AS 'SELECT -1::bigint';
    INSERT INTO users (user_id, epoch, last_seq, stored_bytes)
        VALUES (gen_random_uuid(), 'overfull', 1, {2**60})
"""

SENSE = f"""
    DELETE FROM users WHERE epoch = 'overfull';
    DROP FUNCTION {_TRIM};
    ALTER FUNCTION real_{_TRIM} RENAME TO trim_stream
"""


async def execute(dsn: str, sql: str) -> None:
    connection = await asyncpg.connect(dsn, timeout=PATIENCE)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()


async def _left(connection: asyncpg.Connection) -> bool:
    """Whether no other client is connected, or those that were leave now."""
    with suppress(TimeoutError):
        async with asyncio.timeout(LEFT_WITHIN):
            while await connection.fetchval(IN_USE):  # noqa: ASYNC110 - other processes
                await asyncio.sleep(LOOK_EVERY)
            return True
    return False


async def _value(dsn: str, sql: str) -> str:
    connection = await asyncpg.connect(dsn, timeout=PATIENCE)
    try:
        return str(await connection.fetchval(sql))
    finally:
        await connection.close()
