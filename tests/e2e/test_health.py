"""When /readyz and /healthz fail, and with which code."""

from collections import Counter

import httpx
import pytest
import trio
from trio.testing import MockClock

from relay.db.batched_lookup import MAX_CONCURRENT_QUERIES
from relay.db.pool import connect
from tests.support.clock import pass_by
from tests.support.patience import PATIENCE
from tests.support.relay_server import Relay, running_relay

CONNECTIONS = 4  # of the pool, more than probes may use
PROBES = 20


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that answers a probe late is not away."""
    monkeypatch.setattr("relay.db.schema_lookup.LOOK_TIMEOUT_SECONDS", PATIENCE)


async def statement(database_url: str, sql: str) -> None:
    async with connect(database_url, timeout=PATIENCE) as connection:
        await connection.execute(sql)


async def readiness(relay: Relay, path: str = "/readyz") -> tuple[int, str]:
    """Asked on a connection of its own, as probes do."""
    async with httpx.AsyncClient(timeout=PATIENCE) as http:
        answer = await http.get(f"{relay.url}{path}")
    if answer.status_code == 503:
        assert answer.headers["Retry-After"]
        assert answer.json()["code"] == "not_ready"
    return answer.status_code, answer.json().get("detail", "")


async def test_a_database_behind_is_not_ready_and_one_ahead_is(
    relay: Relay, database_url: str
) -> None:
    assert await readiness(relay) == (200, "")
    await statement(
        database_url,
        "INSERT INTO schema_migrations (version, name, checksum) VALUES (9999, 'later', 'x')",
    )
    assert await readiness(relay) == (
        200,
        "",
    )  # a successor has migrated already; this one serves on
    await statement(database_url, "DELETE FROM schema_migrations WHERE version > 1")
    status, why = await readiness(relay)
    assert (status, "Migrations are pending, from 0002_" in why) == (503, True)
    await statement(database_url, "UPDATE schema_migrations SET checksum = 'another'")
    status, why = await readiness(relay)
    assert (status, "do not match this version" in why) == (503, True)
    await statement(database_url, "DROP TABLE schema_migrations")
    status, why = await readiness(relay)
    assert (status, "Migrations are pending, from 0001_" in why) == (503, True)
    assert await readiness(relay, "/healthz") == (200, "")


async def test_a_flood_of_probes_leaves_the_database_to_others(database_url: str) -> None:
    answers: Counter[tuple[int, str]] = Counter()

    async def probe() -> None:
        answers[await readiness(relay)] += 1

    async with (
        running_relay(database_url, RELAY_DATABASE_CONNECTIONS=str(CONNECTIONS)) as relay,
        connect(database_url, timeout=PATIENCE) as other,
    ):

        async def looks() -> int:
            (row,) = await other.fetch(
                "SELECT count(*) AS count FROM pg_locks WHERE NOT granted"
                " AND relation = 'schema_migrations'::regclass AND database ="
                " (SELECT oid FROM pg_database WHERE datname = current_database())"
            )
            return int(row["count"])

        await other.execute("BEGIN; LOCK TABLE schema_migrations")
        async with trio.open_nursery() as nursery:
            for _ in range(PROBES):
                nursery.start_soon(probe)
            with trio.fail_after(PATIENCE):
                while not await looks():
                    pass
            for _ in range(10):  # not all probes have come yet
                await relay.user()
                assert await looks() <= MAX_CONCURRENT_QUERIES
            await other.execute("COMMIT")
        assert answers == {(200, ""): PROBES}


async def test_readiness_fails_before_the_listener_closes(
    database_url: str, clock: MockClock
) -> None:
    stop = trio.Event()
    async with running_relay(database_url, stop, RELAY_DRAIN_DELAY="600") as relay:
        user = await relay.user()
        async with user.websocket() as stream:
            await stream.hello()
            stop.set()
            while (answer := await readiness(relay)) == (200, ""):
                pass
            assert answer == (503, "This process is stopping.")
            assert await readiness(relay, "/healthz") == (200, "")
            await user.posted(payload="still accepted")
            assert (await stream.events(1))[0]["payload"] == "still accepted"
            await pass_by(clock, 600)
            assert (await stream.control("close"))["code"] == 1012
