"""Read the results of a run (a file of JSON lines); compute medians, ranges and tables."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Figure:
    """Median, minimum and maximum of the rounds."""

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
    """Three significant digits, with spaces between thousands."""
    if value >= 100:
        return f"{round(value, 3 - len(str(int(value)))):,.0f}".replace(",", " ")
    return f"{value:.2f}" if value < 10 else f"{value:.1f}"


@dataclass(frozen=True, slots=True)
class Row:
    """One peer in one case, over all rounds."""

    peer: str
    records: tuple[Record, ...]

    @property
    def good(self) -> bool:
        return all(record.get("good") for record in self.records)

    @property
    def wrong(self) -> str:
        return next((record["wrong"] for record in self.records if "wrong" in record), "")

    @property
    def unit(self) -> str:
        return str(self.records[0].get("unit", ""))

    def by_round(self, *path: str) -> dict[int, float]:
        """A value of the records, found by its path of names, for the rounds that have it."""
        values: dict[int, float] = {}
        for record in self.records:
            found: Any = record
            for name in path:
                found = found.get(name) if isinstance(found, dict) else None
            if found is not None:
                values[record["round"]] = float(found)
        return values

    def figure(self, *path: str) -> Figure | None:
        values = self.by_round(*path)
        return Figure.of(list(values.values())) if values else None

    def ratio(self, other: "Row", column: "Column") -> Figure | None:
        """The ratio of this row to the other, computed for each round."""
        ours, theirs = self.by_round(*column.path), other.by_round(*column.path)
        ratios = [value / theirs[at] for at, value in ours.items() if theirs.get(at)]
        return Figure.of(ratios) if ratios else None

    def advantage_over(self, other: "Row", column: "Column") -> Figure | None:
        """How many times as good this row is as the other."""
        return other.ratio(self, column) if column.lower_is_better else self.ratio(other, column)


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

    def records_with(self, kind: str) -> list[Record]:
        """Records of another kind than a case: `absent`, `failed`, `headroom`."""
        return [record for record in self.records if kind in record]

    def cases(self) -> list[tuple[str, str]]:
        """Each workload and case, in the order of the run."""
        return list(
            dict.fromkeys(
                (record["workload"], record["case"]) for record in self.records if "case" in record
            )
        )

    def groups(self) -> dict[tuple[str, str], list[str]]:
        """The cases of each workload that differ in shape or form alone, by what they share."""
        found: dict[tuple[str, str], list[str]] = {}
        for workload, case in self.cases():
            found.setdefault((workload, without_shape(case)), []).append(case)
        return found

    def rows(self, workload: str, case: str) -> list[Row]:
        found: dict[str, list[Record]] = {}
        for record in self.records:
            if (record.get("workload"), record.get("case")) == (workload, case):
                found.setdefault(record["peer"], []).append(record)
        return [Row(peer, tuple(records)) for peer, records in found.items()]

    @property
    def delivered(self) -> bool:
        """Whether every Relay completed all workloads and delivered the events it accepted."""
        failed = [record for record in self.records_with("failed") if is_relay(record["peer"])]
        wrong = [
            record
            for record in self.records
            if "case" in record and is_relay(record["peer"]) and not record["delivered"]
        ]
        return not failed and not wrong


def is_relay(peer: str) -> bool:
    return peer.split("@")[0].split("+")[0] == "relay"


@dataclass(frozen=True, slots=True)
class Column:
    """A value of a case. Without a name, its heading is the case's unit."""

    name: str
    path: tuple[str, ...]
    unit: str = ""
    lower_is_better: bool = False
    in_summary: bool = True


def _own(name: str, unit: str, *path: str) -> Column:
    """A column of a workload in which Relay has no peers."""
    return Column(name, path, unit, lower_is_better=True, in_summary=False)


