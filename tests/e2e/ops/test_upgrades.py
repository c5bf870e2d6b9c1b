"""Upgrades and rollbacks as the how-to describes them: a schema newer than the program."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from uuid import UUID

import httpx
import pytest
import trio

from relay.auth.tokens import Keyring
from relay.auth.users import make_user
from relay.config.parsers import signing_keys
from relay.db.migrate import load_migrations, migrate
from relay.db.pool import Database, connect
from relay.db.source import bring_up_to_date
from relay.events import EVENT_TYPES
from tests.support.commands import RELAY as COMMAND
from tests.support.commands import complaints, environment, relay, running
from tests.support.databases import begin, database_of
from tests.support.patience import LOOK_EVERY, PATIENCE
from tests.support.ports import HeldPort
from tests.support.projections import stored_events, stored_tasks
from tests.support.relay_server import Relay, User, running_relay
from tests.support.task_events import folded_one_by_one
from tests.support.tokens import KEYS

ROOT = Path(__file__).parents[3]
KNOWN = len(load_migrations(ROOT / "sql"))


@pytest.fixture
def newer(tmp_path: Path) -> Path:
    """The migrations of a Relay that is one version ahead."""
    folder = tmp_path / "newer"
    shutil.copytree(ROOT / "sql", folder)
    (folder / f"{KNOWN + 1:04}_newer.sql").write_text("CREATE TABLE newer (n integer);")
    return folder


async def upgraded(database_url: str, newer: Path) -> None:
    async with connect(database_url, timeout=PATIENCE) as connection:
        assert len(await migrate(connection, load_migrations(newer))) == 1


async def test_with_a_newer_schema_a_running_process_continues_and_a_start_is_refused(
    database_url: str, newer: Path, tmp_path: Path
) -> None:
    env = environment(database_url, RELAY_BIND="127.0.0.1:0")
    async with running((*COMMAND, "serve"), tmp_path, env) as old:
        url = await old.url()
        async with httpx.AsyncClient(base_url=url, timeout=PATIENCE) as http:
            user = await Relay(url, http).user()
            await user.posted()
            await upgraded(database_url, newer)
            assert (await user.posted())["seq"] == 2
            async with user.sse("?after=oldest") as stream:
                assert [event["seq"] for event in await stream.events(2)] == [1, 2]

        started = await relay(tmp_path, "serve", env=env)
        (line,) = complaints(started.stderr)
        assert started.returncode == 1
        assert f"migrated to version {KNOWN + 1} by a newer Relay; this one knows {KNOWN}" in line

        status = await relay(tmp_path, "migrate", "--status", env=env)
        assert status.returncode == 1


# -- a full database of a version that knows no tasks

BEFORE_TASKS = 8  # migrations
EVENTS = 2_000


async def fill(database: Database, user_id: UUID, seed: int) -> None:
    """Store events as that version did, more than a round of the projection reads at once."""
    random, received_at = Random(seed), datetime.now(UTC) - timedelta(hours=1)
    kinds = [random.choice(EVENT_TYPES) for _ in range(EVENTS)]
    await database.execute(
        """
        INSERT INTO events (user_id, seq, event_id, event_type, task_id, ts, received_at, payload)
        SELECT $1, seq, 'e' || seq, kind, task, '2026-11-29T10:00:00Z',
            $4::timestamptz + seq * interval '1 second', '{"title":"t","message":"one"}'
        FROM unnest($2::text[], $3::text[]) WITH ORDINALITY AS e (kind, task, seq)
        """,
        user_id,
        kinds,
        [random.choice(["a", None, f"t{number // 5}"]) for number in range(EVENTS)],
        received_at,
    )
    await database.execute(
        "UPDATE users SET last_seq = $2, stored_bytes = 1 WHERE user_id = $1", user_id, EVENTS
    )


async def test_a_full_database_gets_its_tasks_in_the_background_while_streams_serve(
    empty_database_url: str,
) -> None:
    url, port = empty_database_url, HeldPort()
    base_url = f"http://127.0.0.1:{port.number}"
    keyring = Keyring(signing_keys(KEYS), base_url)
    async with connect(url, timeout=PATIENCE) as holder, database_of(url) as database:
        await migrate(holder, load_migrations(ROOT / "sql")[:BEFORE_TASKS])
        users = [await make_user(database, keyring) for _ in range(4)]
        for seed, (user_id, _, _) in enumerate(users):
            await fill(database, user_id, seed)
        await bring_up_to_date(url, apply=True, timeout=PATIENCE)
        folded = {
            user_id: folded_one_by_one(await stored_events(database, user_id))
            for user_id, _, _ in users
        }
        # nothing is folded before this is released
        await begin(holder, "LOCK TABLE projections IN EXCLUSIVE MODE")
        async with running_relay(
            url,
            RELAY_BIND=f"127.0.0.1:{port.number}",
            RELAY_HOUSEKEEPING_EVERY="0.1",
            RELAY_RETENTION_EVENTS="100",
        ) as relay:
            user_id, session, _ = users[0]
            user = User(relay, str(user_id), session)
            async with user.sse("?after=oldest") as stream:
                assert len(await stream.events(EVENTS)) == EVENTS
                assert (await user.posted(event_id="live"))["seq"] == EVENTS + 1
                assert [event["id"] for event in await stream.events(1)] == ["live"]
            assert await database.fetchval("SELECT count(*) FROM tasks") == 0
            await holder.execute("ROLLBACK")
            done = """
                SELECT count(*) = 4 FROM projections p JOIN users u USING (user_id)
                WHERE p.seq = u.last_seq AND u.last_seq - u.oldest_seq < 100
            """
            with trio.fail_after(PATIENCE):
                while not await database.fetchval(done):  # noqa: ASYNC110
                    await trio.sleep(LOOK_EVERY)
            for user_id, tasks in folded.items():
                assert await stored_tasks(database, user_id) == tasks
            page = (await user.call("GET", "/api/tasks?limit=1")).json()
            assert sum(page["counts"].values()) == len(folded[users[0][0]])
