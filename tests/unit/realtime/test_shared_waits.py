"""Calls that wait for rows share one query, and begin again without one of their own."""

from collections.abc import Callable

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from relay.db.pool import DATABASE_ERRORS
from relay.realtime import shared_waits
from relay.realtime.shared_waits import SharedWaits
from relay.realtime.wait import Wait

Waits = SharedWaits[str, str]


class Table:
    """The rows that the waits look at: the keys that are over."""

    def __init__(self) -> None:
        self.over: set[str] = set()
        self.away = False
        self.looks: list[list[str]] = []
        self.during: Callable[[], None] = lambda: None
        self.looked = trio.Event()

    async def select(self, keys: list[str]) -> list[str]:
        self.looks.append(sorted(keys))
        self.looked.set()
        if self.away:
            raise DATABASE_ERRORS[0]
        found = [key for key in keys if key in self.over]
        await trio.lowlevel.checkpoint()
        self.during()
        return found


@pytest.fixture
def table() -> Table:
    return Table()


@pytest.fixture
async def waits(table: Table, nursery: trio.Nursery, autojump_clock: MockClock) -> Waits:
    waits = Waits(table.select)
    nursery.start_soon(waits.run)
    return waits


async def look(table: Table) -> None:
    """Wait until another look is over."""
    table.looked = trio.Event()
    await table.looked.wait()
    await trio.testing.wait_all_tasks_blocked()


async def test_one_query_finds_what_is_over_for_all(
    waits: Waits, table: Table, autojump_clock: object
) -> None:
    first, second, both, other = [Wait() for _ in range(4)]
    waits.expect(first, ["a"])
    waits.expect(second, ["a"])
    waits.expect(both, ["a", "b"])
    waits.expect(other, ["c"])
    await look(table)
    assert [wait.is_over for wait in (first, second, both, other)] == [False] * 4
    table.over.add("a")
    await look(table)
    assert [wait.is_over for wait in (first, second, both, other)] == [True, True, True, False]
    assert table.looks == [["a", "b", "c"]] * 2
    for wait, keys in ((first, ["a"]), (second, ["a"]), (both, ["a", "b"]), (other, ["c"])):
        waits.forget(wait, keys)
    assert not waits._expected


async def test_a_change_in_this_process_ends_waits_at_once(
    waits: Waits, table: Table, autojump_clock: object
) -> None:
    wait, other = Wait(), Wait()
    waits.expect(wait, ["a"])
    waits.expect(other, ["b"])
    waits.wake("a")
    waits.wake("unknown")
    assert (wait.is_over, other.is_over, table.looks) == (True, False, [])


async def test_a_call_that_begins_again_before_the_next_look_knows_the_state(
    waits: Waits, table: Table, autojump_clock: object
) -> None:
    wait, again = Wait(), Wait()
    waits.expect(wait, ["a"])
    waits.note(wait, "a", "open")
    assert waits.find_state("a") is None  # no look has shown yet that the database answers
    await look(table)
    assert waits.find_state("a") == "open"
    waits.forget(wait, ["a"])
    waits.expect(again, ["a"])
    assert waits.find_state("a") == "open"
    table.over.add("a")
    await look(table)
    assert again.is_over
    assert waits.find_state("a") is None


async def test_the_state_is_dropped_with_the_first_look_that_has_no_wait_for_it(
    waits: Waits, table: Table, autojump_clock: object
) -> None:
    """From then on its end would not be found."""
    wait, other = Wait(), Wait()
    waits.expect(wait, ["a"])
    waits.expect(other, ["b"])
    waits.note(wait, "a", "open")
    await look(table)
    waits.forget(wait, ["a"])
    assert waits.find_state("a") == "open"
    begun_again: list[str | None] = []

    def begin_again() -> None:
        waits.expect(wait, ["a"])
        begun_again.append(waits.find_state("a"))

    table.during = begin_again
    await look(table)
    assert (table.looks[-1], begun_again) == (["b"], [None])


async def test_a_state_is_forgotten_at_its_end_wherever_it_ends(
    waits: Waits, table: Table, autojump_clock: object
) -> None:
    wait, late = Wait(), Wait()
    waits.expect(wait, ["a"])
    waits.note(wait, "a", "open")
    await look(table)
    waits.forget(wait, ["a"])
    waits.wake("a")  # between two calls
    assert waits.find_state("a") is None
    waits.expect(late, ["a"])
    assert not late.is_over
    waits.wake("a")
    waits.note(late, "a", "open")  # as an earlier query found it
    assert waits.find_state("a") is None
    waits.forget(late, ["a"])
    assert not waits._expected


async def test_a_state_is_not_known_while_looks_fail(
    waits: Waits, table: Table, autojump_clock: object
) -> None:
    wait = Wait()
    waits.expect(wait, ["a"])
    waits.note(wait, "a", "open")
    await look(table)
    assert waits.is_current
    table.away = True
    began = trio.current_time()
    while waits.is_current:
        await look(table)
    assert trio.current_time() - began > shared_waits.TRUST_SECONDS / 2
    assert waits.find_state("a") is None
    table.away = False
    await look(table)
    assert waits.find_state("a") == "open"


async def test_what_is_announced_during_a_look_is_looked_for_after_it(
    waits: Waits, table: Table, autojump_clock: object
) -> None:
    """A call that began again meanwhile hears of it, although it made no query."""
    wait, again = Wait(), Wait()
    waits.expect(wait, ["a"])
    waits.note(wait, "a", "open")
    await look(table)

    def answer_elsewhere() -> None:
        table.during = lambda: None
        waits.forget(wait, ["a"])
        waits.expect(again, ["a"])
        assert waits.find_state("a") == "open"
        table.over.add("a")
        waits.touch()

    table.during = answer_elsewhere
    await look(table)
    began = trio.current_time()
    await look(table)
    assert again.is_over
    assert trio.current_time() - began < shared_waits.POLL_INTERVAL_SECONDS
