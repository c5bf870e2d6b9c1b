"""What only the backplane over Postgres has: channels that come and go, and earlier versions."""

import json
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import msgspec
import pytest
import trio

from relay.config.parsers import signing_keys
from relay.db.pool import Database, DatabaseConnection, connect
from relay.db.presence import write_presence
from relay.realtime import postgres_backplane
from relay.realtime.announcements import CHANNEL, channel_of
from relay.realtime.notification import NewEvents, Notification
from relay.realtime.postgres_backplane import PostgresBackplane
from relay.realtime.sealing import Sealer
from relay.realtime.wait import Wait
from tests.support.backplanes import (
    Join,
    by_postgres,
    heard_only_while_read,
    kept_alive,
    met,
    users_apart,
    without_pauses,
)
from tests.support.databases import database_of
from tests.support.hub_events import EPOCH
from tests.support.patience import PATIENCE, eventually

LARGE = '"' + "x" * 20_000 + '"'


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    without_pauses(monkeypatch)
    kept_alive(monkeypatch)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with database_of(database_url) as database:
        yield database


@pytest.fixture
def join(database_url: str) -> Join:
    return by_postgres(database_url)


class EarlierProcess:
    """A process of the version before, as far as others meet it: it knows positions alone."""

    def __init__(self, connection: DatabaseConnection) -> None:
        self.process_id = uuid4()
        self.connection = connection
        self.heard: list[dict[str, object]] = []
        connection.receive(lambda text: self.heard.append(json.loads(text)), on_lost=lambda: None)

    async def join(self, database: Database) -> None:
        await write_presence(database, self.process_id, {})
        await self.connection.listen(CHANNEL)
        await self.say()

    async def say(self, **what: object) -> None:
        text = json.dumps({"by": str(self.process_id), **what})
        await self.connection.fetch("SELECT pg_notify($1, $2)", CHANNEL, text)

    def heads(self) -> dict[str, int]:
        """What it knows of streams, by the field that it reads."""
        found: dict[str, int] = {}
        for message in self.heard:
            heads = message.get("heads", {})
            assert isinstance(heads, dict)
            found |= heads
        return found


async def test_a_process_of_the_version_before_hears_and_is_heard(
    join: Join, database: Database, database_url: str
) -> None:
    me, you = uuid4(), uuid4()
    async with join() as one, join() as two, connect(database_url, timeout=PATIENCE) as line:
        await met(one, two)
        earlier = EarlierProcess(line)
        await earlier.join(database)
        async with two.attending(me):
            await eventually(lambda: two.backplane._presence.needs_positions)  # type: ignore[attr-defined]
            await eventually(lambda: one.backplane._presence.needs_positions)  # type: ignore[attr-defined]
            one.announce(me, 1)
            one.announce(you, 7, 8)
            await eventually(lambda: earlier.heads() == {str(me): 1, str(you): 8})
            await eventually(lambda: two.heard_of(me) == [1])  # as before, with the event
            credential_id = uuid4()
            one.backplane.announce_revoked(credential_id)
            await eventually(
                lambda: any(str(credential_id) in str(each.get("ended")) for each in earlier.heard)
            )
            await earlier.say(heads={str(me): 2}, ended=[str(you)])
            await eventually(lambda: two.heads.get(me) == 2 and you in two.revoked)
            await eventually(lambda: one.heads.get(me) == 2 and you in one.revoked)
        for each in earlier.heard:  # in its own words: it passes over what it does not know
            assert each.keys() <= {"by", "heads", "ended", "all"}
        await database.execute("DELETE FROM processes WHERE process_id = $1", earlier.process_id)
        # once it is gone, only events are sent
        await eventually(lambda: not one.backplane._presence.needs_positions)  # type: ignore[attr-defined]
        count = len(earlier.heard)
        async with two.attending(you):
            one.announce(you, 9)
            await eventually(lambda: two.heard_of(you) == [9])
        await met(one, two)
        assert [each for each in earlier.heard[count:] if "heads" in each] == []


async def test_large_events_are_announced_by_their_position(join: Join) -> None:
    me = uuid4()
    async with join() as one, join() as two, two.attending(me):
        await met(one, two)
        one.announce(me, 1)
        await eventually(lambda: two.heard_of(me) == [1])
        one.announce(me, 2, payload=LARGE)
        await eventually(lambda: two.position_of(me) == 2)
        assert two.heard_of(me) == [1]


