"""Relay beside its peers over all shapes and forms of a case, the worst first.

A peer that has no such form is compared by the plain case of the same shape. So a form that Relay
alone has, such as streams with tasks, counts against it, too.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf

from bench.catalogue import CATALOGUE
from bench.forms import FORMS, plain_case
from bench.results import Column, Figure, Results, Row, columns

PEERS = {peer.name: peer for peer in CATALOGUE}
DURABLE = tuple(peer.name for peer in CATALOGUE if peer.durable)


@dataclass(frozen=True, slots=True)
class Compared:
    """One case with the rows of its peers. `case` names its shape and form."""

    workload: str
    case: str
    rows: dict[str, Row]

    @property
    def relay(self) -> Row:
        return self.rows["relay"]

    @property
    def variation(self) -> str:
        """Its shape and form alone; empty for the only one."""
        return self.case.partition(", ")[2]

    def advantage(self, peer: str, column: Column) -> Figure | None:
        """How many times as good Relay is as the peer; None where it has no such figure."""
        theirs = self.rows.get(peer)
        return self.relay.advantage_over(theirs, column) if theirs else None

    @property
    def standing(self) -> float:
        """How Relay stands beside the durable peers by the case's first column; less is worse."""
        column = columns(self.workload, self.case)[0]
        found = [self.advantage(peer, column) for peer in DURABLE]
        return min([figure.middle for figure in found if figure], default=inf)


def compared(results: Results, workload: str, cases: list[str]) -> list[Compared]:
    """Those of these cases that Relay has, the one where it stands worst first."""
    rows = {case: {row.peer: row for row in results.rows(workload, case)} for case in cases}
    found = [
        Compared(workload, case, {**_without_form(case, rows), **of_case})
        for case, of_case in rows.items()
        if "relay" in of_case
    ]
    return sorted(found, key=lambda each: each.standing)


def _without_form(case: str, rows: dict[str, dict[str, Row]]) -> dict[str, Row]:
    """The plain rows of the peers that the case's form does not apply to.

    A peer that has the form, and was not measured in it, is not compared.
    """
    plain = rows.get(plain_case(case), {})
    forms = [form for form in FORMS if case.endswith(f", {form.name}")]
    return {
        name: row
        for name, row in plain.items()
        if name not in PEERS or not all(form.applies_to(PEERS[name]) for form in forms)
    }


@dataclass(frozen=True, slots=True)
class Loss:
    """Where a peer is better than Relay. `worst` and `best` are Relay's ratios to it, of all shapes
    and forms, and `where` names those of the worst."""

    workload: str
    case: str
    column: Column
    peer: str
    worst: float
    best: float
    where: str


def losses(results: Results) -> list[Loss]:
    """Everything in which Relay is behind a peer in some shape or form, the worst first."""
    return sorted(_losses(results), key=lambda loss: loss.worst)


def _losses(results: Results) -> Iterator[Loss]:
    for (workload, case), cases in results.groups().items():
        found = compared(results, workload, cases)
        peers = dict.fromkeys(peer for each in found for peer in each.rows if peer != "relay")
        for column in columns(workload, case):
            for peer in peers if column.in_summary else ():
                ratios = [
                    (figure.middle, each.variation)
                    for each in found
                    if (figure := each.advantage(peer, column)) is not None
                ]
                if ratios and min(ratios)[0] < 1:
                    worst, where = min(ratios)
                    yield Loss(workload, case, column, peer, worst, max(ratios)[0], where)
