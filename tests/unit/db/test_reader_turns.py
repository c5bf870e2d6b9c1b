"""Turns of readers: one user's readers delay another's by a few turns, however many they are."""

from uuid import UUID, uuid4

import pytest
import trio
import trio.testing

from relay.db.reader_turns import ReaderTurns, UserTurnMissed
from relay.errors import DatabaseAway, Problem, Unavailable

USER, OTHER, THIRD = uuid4(), uuid4(), uuid4()
CROWD = 300


class Library:
    """Readers that hold their turns until they are let go, in the order they had them."""

    def __init__(self, turns: ReaderTurns) -> None:
        self.turns = turns
        self.inside: list[tuple[UUID, trio.Event]] = []
        self.order: list[UUID] = []

    async def read(self, user_id: UUID) -> None:
        async with self.turns.turn(user_id):
            self.order.append(user_id)
            done = user_id, trio.Event()
            self.inside.append(done)
            await done[1].wait()

    async def end_first(self) -> None:
        """Let go of the reader that has held its turn for longest, and all that this lets in."""
        self.inside.pop(0)[1].set()
        await trio.testing.wait_all_tasks_blocked()


@pytest.mark.parametrize("readers", [1, 3])
async def test_another_users_reader_is_next_beside_hundreds_of_one_user(readers: int) -> None:
    library = Library(ReaderTurns(readers, readers, 60))
    async with trio.open_nursery() as nursery:
        for _ in range(CROWD):
            nursery.start_soon(library.read, USER)
        await trio.testing.wait_all_tasks_blocked()
        assert library.order == [USER] * readers  # a user alone has all turns
        assert library.turns.waiting == CROWD - readers
        nursery.start_soon(library.read, OTHER)
        await trio.testing.wait_all_tasks_blocked()
        await library.end_first()
        assert library.order == [USER] * readers + [OTHER]
        nursery.start_soon(library.read, THIRD)
        nursery.start_soon(library.read, OTHER)
        await trio.testing.wait_all_tasks_blocked()
        for _ in range(4 * readers):
            await library.end_first()
        # of each other user at most as many as there are turns were before them
        assert library.order[: 4 * readers + 1].count(OTHER) == 2
        assert library.order[: 4 * readers + 1].count(THIRD) == 1
        while library.inside:
            await library.end_first()
    assert library.order.count(USER) == CROWD
    assert library.turns.waiting == 0
    assert not library.turns._users


async def test_users_that_share_no_turns_do_not_wait_for_each_other() -> None:
    library = Library(ReaderTurns(3, float("inf"), 60))
    async with trio.open_nursery() as nursery:
        for user_id in [USER] * CROWD + [OTHER, THIRD]:
            nursery.start_soon(library.read, user_id)
        await trio.testing.wait_all_tasks_blocked()
        assert sorted(library.order) == sorted([USER, USER, USER, OTHER, THIRD])
        while library.inside:
            await library.end_first()


async def test_a_missed_turn_has_its_cause(autojump_clock: object) -> None:
    """The user's other readers, those of all, or a database that answers none of them."""
    library = Library(ReaderTurns(2, 2, 5))
    missed: list[type[Problem]] = []

    async def read(user_id: UUID) -> None:
        try:
            await library.read(user_id)
        except Problem as problem:
            missed.append(type(problem))

    async with trio.open_nursery() as nursery:

        async def come(*user_ids: UUID) -> None:
            for user_id in user_ids:
                nursery.start_soon(read, user_id)
                await trio.testing.wait_all_tasks_blocked()

        await come(USER, USER, USER, USER, OTHER)
        await trio.sleep(3)
        await library.end_first()  # the other user's turn; the user's third is in the line of all
        await come(THIRD)
        await trio.sleep(3)
        assert missed == [UserTurnMissed]
        await library.end_first()
        await trio.sleep(3)
        assert missed == [UserTurnMissed, Unavailable]
        await come(THIRD)
        await trio.sleep(6)
        assert missed == [UserTurnMissed, Unavailable, DatabaseAway]
        while library.inside:
            await library.end_first()
    assert library.order == [USER, USER, OTHER, USER]
    assert library.turns.waiting == 0
    assert not library.turns._users


async def test_a_cancelled_reader_keeps_no_turn() -> None:
    """Whether it waits, has its turn, or has been given it at that moment."""
    library = Library(ReaderTurns(1, 1, 60))
    scopes = [trio.CancelScope() for _ in range(4)]

    async def read(scope: trio.CancelScope) -> None:
        with scope:
            await library.read(USER)

    async with trio.open_nursery() as nursery:
        for scope in scopes:
            nursery.start_soon(read, scope)
            await trio.testing.wait_all_tasks_blocked()
        scopes[1].cancel()
        scopes[0].cancel()
        await trio.testing.wait_all_tasks_blocked()
        assert len(library.order) == 2
        library.inside[1][1].set()
        scopes[2].cancel()
        await trio.testing.wait_all_tasks_blocked()
        assert len(library.order) == 3
        scopes[3].cancel()
    assert library.turns.waiting == 0
    assert not library.turns._users


@pytest.mark.parametrize("another", [False, True])
async def test_a_reader_that_is_cancelled_as_the_last_one_leaves_ends_quietly(
    another: bool,
) -> None:
    """And it takes no place from another one that comes before its end."""
    library, scope = Library(ReaderTurns(1, 3, 60)), trio.CancelScope()

    async def wait() -> None:
        with scope:
            await library.read(USER)

    async with trio.open_nursery() as nursery:
        async with library.turns.turn(USER):
            nursery.start_soon(wait)
            await trio.testing.wait_all_tasks_blocked()
            scope.cancel()  # it runs at the next checkpoint
        if another:
            async with library.turns.turn(USER):
                nursery.start_soon(library.read, USER)
                await trio.testing.wait_all_tasks_blocked()
                assert library.order == []
            await trio.testing.wait_all_tasks_blocked()
            await library.end_first()
    assert library.order == [USER] * another
    assert not library.turns._users
