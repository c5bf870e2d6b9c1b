"""The plots of the performance page: of each case the shape and form in which Relay is worst."""

from collections.abc import Iterator

from bench.comparison import DURABLE, compared
from bench.page_tables import TITLES
from bench.plots import Bar, Panel, Range, bars, ranges
from bench.results import (
    COLUMNS,
    Results,
    Row,
    columns,
    heading,
    is_relay,
    saturated,
    sorted_rows,
)

ALT = {
    "throughput": "Throughput of Relay and its peers, one bar each",
    "latency-w1": "Percentiles of latency at 500 events a second over WebSocket",
    "latency-w5": "Percentiles of latency at 500 events a second over SSE",
    "memory": "Memory of an idle stream",
}
PERCENTILES = ("p50", "p90", "p99", "p999")


def drawings(results: Results) -> Iterator[tuple[str, str]]:
    """Each plot's name and its SVG."""
    rated = [
        (workload, found[0].case)
        for (workload, _), cases in results.groups().items()
        if workload in ("w1", "w2", "w4", "w5") and (found := compared(results, workload, cases))
    ]
    titles = dict(
        w1="One event per POST, WebSocket", w2="One user's events", w4="Batches",
        w5="One event per POST, SSE",
    )  # fmt: skip
    panels = [
        panel
        for workload, case in rated
        if columns(workload, case)[0].path == ("rate",)
        and (panel := _panel(results, workload, case, titles[workload]))
    ]
    if panels:
        yield "throughput", bars("Throughput", panels)
    for workload, transport in (("w1", "WebSocket"), ("w5", "SSE")):
        rows = [
            Range(_name(row), _kind(row), [figure.middle for figure in points if figure])
            for name, steady in rated
            if name == workload and columns(workload, steady) == COLUMNS["steady"]
            for row in sorted_rows(results, workload, steady)
            if all(points := [row.figure("latency_ms", mark) for mark in PERCENTILES])
        ]
        if rows:
            title = f"Time from due to delivered, 500 events a second, {transport}"
            yield f"latency-{workload}", ranges(title, "ms", ("p50", "p90", "p99", "p99.9"), rows)
    memory = [
        panel
        for workload, case in results.cases()
        if workload == "w3" and (panel := _panel(results, workload, case, "Memory"))
    ]
    if memory:
        yield "memory", bars("Memory of an idle stream", memory)


def _panel(results: Results, workload: str, case: str, title: str) -> Panel | None:
    column = columns(workload, case)[0]
    rows = sorted_rows(results, workload, case)
    found = [
        Bar(_name(row), _kind(row), figure, "≥ " if saturated(row) else "")
        for row in rows
        if row.good and (figure := row.figure(*column.path))
    ]
    if not found:
        return None
    return Panel(f"{title}, {case}: {heading(column, rows[0])}", found)


def _name(row: Row) -> str:
    return TITLES.get(row.peer, row.peer).replace("**", "").partition(", in memory")[0]


def _kind(row: Row) -> str:
    return "relay" if is_relay(row.peer) else "durable" if row.peer in DURABLE else "memory"