RATE = Column("", ("rate",))
COLUMNS: dict[str, tuple[Column, ...]] = {
    "steady": (
        Column("p50", ("latency_ms", "p50"), "ms", lower_is_better=True),
        Column("p99", ("latency_ms", "p99"), "ms", lower_is_better=True),
        Column("p99.9", ("latency_ms", "p999"), "ms", lower_is_better=True, in_summary=False),
        Column("response p50", ("answer_ms", "p50"), "ms", lower_is_better=True, in_summary=False),
    ),
    "idle": (
        Column("memory per stream", ("kib_each",), "KiB", lower_is_better=True),
        Column("connections/s", ("connects_per_second",)),
        Column("CPU while idle", ("idle_cpu",), "cores", lower_is_better=True, in_summary=False),
    ),
    "storm": (
        Column("all caught up", ("seconds",), "s", lower_is_better=True),
        Column("p50", ("caught_up_ms", "p50"), "ms", lower_is_better=True, in_summary=False),
        Column("events/s", ("rate",), in_summary=False),
    ),
    "processes": (
        _own("all together", "CPU µs/event", "total_us"),
        _own("publisher", "µs", "publisher_us"),
        _own("reader", "µs", "reader_us"),
        _own("each idle one", "µs", "idle_us"),
        _own("Postgres", "µs", "postgres_us"),
        _own("Valkey", "µs", "valkey_us"),
        _own("p50", "ms", "latency_ms", "p50"),
        _own("p99", "ms", "latency_ms", "p99"),
        Column("", ("rate",), in_summary=False),
    ),
    "opening": (
        _own("median", "ms", "took_ms", "p50"),
        _own("most", "ms", "took_ms", "most"),
        _own("size", "KiB", "kib"),
    ),
    "flood": (
        Column("p99 ratio", ("times",), lower_is_better=True),
        Column("p99 alone", ("alone_ms", "p99"), "ms", lower_is_better=True, in_summary=False),
        Column(
            "p99 during it", ("latency_ms", "p99"), "ms", lower_is_better=True, in_summary=False
        ),
    ),
    "rate": (RATE, Column("per CPU second of the server", ("per_cpu_second",), in_summary=False)),
}
SATURATED = 0.9  # of the generator's core; above, the figure may be the generator's limit


def without_shape(case: str) -> str:
    """The case without shape and form: `maximum rate` of `maximum rate, many tasks, TLS`."""
    return case.partition(", ")[0]


def columns(workload: str, case: str) -> tuple[Column, ...]:
    if without_shape(case).endswith("/s"):
        return COLUMNS["steady"]
    return COLUMNS[
        {
            "w3": "idle",
            "w6": "storm",
            "w9": "processes",
            "w10": "opening",
            "flood": "flood",
        }.get(workload, "rate")
    ]


def saturated(row: Row) -> bool:
    """Whether the generator and Postgres used their whole core; the server may then be faster."""
    shares = [row.figure("load", name) for name in ("generator", "postgres")]
    return sum(share.middle for share in shares if share) >= SATURATED


def sorted_rows(results: Results, workload: str, case: str) -> list[Row]:
    """Rows sorted by the case's first column, the best first."""
    column = columns(workload, case)[0]
    found = [
        (figure.middle, row)
        for row in results.rows(workload, case)
        if (figure := row.figure(*column.path))
    ]
    found.sort(key=lambda pair: pair[0], reverse=not column.lower_is_better)
    return [row for _, row in found]


def table(results: Results, workload: str, case: str) -> list[list[str]]:
    """A heading and one row per peer, with its ratio to Relay."""
    wanted = columns(workload, case)
    rows = sorted_rows(results, workload, case)
    ours = next((row for row in rows if row.peer == "relay"), None)
    headings = [heading(column, rows[0]) for column in wanted]
    found = [["", *headings, "ratio", "cores: server, load, Postgres, others, stolen"]]
    for row in rows:
        shares = [
            row.figure("load", name)
            for name in ("server", "generator", "postgres", "others", "stolen")
        ]
        mark = "" if row.good else f" WRONG: {row.wrong}"
        found.append(
            [
                row.peer + mark,
                *(cell_text(row, column) for column in wanted),
                str(ours.advantage_over(row, wanted[0]) or "") if ours else "",
                " ".join(f"{share.middle:.2f}" for share in shares if share),
            ]
        )
    return found


def heading(column: Column, row: Row) -> str:
    unit = column.unit or (row.unit if column.path == RATE.path else "")
    return f"{column.name} ({unit})" if column.name and unit else column.name or unit


def cell_text(row: Row, column: Column) -> str:
    """A figure, marked ≥ if the generator was saturated."""
    figure = row.figure(*column.path)
    least = "≥ " if column is RATE and saturated(row) else ""
    return f"{least}{figure}" if figure else ""


def plain(rows: list[list[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if not place else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )
