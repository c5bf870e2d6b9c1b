"""Counts of remote streams are a few seconds late at most, whatever happens to their tables."""

from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import pytest
import trio
import trio.lowlevel

from relay.background.sweeping import sweep
from relay.db import presence as stored
from relay.db.pool import Database, open_database
from relay.db.presence import ALIVE_SECONDS, select_others, write_presence
from relay.errors import DatabaseAway
from relay.realtime.hub import Hub
from relay.realtime.presence import Presence
from tests.support.backplanes import kept_alive, without_pauses
from tests.support.databases import database_of
from tests.support.hub_events import a_hub
from tests.support.patience import LOOK_EVERY, PATIENCE, eventually

ME, YOU = uuid4(), uuid4()


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    without_pauses(monkeypatch)
    kept_alive(monkeypatch)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with database_of(database_url) as database:
        yield database


@asynccontextmanager
async def running(database: Database, hub: Hub) -> AsyncIterator[Presence]:
    presence = Presence(database, uuid4(), hub)
    async with trio.open_nursery() as nursery:
        await nursery.start(presence.run)
        yield presence
        nursery.cancel_scope.cancel()


async def test_only_changes_are_announced_and_only_remote_streams_count(database: Database) -> None:
    one, two = uuid4(), uuid4()
    assert await write_presence(database, one, {ME: 2, YOU: 1}) is False  # not known before
    assert await write_presence(database, two, {ME: 3}) is False
    assert await write_presence(database, one, {YOU: 0}) is True
    assert await select_others(database, one) == ({two}, {ME: 3})
    assert await select_others(database, two) == ({one}, {ME: 2})
    assert await select_others(database, uuid4()) == ({one, two}, {ME: 5})


async def test_a_silent_process_is_not_counted_and_is_removed(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = uuid4()
    monkeypatch.setattr(stored, "ALIVE_SECONDS", ALIVE_SECONDS)
    await write_presence(database, gone, {ME: 2})
    await silent_for(database, gone, ALIVE_SECONDS)
    assert await select_others(database, uuid4()) == (set(), {})
    await sweep(database, audit_days=1)
    assert await rows(database) == (1, 1)  # it may only have been frozen
    await silent_for(database, gone, 60)
    await sweep(database, audit_days=1)
    assert await rows(database) == (0, 0)


async def silent_for(database: Database, process_id: UUID, seconds: int) -> None:
    await database.execute(
        "UPDATE processes SET seen_at = seen_at - $2 * interval '1 second' WHERE process_id = $1",
        process_id,
        seconds,
    )


async def rows(database: Database) -> tuple[int, int]:
    return (
        await database.fetchval("SELECT count(*) FROM processes"),
        await database.fetchval("SELECT count(*) FROM watching"),
    )


async def test_counts_return_after_a_crash_emptied_the_tables(
    database: Database,
) -> None:
    hub, other = a_hub(), a_hub()
    with hub.subscribe(ME, uuid4(), "here"), other.subscribe(YOU, uuid4(), "here"):
        async with running(database, hub) as presence, running(database, other):
            await eventually(lambda: presence.streams_elsewhere(YOU) == 1)
            await database.execute("TRUNCATE processes, watching")  # as a crash does
            with trio.fail_after(PATIENCE):
                while await rows(database) != (2, 2):  # noqa: ASYNC110 - nothing is sent
                    await trio.sleep(0.05)
            await eventually(lambda: presence.streams_elsewhere(YOU) == 1)
    assert await rows(database) == (0, 0)  # they have left


async def test_a_number_whose_answer_was_lost_does_not_outlive_its_stream(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = a_hub()
    stream = ExitStack()
    stream.enter_context(hub.subscribe(ME, uuid4(), "here"))

    async def write_unheard(*given: Any) -> bool:
        await write_presence(*given)
        stream.close()
        monkeypatch.setattr("relay.realtime.presence.write_presence", write_presence)
        raise DatabaseAway()

    monkeypatch.setattr("relay.realtime.presence.write_presence", write_unheard)
    async with running(database, hub):
        with trio.fail_after(PATIENCE):
            while await rows(database) != (1, 0):  # noqa: ASYNC110 - nothing is sent
                await trio.sleep(LOOK_EVERY)


async def test_unconfirmed_counts_expire(database: Database) -> None:
    await write_presence(database, uuid4(), {ME: 2})
    presence = Presence(database, uuid4(), a_hub())
    async with trio.open_nursery() as nursery:
        await nursery.start(presence.run)
        assert presence.streams_elsewhere(ME) == 2
        nursery.cancel_scope.cancel()
    await trio.lowlevel.checkpoint()
    presence._fresh_until = trio.current_time() - 0.001
    assert presence.streams_elsewhere(ME) == 0


async def test_a_process_that_is_heard_while_the_others_are_read_is_one_of_them(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, answer = trio.Event(), trio.Event()

    async def select_none(*_: object) -> tuple[set[UUID], dict[UUID, int]]:
        asked.set()
        await answer.wait()
        return set(), {}

    async def hear(presence: Presence) -> None:
        await asked.wait()
        presence.mark_alive(uuid4())
        answer.set()

    monkeypatch.setattr("relay.realtime.presence.select_others", select_none)
    presence = Presence(database, uuid4(), a_hub())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(hear, presence)
        await nursery.start(presence.run)  # it has started when it has read them
        assert not presence.is_alone
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("pooled", [True, False])
async def test_behind_a_pooler_no_statement_is_prepared_for_later(
    database_url: str, pooled: bool
) -> None:
    async with open_database(
        database_url, connections=2, timeout=PATIENCE, pooled=pooled
    ) as database:
        await database.fetchval("SELECT 1 + $1::integer", 1)
        prepared = "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%1 + $1%'"
        counts = [await database.fetchval(prepared) for _ in range(4)]  # on any connection
        jit = await database.fetchval("SELECT current_setting('jit')")
    assert (max(counts) > 0) is not pooled
    assert pooled or jit == "off"
