"""A lost, silent or cut connection between processes loses no event and no revoke.

How quick the line is, is measured by `python -m bench.across`: here it is shown what brought
the news, a notification or a look.
"""

import operator
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
import trio

from relay.db.listener import APPLICATION_NAME
from relay.db.pool import connect
from tests.support.client.streams import TRANSPORTS
from tests.support.database_proxy import Line, line_to
from tests.support.patience import LOOK_EVERY, PATIENCE
from tests.support.two_relays import BY_WORD_ALONE, pair_of
from tests.support.valkey_servers import own_channels

LISTENERS = """
    SELECT pid FROM pg_stat_activity
    WHERE application_name = $1 AND datname = current_database()
"""
TERMINATE = f"SELECT pg_terminate_backend(pid) FROM ({LISTENERS}) AS listeners"


@pytest.fixture
async def line(database_url: str) -> AsyncIterator[Line]:
    async with line_to(database_url) as line:
        yield line


@pytest.mark.parametrize("fixture", [None, "valkey_cluster_url", "redis_url"])
async def test_notifications_alone_carry_events_revokes_and_stream_counts(
    tmp_path: Path, database_url: str, fixture: str | None, request: pytest.FixtureRequest
) -> None:
    both = {} if fixture is None else own_channels(request.getfixturevalue(fixture))
    async with pair_of(tmp_path, database_url, BY_WORD_ALONE, both) as pair:
        await pair.are_in_touch()
        reads = "relay_journal_reads_total", "relay_backplane_read_events_total"
        before = [await pair.there.metric(name) for name in reads]
        received = await pair.received()
        await pair.events_arrive(10)
        assert await pair.received() >= received + 10
        # and neither a reader there nor the process had to read the database
        assert [await pair.there.metric(name) for name in reads] == before
        await pair.a_revoke_arrives()
        await pair.there.says("stream_ended")
        (cut,) = pair.there.logged("stream_ended")
        assert (cut["code"], cut["reason"]) == (4401, "revoked")
        assert await pair.there.metric('relay_streams_cut_total{reason="revoked"}') == 1
        with trio.fail_after(PATIENCE):
            while (await pair.post()).json["watchers"] != len(TRANSPORTS):
                pass
        me = await pair.here.ask("/api/me", pair.account.session)
        assert me.json["connections"] == len(TRANSPORTS)
        assert await pair.there.metric("relay_backplane_processes") == 2
        await pair.everything_arrived()


async def test_a_terminated_listener_is_replaced_and_nothing_is_missed(
    tmp_path: Path, database_url: str
) -> None:
    """Without looks: a listener that stands again makes them look at everything, once."""
    async with (
        pair_of(tmp_path, database_url, BY_WORD_ALONE) as pair,
        connect(database_url, timeout=PATIENCE) as admin,
    ):
        await pair.are_in_touch()
        for times in (1, 2, 3):
            with trio.fail_after(PATIENCE):  # until those from before are gone
                while len(await admin.fetch(LISTENERS, APPLICATION_NAME)) != 2:  # noqa: ASYNC110
                    await trio.sleep(LOOK_EVERY)
            await admin.fetch(TERMINATE, APPLICATION_NAME)
            await pair.post()
            await pair.post()
            await pair.everything_arrived()
            for program in (pair.here, pair.there):
                await program.shows(
                    "relay_backplane_reconnects_total",
                    partial(operator.eq, times),
                )
                assert await program.metric("relay_backplane_up") == 1
        await pair.are_in_touch()


async def test_a_silently_dead_connection_is_replaced_and_polling_covers_it(
    tmp_path: Path, database_url: str, line: Line
) -> None:
    async with pair_of(tmp_path, database_url, RELAY_DATABASE_DIRECT_URL=line.dsn) as pair:
        await pair.are_in_touch()
        line.stall()
        await pair.events_arrive(2)
        await pair.a_revoke_arrives()
        await pair.there.shows("relay_backplane_up", lambda up: up == 0)
        await pair.events_arrive(1)
        line.flow()
        await pair.there.shows("relay_backplane_up", lambda up: up == 1)
        await pair.are_in_touch()


async def test_polling_covers_lost_notifications(
    tmp_path: Path, database_url: str, line: Line
) -> None:
    async with pair_of(tmp_path, database_url, RELAY_DATABASE_DIRECT_URL=line.dsn) as pair:
        await pair.are_in_touch()
        line.deaf = True
        await pair.events_arrive(1)  # behind it, no earlier notification is on its way
        received = await pair.received()
        await pair.events_arrive(2)
        await pair.a_revoke_arrives()
        assert await pair.received() == received  # or this test tests nothing
        await pair.there.shows("relay_backplane_up", lambda up: up == 1)


@pytest.mark.parametrize("how", ["stalled", "cut"])
async def test_a_partitioned_process_catches_up_when_reconnected(
    tmp_path: Path, database_url: str, line: Line, how: str
) -> None:
    there = {"DATABASE_URL": line.dsn, "RELAY_DATABASE_TIMEOUT": "2"}
    async with pair_of(tmp_path, database_url, **there) as pair:
        await pair.are_in_touch()
        if how == "stalled":
            line.stall()
        else:
            await line.cut()
        for _ in range(15):
            await pair.post()
        await pair.there.says("database_away")
        line.flow()
        await pair.everything_arrived()
        await pair.there.shows("relay_backplane_up", lambda up: up == 1)
        await pair.are_in_touch()
