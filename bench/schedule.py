"""What a run measures in which order, and what fits into the time that it has.

A round of everything comes before the next round of anything, so that a run which is cut short has
whole rounds. Each workload says how many rounds it takes.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf
from time import monotonic

from bench.forms import Form
from bench.workloads import Workload


@dataclass(frozen=True, slots=True)
class Turn:
    """One round of one workload in one form, for all peers. Rounds count from 1."""

    workload: Workload
    form: Form
    round: int

    @property
    def key(self) -> tuple[str, str]:
        """What it has in common with its other rounds."""
        return self.workload.title, self.form.name


def turns(
    workloads: Sequence[Workload], forms: Sequence[Form], rounds: int | None = None
) -> list[Turn]:
    """All turns of a run in their order. `rounds` takes the place of what the workloads say."""
    most = max([rounds or workload.rounds for workload in workloads], default=0)
    return [
        Turn(workload, form, number)
        for number in range(1, most + 1)
        for workload in workloads
        if number <= (rounds or workload.rounds)
        for form in workload.forms
        if form in forms
    ]


class TimeBudget:
    """The seconds that a run may take.

    A turn fits if it would end in time, should it take as long as its longest round so far. In the
    first round that is unknown: there it fits if there is time at all.
    """

    def __init__(self, seconds: float | None, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._end = inf if seconds is None else clock() + seconds
        self._took: dict[tuple[str, str], float] = {}  # by title and form

    def fits(self, turn: Turn) -> bool:
        return self._clock() + self._took.get(turn.key, 0.0) < self._end

    @contextmanager
    def spent_on(self, turn: Turn) -> Iterator[None]:
        """Take the time of the block for what a round of this turn takes."""
        began = self._clock()
        try:
            yield
        finally:
            self._took[turn.key] = max(self._took.get(turn.key, 0.0), self._clock() - began)
