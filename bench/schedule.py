"""What a run measures in which order, and what fits into the time that it has.

A round of everything comes before the next round of anything, so that a run which is cut short has
whole rounds. In each round, what Relay's aims name comes first. Each workload says how many rounds
it takes.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf
from time import monotonic

from bench.agenda import Workload
from bench.forms import Form
from bench.peer import Peer
from bench.run_config import RunConfig

Wanted = Callable[[Workload, Form, int, Peer], bool]
"""Whether a peer is measured in a round of a workload in a form."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One round of one workload in one form, for all its peers. Rounds count from 1."""

    workload: Workload
    form: Form
    round: int
    peers: tuple[Peer, ...]

    @property
    def key(self) -> tuple[str, str, int]:
        """What names it in the records of a run."""
        return self.workload.title, self.form.name, self.round

    def __str__(self) -> str:
        form = "" if self.form.is_plain else f" ({self.form.name})"
        return f"round {self.round} of {self.workload.name.capitalize()}{form}"


def everything(_workload: Workload, _form: Form, _round: int, _peer: Peer) -> bool:
    """Measure all peers in all rounds."""
    return True


def turns(
    workloads: Sequence[Workload],
    forms: Sequence[Form],
    peers: Sequence[Peer],
    rounds: int | None = None,
    wanted: Wanted = everything,
) -> list[Turn]:
    """All turns of a run in their order. `rounds` takes the place of what the workloads say.

    In each round another peer begins.
    """
    most = max([rounds or workload.rounds for workload in workloads], default=0)
    found = [
        Turn(workload, form, number, _peers_of(workload, form, number, peers, wanted))
        for number in range(1, most + 1)
        for workload in sorted(workloads, key=lambda each: not each.is_aim)
        if number <= (rounds or workload.rounds)
        for form in workload.forms
        if form in forms
    ]
    return [turn for turn in found if turn.peers]


def _peers_of(
    workload: Workload, form: Form, number: int, peers: Sequence[Peer], wanted: Wanted
) -> tuple[Peer, ...]:
    found = [
        peer
        for peer in peers
        if workload.applies_to(peer)
        and form.applies_to(peer)
        and wanted(workload, form, number, peer)
    ]
    at = (number - 1) % len(found) if found else 0
    return (*found[at:], *found[:at])


class TimeBudget:
    """The seconds that a run may take, of which `spent` were spent before.

    A turn takes as long as its workload says, and once it has been measured as long as its longest
    round so far, for each of its peers.
    """

    def __init__(
        self,
        seconds: float | None,
        config_of: Callable[[Turn, Peer], RunConfig],
        *,
        spent: float = 0.0,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._clock = clock
        self.config_of = config_of
        self._end = inf if seconds is None else clock() + seconds - spent
        self._took: dict[tuple[str, str, str], float] = {}  # by title, form and peer

    def expected(self, turn: Turn) -> float:
        """The seconds that the turn is expected to take."""
        return sum(self._expected(turn, peer) for peer in turn.peers)

    def _expected(self, turn: Turn, peer: Peer) -> float:
        took = self._took.get((turn.workload.title, turn.form.name, peer.name))
        return turn.workload.seconds(self.config_of(turn, peer)) if took is None else took

    def fits(self, turn: Turn) -> bool:
        """Whether the turn would end in time."""
        return self._clock() + self.expected(turn) <= self._end

    def left_out(self, planned: Iterable[Turn]) -> list[Turn]:
        """Those of these turns that would not fit, if each takes as long as is expected."""
        at, found = self._clock(), []
        for turn in planned:
            if at + (seconds := self.expected(turn)) <= self._end:
                at += seconds
            else:
                found.append(turn)
        return found

    @contextmanager
    def spent_on(self, turn: Turn, peer: Peer) -> Iterator[None]:
        """Take the time of the block for what a round of this turn takes of this peer."""
        key, began = (turn.workload.title, turn.form.name, peer.name), self._clock()
        try:
            yield
        finally:
            self._took[key] = max(self._took.get(key, 0.0), self._clock() - began)
