"""Hosts have turns, and users have turns at a host, whatever waits and however long it has."""

from collections import Counter
from datetime import timedelta
from random import Random
from typing import Any
from uuid import UUID

import pytest
import trio

from relay.db.notifications import Finished, OutboxBounds, TakenNotification, finish_notifications
from relay.db.pool import Database
from relay.db.receivers import ReceiverBounds, last_in_turn
from tests.support.channels import pass_time
from tests.support.patience import PATIENCE
from tests.support.projecting import new_users
from tests.support.sending import finish, make, new_webhook, take

CHANNELS, WAITING = 20, 1_000  # the most that a user has, and that waits for one of them
ONE_AT_A_TIME = ReceiverBounds(timedelta(seconds=10), 1, 1_000)


async def due(database: Database, user_id: UUID, host: str, count: int, days: int = 0) -> UUID:
    """A channel of a user to a host, with so many notifications that are due for so many days."""
    channel_id = await new_webhook(database, user_id, f"https://{host}/hook")
    await make(database, user_id, channel_id, *(f"t{n}" for n in range(count)))
    await database.execute(
        "UPDATE notifications SET due_at = due_at - $2 * interval '1 day' WHERE channel_id = $1",
        channel_id,
        days,
    )
    return channel_id


async def try_again(database: Database, taken: TakenNotification) -> None:
    """Write that one has failed, and is due again at once."""
    done = Finished(
        *(taken.user_id, taken.position, taken.channel_id, "retry", 500, None),
        *(0.0, None, None, False, taken.sealed),
    )
    await finish_notifications(database, [done], OutboxBounds())


def users(taken: list[TakenNotification]) -> Counter[UUID]:
    return Counter(one.user_id for one in taken)


async def test_a_user_with_as_much_as_there_may_be_delays_no_other_one(database: Database) -> None:
    flood, other = await new_users(database, 2)
    for number in range(CHANNELS):
        await due(database, flood, f"flood-{number}.example", WAITING, days=1)
    await due(database, other, "other.example", 2)
    taken = await take(database, 8, of_user=8, of_channel=4)
    assert users(taken) == {flood: 6, other: 2}


async def test_what_waits_for_a_host_that_may_not_be_called_hides_nothing(
    database: Database,
) -> None:
    (patient, *others) = await new_users(database, 4)
    for number, user_id in enumerate(others):
        await due(database, user_id, "closed.example", WAITING, days=3 - number)
    first = await take(database, receivers=ONE_AT_A_TIME)
    await due(database, patient, "open.example", 1)
    assert users(first).total() == 1
    assert users(await take(database, receivers=ONE_AT_A_TIME)) == {patient: 1}
    assert await take(database, receivers=ONE_AT_A_TIME) == []


async def test_users_have_turns_at_a_host_whose_rate_is_used_up(database: Database) -> None:
    made = await new_users(database, 3)
    for number, user_id in enumerate(made):
        await due(database, user_id, "one.example", 20 if number == 0 else 2, days=3 - number)
    order: list[UUID] = []
    for _ in range(9):  # each process knows nothing of what the ones before it took
        (one,) = await take(database, lease=3_600, receivers=ONE_AT_A_TIME)
        order.append(one.user_id)
        await pass_time(database, 10)
    turns = sorted(made, key=lambda one: one.hex)
    flood = made[0]
    assert order == [*turns, *turns, flood, flood, flood]


async def test_hosts_have_turns_also_where_there_are_more_than_one_look_visits(
    database: Database,
) -> None:
    count = 150
    for number, user_id in enumerate(await new_users(database, count)):
        await due(database, user_id, f"h{number:03}.example", 2)
    hosts: list[str] = []
    last = ""
    while len(hosts) < 2 * count:
        taken = await take(database, 10, after_host=last)
        hosts += sorted((one.host for one in taken), key=lambda host: (host <= last, host))
        last = last_in_turn(last, [one.host for one in taken])
        for one in taken:
            await finish(database, one, "delivered")
    assert hosts == sorted(set(hosts)) * 2


async def test_a_user_whose_channel_has_enough_does_not_stop_the_turns_of_its_host(
    database: Database,
) -> None:
    first, second = sorted(await new_users(database, 2), key=lambda one: one.hex)
    full = await due(database, first, "one.example", 5)
    await due(database, second, "one.example", 5)
    bounds: dict[str, Any] = {"of_channel": 4, "channels": {full: 4}}
    bounds |= {"of_user": 8, "users": {first: 4}}
    taken = await take(database, receivers=ONE_AT_A_TIME, **bounds)
    assert users(taken) == {second: 1}


async def test_two_processes_share_the_turns_and_take_each_once(database: Database) -> None:
    for number, user_id in enumerate(await new_users(database, 12)):
        await due(database, user_id, f"h{number % 3}.example", 10)
    found: list[TakenNotification] = []

    async def one() -> None:
        while taken := await take(database, 5):
            found.extend(taken)

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(one)
    assert len(found) == len({(one.user_id, one.position) for one in found}) == 120


async def test_one_of_a_task_follows_when_the_one_before_it_is_over(database: Database) -> None:
    (user_id,) = await new_users(database, 1)
    channel_id = await new_webhook(database, user_id, "https://one.example/hook")
    await make(database, user_id, channel_id, "a", "a", "a", "b")
    order = []
    while taken := await take(database):
        order.append([one.task_id for one in sorted(taken, key=lambda one: one.position)])
        for one in taken:
            await finish(database, one, "delivered")
    assert order == [["a", "b"], ["a"], ["a"]]


async def test_nothing_is_left_and_tasks_stay_in_order_while_many_take_fail_and_finish(
    database: Database,
) -> None:
    chance = Random(113)
    for user_id in await new_users(database, 3):
        channel_id = await new_webhook(database, user_id, "https://one.example/hook")
        await make(database, user_id, channel_id, *(f"t{n % 4}" for n in range(24)))
    over: list[TakenNotification] = []

    async def process() -> None:
        while await database.fetchval("SELECT EXISTS (SELECT FROM notifications)"):
            for one in await take(database, 5):  # which makes ready what is due, too
                if chance.random() < 0.3:
                    await try_again(database, one)
                    continue
                over.append(one)
                await finish(database, one, "delivered")

    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            for _ in range(4):
                nursery.start_soon(process)
    assert len(over) == len({one.position for one in over}) == 3 * 24
    places: dict[tuple[UUID, str | None], list[int]] = {}
    for one in over:
        places.setdefault((one.channel_id, one.task_id), []).append(one.position)
    assert [sorted(of_task) for of_task in places.values()] == list(places.values())


@pytest.mark.parametrize(
    ("after", "hosts", "last"),
    [
        ("", ["a", "b"], "b"),
        ("b", ["c", "d"], "d"),
        ("b", ["c", "a"], "a"),
        ("b", ["b"], "b"),
        ("b", [], "b"),
    ],
)
def test_the_last_of_a_round_is_the_one_before_its_start(
    after: str, hosts: list[str], last: str
) -> None:
    assert last_in_turn(after, hosts) == last