async def test_channels_are_left_some_time_after_their_last_reader(
    join: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_backplane, "UNLISTEN_INTERVAL", 0.05)
    unlisten, left = DatabaseConnection.unlisten, list[str]()

    async def noted(connection: DatabaseConnection, channel: str) -> None:
        await unlisten(connection, channel)
        left.append(channel)

    monkeypatch.setattr(DatabaseConnection, "unlisten", noted)
    me, you = users_apart(2)
    async with join() as one, join() as two:
        await met(one, two)
        backplane = two.backplane
        assert isinstance(backplane, PostgresBackplane)
        async with two.attending(you):
            async with two.attending(me):
                assert backplane._listener.channels == {channel_of(me), channel_of(you)}
            await eventually(lambda: left == [channel_of(me)])
            assert backplane._listener.channels == {channel_of(you)}
            await heard_only_while_read(one, two, me, you)


async def test_a_channel_is_kept_while_a_call_of_its_user_waits(
    join: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the call hears of its ask's end at once, and not by the look once a second."""
    monkeypatch.setattr(postgres_backplane, "UNLISTEN_INTERVAL", 0.05)
    me, you = users_apart(2)
    async with join() as one:
        backplane = one.backplane
        assert isinstance(backplane, PostgresBackplane)
        call, whose = Wait(), (me, uuid4(), "here")
        backplane._hub.begin_wait(call, *whose)
        for user_id in (me, you):
            await backplane.attend(user_id)
        await eventually(lambda: backplane._listener.channels == {channel_of(me)})
        backplane._hub.end_wait(call, *whose)
        await eventually(lambda: backplane._listener.channels == set())


async def test_a_channel_that_is_heard_late_is_followed_by_a_look_at_everything(
    join: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_backplane, "ATTEND_TIMEOUT_SECONDS", 0.0)
    listen = DatabaseConnection.listen
    goes_on = trio.Event()

    async def slowly(connection: DatabaseConnection, channel: str) -> None:
        if channel != CHANNEL:
            await goes_on.wait()
        await listen(connection, channel)

    monkeypatch.setattr(DatabaseConnection, "listen", slowly)
    me = UUID(int=7)
    async with join() as one:
        await eventually(lambda: one.everything == 1)  # of its start
        async with one.attending(me):
            assert one.everything == 1
            goes_on.set()
            await eventually(lambda: one.everything == 2)


async def test_an_unknown_message_causes_a_full_poll(join: Join, database: Database) -> None:
    async with join() as one:
        await eventually(lambda: one.everything == 1)
        for odd in ("", "of another version", '{"by": 1}', f"{uuid4()}AAAA"):
            await database.execute("SELECT pg_notify($1, $2)", CHANNEL, odd)
        await eventually(lambda: one.everything == 5)


async def test_another_role_of_the_server_can_neither_read_nor_forge_events(
    join: Join, database: Database, database_url: str
) -> None:
    """A role that may connect may LISTEN and NOTIFY: it takes a signing key to be understood."""
    me = uuid4()
    overheard: list[str] = []
    async with join() as one, join() as two, connect(database_url, timeout=PATIENCE) as line:
        await met(one, two)
        line.receive(overheard.append, on_lost=lambda: None)
        await line.listen(channel_of(me))
        async with two.attending(me):
            one.announce(me, 1, payload='"between us"')
            await eventually(lambda: two.heard_of(me) == [1])
            await eventually(lambda: len(overheard) == 1)
            assert str(me) not in overheard[0]
            assert "between us" not in overheard[0]
            new = NewEvents(me, EPOCH, 2, 0.0, (msgspec.Raw(b'{"seq":2}'),))
            forged = Notification(uuid4(), grown=(new,)).encode()
            stranger = Sealer(signing_keys(f"k1:{'x' * 32}"), uuid4())
            sealed, middle = overheard[0], len(overheard[0]) // 2
            changed = sealed[:middle] + ("B" if sealed[middle] == "A" else "A")
            changed += sealed[middle + 1 :]
            looked = two.everything
            for text in (forged, stranger.seal(forged.encode()), changed):
                await database.execute("SELECT pg_notify($1, $2)", channel_of(me), text)
            await eventually(lambda: two.everything == looked + 3)
            assert two.heard_of(me) == [1]
