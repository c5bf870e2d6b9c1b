"""Where streams stand: one answer each, few queries for many, and one outage for who waits."""

from uuid import UUID, uuid4

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from relay.db.heads import BESIDE, MOST_USERS, QUERIES, Heads
from relay.errors import DatabaseAway, InvalidToken
from relay.events import Head
from tests.db.test_retention import database_of
from tests.live import Relay


class FakeDatabase:
    """Everybody's stream stands at its user's number; answers wait for leave."""

    def __init__(self) -> None:
        self.asked: list[list[UUID]] = []
        self.leave = trio.Event()
        self.away = False

    async def fetch(self, _sql: str, users: list[UUID]) -> list[tuple[UUID, str, int, int]]:
        self.asked.append(users)
        await self.leave.wait()
        if self.away:
            raise DatabaseAway()
        return [(user, "e", 1, user.int) for user in users if user.int]


class Crowd:
    """Who asks, and what each was told."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.database = FakeDatabase()
        self.heads = Heads(self.database)  # type: ignore[arg-type]
        self.told: list[int | str] = []
        self._nursery = nursery
        nursery.start_soon(self.heads.run)

    async def ask(self, *users: int) -> None:
        for user in users:
            await self.ask_at_once(user)
            await trio.sleep(2 * BESIDE)

    async def ask_at_once(self, *users: int) -> None:
        for user in users:
            self._nursery.start_soon(self._one, UUID(int=user))
            await wait_all_tasks_blocked()

    async def _one(self, user: UUID) -> None:
        try:
            self.told.append((await self.heads.head(user)).last)
        except (DatabaseAway, InvalidToken) as refused:
            self.told.append(refused.code)

    async def answer(self) -> None:
        self.database.leave.set()
        await wait_all_tasks_blocked()


@pytest.fixture
def crowd(nursery: trio.Nursery, autojump_clock: object) -> Crowd:
    return Crowd(nursery)


async def test_who_comes_meanwhile_shares_the_next_query(crowd: Crowd) -> None:
    await crowd.ask(1, 2, 3, 4, 4, 0)
    assert [len(users) for users in crowd.database.asked] == [1] * QUERIES
    await crowd.answer()
    assert [[user.int for user in users] for users in crowd.database.asked] == [[1], [2], [3, 4, 0]]
    assert sorted(map(str, crowd.told)) == ["1", "2", "3", "4", "4", "invalid_token"]


async def test_a_query_that_is_quick_stays_alone(crowd: Crowd) -> None:
    await crowd.ask_at_once(1, 2, 3)
    assert [[user.int for user in users] for users in crowd.database.asked] == [[1]]
    await crowd.answer()
    assert [[user.int for user in users] for users in crowd.database.asked] == [[1], [2, 3]]
    assert sorted(map(str, crowd.told)) == ["1", "2", "3"]


async def test_one_query_holds_so_many(crowd: Crowd) -> None:
    await crowd.ask(1, 2)
    for user in range(3, MOST_USERS + 13):
        crowd._nursery.start_soon(crowd._one, UUID(int=user))
    await wait_all_tasks_blocked()
    await crowd.answer()
    assert [len(users) for users in crowd.database.asked] == [1, 1, MOST_USERS, 10]
    assert len(crowd.told) == MOST_USERS + 12


async def test_an_outage_refuses_also_those_behind_it_and_ends(crowd: Crowd) -> None:
    crowd.database.away = True
    await crowd.ask(1, 2, 3, 4)
    await crowd.answer()
    assert crowd.told == ["database_away"] * 4
    crowd.database.away = False
    await crowd.ask(5)
    assert crowd.told[4:] == [5]


async def test_who_leaves_takes_nobody_along(crowd: Crowd) -> None:
    await crowd.ask(1, 2)
    with trio.move_on_after(0.01):
        await crowd.heads.head(UUID(int=3))
    await crowd.ask(3)
    await crowd.answer()
    assert sorted(map(str, crowd.told)) == ["1", "2", "3"]


async def test_heads_are_those_of_the_database(
    relay: Relay, database_url: str, nursery: trio.Nursery
) -> None:
    user = await relay.user()
    *_, last = await user.publish(3)
    async with database_of(database_url) as database:
        heads = Heads(database)
        nursery.start_soon(heads.run)
        head = await heads.head(UUID(user.user_id))
        assert (head, f"{head.epoch}.3") == (Head(head.epoch, 1, 3), last["cursor"])
        with pytest.raises(InvalidToken):
            await heads.head(uuid4())
        nursery.cancel_scope.cancel()
