"""A receiving host has a rate and so many calls at a time, over all processes and users."""

from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

import pytest
import trio

from relay.background.sweeping import sweep
from relay.channels import senders
from relay.db.notifications import TakenNotification, Waiting, select_waiting
from relay.db.outbox import Outbox
from relay.db.pool import Database, open_database
from relay.db.receivers import ReceiverBounds
from tests.support.channels import pass_time
from tests.support.patience import LOOK_EVERY, PATIENCE
from tests.support.projecting import new_users
from tests.support.receivers import receiver, reply
from tests.support.sending import finish, make, new_webhook, over, sending, take, webhook_of

pytestmark = pytest.mark.usefixtures("looks_often", "patient_calls")

RATE = ReceiverBounds(timedelta(seconds=10), 5, 1_000)
CALLS = ReceiverBounds(calls=3)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with open_database(database_url, connections=8, timeout=PATIENCE) as opened:
        yield opened


async def due(
    database: Database, users: int, of_each: int, host: str = "one.example"
) -> list[UUID]:
    """Notifications of so many users that are due, all for one host."""
    made = await new_users(database, users)
    for user_id in made:
        channel_id = await new_webhook(database, user_id, f"https://{host}/hook")
        await make(database, user_id, channel_id, *(f"t{n}" for n in range(of_each)))
    return made


async def taken_at_once(
    database: Database, takers: int, receivers: ReceiverBounds
) -> list[TakenNotification]:
    """What so many processes take of it at the same moment, until none finds anything more."""
    found: list[TakenNotification] = []

    async def one() -> None:
        while more := await take(database, 2, receivers=receivers):
            found.extend(more)

    async with trio.open_nursery() as nursery:
        for _ in range(takers):
            nursery.start_soon(one)
    return found


async def test_the_rate_of_a_host_holds_for_all_users_and_processes(database: Database) -> None:
    users = await due(database, 4, 10)
    first = await taken_at_once(database, 6, RATE)
    assert len(first) == RATE.burst
    assert await taken_at_once(database, 6, RATE) == []
    await pass_time(database, 21)  # two intervals
    assert len(await taken_at_once(database, 6, RATE)) == 2
    await due(database, 1, 2, "other.example")  # which has a rate of its own
    assert [one.age < timedelta(seconds=20) for one in await take(database, receivers=RATE)] == [
        True,
        True,
    ]
    assert {one.user_id for one in first} <= set(users)


async def test_users_share_the_rate_of_a_host(database: Database) -> None:
    (flood,) = await due(database, 1, 50)
    others = await due(database, 4, 1)
    taken = Counter(one.user_id for one in await take(database, receivers=RATE))
    assert taken == Counter([flood, *others])


async def test_so_many_calls_of_a_host_are_under_way_at_a_time(database: Database) -> None:
    await due(database, 4, 5)
    first = await taken_at_once(database, 6, CALLS)
    assert len(first) == CALLS.calls
    await finish(database, first[0], "delivered")
    await finish(database, first[1], "retry")
    assert len(await taken_at_once(database, 6, CALLS)) == 2


async def test_what_an_ended_process_had_under_way_is_free_after_its_lease(
    database: Database,
) -> None:
    await due(database, 1, 3)
    first = await take(database, receivers=CALLS)
    await due(database, 1, 1)
    assert await take(database, receivers=CALLS) == []
    await pass_time(database, 60)
    again = await take(database, 3, receivers=CALLS)
    assert len(first) == len(again) == CALLS.calls


async def test_what_waits_for_its_host_is_counted_and_is_not_late(database: Database) -> None:
    await due(database, 1, 5)
    await database.execute("UPDATE notifications SET due_at = due_at - interval '1 hour'")
    found = await select_waiting(database, CALLS)
    assert (found.waiting, found.held) == (5, 0)
    assert found.oldest_s == pytest.approx(3_600, abs=PATIENCE)
    await take(database, receivers=CALLS)
    assert await select_waiting(database, CALLS) == Waiting(5, 0.0, held=2)


async def test_a_host_that_hangs_leaves_senders_to_others(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(senders, "SENT_AT_ONCE", CALLS.calls + 1)
    async with receiver() as hanging, receiver() as there:
        hanging.always = reply(None)
        for _ in range(8):
            user_id, channel_id = await webhook_of(database, hanging)
            await make(database, user_id, channel_id, "a", "b")
        (other,) = await new_users(database, 1)
        named = there.url.replace("127.0.0.1", "localhost")
        channel_id = await new_webhook(database, other, named)
        async with sending(database, outbox=Outbox(receivers=CALLS)):
            await hanging.has(CALLS.calls)
            await make(database, other, channel_id, *(f"t{n}" for n in range(10)))
            await there.has(10)
            assert len(hanging.posts) == CALLS.calls


async def test_what_is_over_the_rate_of_its_host_arrives_later(database: Database) -> None:
    async with receiver() as there:
        for _ in range(4):
            user_id, channel_id = await webhook_of(database, there)
            await make(database, user_id, channel_id, "a", "b")
        outbox = Outbox(receivers=ReceiverBounds(timedelta(hours=1), 5, 16))
        async with sending(database, outbox=outbox), sending(database, outbox=outbox):
            for count in (5, 6, 7, 8):
                await there.has(count)
                with trio.fail_after(PATIENCE):
                    while await database.fetchval(  # noqa: ASYNC110 - rows set no Event
                        "SELECT EXISTS (SELECT FROM notifications WHERE stage = 'taken')"
                    ):
                        await trio.sleep(LOOK_EVERY)
                assert len(there.posts) == count
                await pass_time(database, 3_601)
            await over(database, 8)
        assert len(set(there.ids)) == 8


async def test_a_host_that_is_not_called_any_more_is_forgotten(database: Database) -> None:
    await due(database, 1, 1, "gone.example")
    await due(database, 1, 1, "here.example")
    await take(database)
    await database.execute(
        "UPDATE receivers SET paced_until = paced_until - interval '2 hours' WHERE host = $1",
        "gone.example",
    )
    await sweep(database, audit_days=1)
    rows = await database.fetch("SELECT host FROM receivers")
    assert [row["host"] for row in rows] == ["here.example"]
