"""A step of housekeeping that fails leaves the others their turn, and is in the log."""

import pytest
from structlog.testing import capture_logs

from relay.background.steps import Step, Steps
from relay.db.pool import StatementFailed
from relay.errors import DatabaseAway


class Work:
    """Three steps, of which those in `failing` fail."""

    def __init__(self, error: Exception) -> None:
        self.done: list[str] = []
        self.failing: set[str] = set()
        self._error = error
        self.steps = Steps({name: self._step(name) for name in "abc"})

    def _step(self, name: str) -> Step:
        async def step() -> None:
            if name in self.failing:
                raise self._error
            self.done.append(name)

        return step

    async def run(self, failing: str) -> tuple[bool, list[str], list[list[str]]]:
        """Run them once: whether all succeeded, those that did, and what was warned of."""
        self.done, self.failing = [], set(failing)
        with capture_logs() as lines:
            finished = await self.steps.run()
        warned = [line["steps"] for line in lines if line["event"] == "housekeeping_unfinished"]
        assert all(line["log_level"] == "warning" for line in lines if "steps" in line)
        return finished, self.done, warned


@pytest.mark.parametrize("error", [DatabaseAway(), StatementFailed("refused")])
async def test_a_step_that_fails_leaves_the_others_their_turn(error: Exception) -> None:
    work = Work(error)
    assert await work.run("a") == (False, ["b", "c"], [["a"]])
    assert await work.run("a") == (False, ["b", "c"], [])  # the log has it already
    assert await work.run("ab") == (False, ["c"], [["a", "b"]])
    assert await work.run("") == (True, ["a", "b", "c"], [])
    assert await work.run("a") == (False, ["b", "c"], [["a"]])


async def test_an_outage_is_no_step_that_fails() -> None:
    work = Work(DatabaseAway())
    assert await work.run("abc") == (False, [], [])
    assert await work.run("") == (True, ["a", "b", "c"], [])


async def test_a_refusal_of_several_steps_is_one_error() -> None:
    work = Work(StatementFailed("refused"))
    work.failing = set("ac")
    with capture_logs() as lines:
        for _ in range(2):
            await work.steps.run()
    levels = [line["log_level"] for line in lines if line["event"] == "housekeeping_refused"]
    assert levels == ["error", "debug", "debug", "debug"]


async def test_another_failure_ends_the_run() -> None:
    work = Work(KeyError())
    with pytest.raises(KeyError):
        await work.run("b")
    assert work.done == ["a"]
