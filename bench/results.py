"""What runs say: a file of JSON lines, and from it medians, spreads and tables."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Figure:
    """The median of the rounds, and the least and the most of them."""

    middle: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Figure":
        return cls(median(values), min(values), max(values))

    def __str__(self) -> str:
        if self.least == self.most:
            return number(self.middle)
        return f"{number(self.middle)} ({number(self.least)} to {number(self.most)})"


def number(value: float) -> str:
    """Three digits that count; thousands apart."""
    if value >= 100:
        return f"{round(value, 3 - len(str(int(value)))):,.0f}".replace(",", " ")
    return f"{value:.2f}" if value < 10 else f"{value:.1f}"


@dataclass(frozen=True, slots=True)
class Row:
    """One peer at one case, all rounds."""

    peer: str
    records: tuple[Record, ...]

    @property
    def good(self) -> bool:
        return all(record.get("good") for record in self.records)

    @property
    def wrong(self) -> str:
        return next((record["wrong"] for record in self.records if "wrong" in record), "")

    def figure(self, *path: str) -> Figure | None:
        """Of a value in the records, by the names that lead there; None where one lacks it."""
        values = []
        for record in self.records:
            found: Any = record
            for name in path:
                found = found.get(name) if isinstance(found, dict) else None
            if found is None:
                return None
            values.append(float(found))
        return Figure.of(values) if values else None


class Results:
    """The records of one run, in order."""

    def __init__(self, records: Iterable[Record]) -> None:
        self.records = list(records)

    @classmethod
    def read(cls, path: Path) -> "Results":
        return cls(json.loads(line) for line in path.read_text().splitlines())

    @property
    def machine(self) -> Record:
        return next((each["machine"] for each in self.records if "machine" in each), {})

    def told(self, kind: str) -> list[Record]:
        """Records that are about something else than a case: `absent`, `failed`, `headroom`."""
        return [record for record in self.records if kind in record]

    def cases(self) -> list[tuple[str, str]]:
        """Workload and case, in the order they were run."""
        return list(
            dict.fromkeys(
                (record["workload"], record["case"]) for record in self.records if "case" in record
            )
        )

    def rows(self, workload: str, case: str) -> list[Row]:
        found: dict[str, list[Record]] = {}
        for record in self.records:
            if (record.get("workload"), record.get("case")) == (workload, case):
                found.setdefault(record["peer"], []).append(record)
        return [Row(peer, tuple(records)) for peer, records in found.items()]

    @property
    def good(self) -> bool:
        """Whether Relay delivered everything, wherever it was asked to."""
        failed = [record for record in self.told("failed") if is_relay(record["peer"])]
        wrong = [
            record
            for record in self.records
            if "case" in record and is_relay(record["peer"]) and not record["good"]
        ]
        return not failed and not wrong


def is_relay(peer: str) -> bool:
    return peer.split("@")[0].split("+")[0] == "relay"


# what a case is about: a heading, where the value is, its unit, and whether less is better
Column = tuple[str, tuple[str, ...], str, bool]
RATE: Column = ("a second", ("rate",), "", False)
COLUMNS: dict[str, tuple[Column, ...]] = {
    "steady": (
        ("p50", ("latency_ms", "p50"), "ms", True),
        ("p99", ("latency_ms", "p99"), "ms", True),
        ("p99.9", ("latency_ms", "p999"), "ms", True),
        ("p50 of the answer", ("answer_ms", "p50"), "ms", True),
    ),
    "idle": (
        ("KiB a stream", ("kib_each",), "KiB", True),
        ("connects a second", ("connects_per_second",), "", False),
        ("CPU while idle, cores", ("idle_cpu",), "", True),
    ),
    "storm": (
        ("all caught up, s", ("seconds",), "s", True),
        ("p50", ("caught_up_ms", "p50"), "ms", True),
        RATE,
    ),
    "flood": (
        ("p99 times", ("times",), "", True),
        ("p99 alone", ("alone_ms", "p99"), "ms", True),
        ("p99 beside it", ("latency_ms", "p99"), "ms", True),
    ),
    "rate": (RATE, ("a CPU second of the server", ("per_cpu_second",), "", False)),
}


def columns(workload: str, case: str) -> tuple[Column, ...]:
    if case.endswith("/s"):
        return COLUMNS["steady"]
    return COLUMNS[{"w3": "idle", "w6": "storm", "flood": "flood"}.get(workload, "rate")]


def table(results: Results, workload: str, case: str) -> list[list[str]]:
    """A row a peer, the best first by the first column, each beside Relay; headings on top."""
    wanted = columns(workload, case)
    _, path, _, less = wanted[0]
    rows = [row for row in results.rows(workload, case) if row.figure(*path)]

    def middle(row: Row) -> float:
        figure = row.figure(*path)
        return figure.middle if figure else 0.0

    rows.sort(key=middle, reverse=not less)
    ours = next((middle(row) for row in rows if row.peer == "relay"), None)
    unit = next((record.get("unit", "") for row in rows for record in row.records), "")
    heading = [unit if column is RATE else column[0] for column in wanted]
    found = [["", *heading, "to Relay", "server, generator, Postgres, others: cores"]]
    for row in rows:
        figures = [str(row.figure(*column[1]) or "-") for column in wanted]
        against = f"{middle(row) / ours:.2f}" if ours else "-"
        shares = [
            row.figure("load", name) for name in ("server", "generator", "postgres", "others")
        ]
        busy = " ".join(f"{share.middle:.2f}" if share else "-" for share in shares)
        mark = "" if row.good else f" WRONG: {row.wrong}"
        found.append([row.peer + mark, *figures, against, busy])
    return found


def plain(rows: list[list[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if not place else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )
