"""What a sender takes of what is due: by turns of users, nothing of those that have enough, and
what it is about as of now."""

from collections import Counter
from typing import Any
from uuid import UUID, uuid4

import pytest
import trio

from relay.asks.questions import Question, new_ask
from relay.db.asks import open_ask
from relay.db.channels import add_channel
from relay.db.notifications import OutboxBounds, TakenNotification
from relay.db.pool import Database, Row, connect
from relay.errors import DatabaseAway
from tests.support.channels import new_channel
from tests.support.databases import begin, until_waiting
from tests.support.patience import PATIENCE
from tests.support.projecting import new_users
from tests.support.sending import make, new_webhook, take

WINDOW = 1_000  # of due notifications that one look ranks


async def due(database: Database, user_id: UUID, count: int, hours: int = 0) -> UUID:
    """A channel of a user with so many notifications, which have been due for so many hours."""
    channel_id = await new_webhook(database, user_id, "https://hooks.example/hook")
    await make(database, user_id, channel_id, *(f"t{n}" for n in range(count)))
    await database.execute(
        "UPDATE notifications SET due_at = due_at - $3 * interval '1 hour'"
        " WHERE user_id = $1 AND channel_id = $2",
        user_id,
        channel_id,
        hours,
    )
    return channel_id


async def test_users_take_turns_however_long_they_have_waited(database: Database) -> None:
    first, second, third = await new_users(database, 3)
    await due(database, first, 50, hours=2)
    await due(database, second, 2, hours=1)
    await due(database, third, 1)
    taken = Counter(one.user_id for one in await take(database, 6))
    assert taken == {first: 3, second: 2, third: 1}


async def test_a_user_with_many_under_way_comes_after_one_with_few(database: Database) -> None:
    busy, idle = await new_users(database, 2)
    await due(database, busy, 5, hours=1)
    await due(database, idle, 3)
    taken = Counter(one.user_id for one in await take(database, 4, of_user=8, users={busy: 2}))
    assert taken == {idle: 3, busy: 1}


async def test_of_one_user_and_one_channel_no_more_are_taken_than_are_free(
    database: Database,
) -> None:
    (user_id,) = await new_users(database, 1)
    one, other = [await due(database, user_id, 10) for _ in range(2)]
    bounds: dict[str, Any] = {"of_user": 8, "of_channel": 4}
    taken = Counter(found.channel_id for found in await take(database, **bounds))
    assert taken == {one: 4, other: 4}
    again = await take(database, users={user_id: 6}, channels={one: 3, other: 3}, **bounds)
    assert Counter(found.channel_id for found in again) == {one: 1, other: 1}


async def test_users_and_channels_that_have_enough_hide_nothing_of_others(
    database: Database,
) -> None:
    full, partly, other = await new_users(database, 3)
    await due(database, full, WINDOW, hours=3)
    busy = await due(database, partly, WINDOW, hours=2)
    free = await due(database, partly, 1, hours=1)
    last = await due(database, other, 1)
    users, channels = {full: 8, partly: 4}, {busy: 4}
    taken = await take(database, of_user=8, of_channel=4, users=users, channels=channels)
    assert [one.channel_id for one in taken] == [free, last]


@pytest.mark.parametrize("stops", [True, False], ids=["stopped", "no answer"])
async def test_what_was_taken_and_cannot_be_read_is_there_for_others_at_once(
    database: Database, monkeypatch: pytest.MonkeyPatch, stops: bool
) -> None:
    (user_id,) = await new_users(database, 1)
    await due(database, user_id, 2)
    fetch, process = Database.fetch, trio.CancelScope()

    async def fetch_once(self: Database, sql: str, *args: object) -> list[Row]:
        if "FROM take_notifications" in sql:
            return await fetch(self, sql, *args)
        if not stops:
            raise DatabaseAway
        process.cancel()
        return await fetch(self, sql, *args)

    with monkeypatch.context() as patch, process:
        patch.setattr(Database, "fetch", fetch_once)
        with pytest.raises(DatabaseAway):
            await take(database)
    assert process.cancelled_caught == stops
    assert [one.task_id for one in await take(database)] == ["t0", "t1"]


async def test_a_question_that_is_asked_while_a_sender_takes_is_sent_with_its_ask(
    database: Database, database_url: str
) -> None:
    (user_id,) = await new_users(database, 1)
    channel = new_channel(user_id, host="hooks.example")
    await add_channel(database, channel, at_most=1)
    await make(database, user_id, channel.channel_id, "t")
    await database.execute("INSERT INTO receivers (host) VALUES ($1)", channel.host)
    question = Question("Deploy?", "text", 3_600)
    taken: list[TakenNotification] = []

    async def take_all() -> None:
        taken.extend(await take(database))

    async with (
        connect(database_url, timeout=PATIENCE) as holder,
        connect(database_url, timeout=PATIENCE) as watcher,
        trio.open_nursery() as nursery,
    ):
        await begin(holder, "SELECT FROM receivers FOR UPDATE")
        nursery.start_soon(take_all)
        await until_waiting(watcher, 1)
        ask = new_ask(question, user_id=user_id, token_id=uuid4())
        assert (await open_ask(database, ask, at_most=1, bounds=OutboxBounds())).notified
        await holder.execute("COMMIT")
    about = [(one.ask_id, one.question, one.ask_is_open) for one in taken]
    assert about == [(None, None, None), (ask.ask_id, "Deploy?", True)]
