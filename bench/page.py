"""Write the tables and plots of docs/explanation/performance.md from one run's JSON lines.

    python -m bench.page [FILE]

With a file, its run replaces the one behind the page; without, the page is written again from the
current run. The text between `<!-- bench: NAME -->` and `<!-- bench -->` is generated, the rest is
written by hand.
"""

import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from math import inf
from pathlib import Path
from statistics import median

from bench import headroom
from bench.catalogue import CATALOGUE
from bench.plots import Bar, Panel, Range, bars, ranges
from bench.processes import ROOT
from bench.results import (
    COLUMNS,
    Column,
    Figure,
    Results,
    Row,
    cell_text,
    columns,
    heading,
    is_relay,
    number,
    saturated,
    sorted_rows,
)
from bench.workloads import WORKLOADS

PAGE = ROOT / "docs/explanation/performance.md"
PLOTS = ROOT / "docs/explanation/performance"
MEASURED = PLOTS / "measured.jsonl"
GENERATED_PART = re.compile(r"(<!-- bench: (\w+) -->\n).*?(<!-- bench -->)", re.DOTALL)

TITLES = {peer.name: peer.title for peer in CATALOGUE} | {"relay": "**Relay**"}
DURABLE = {peer.name for peer in CATALOGUE if peer.durable}
COMPARED_PEERS = ("fastapi", "starlette", "node", "nchan", "quart-hypercorn")  # in the summary
ALT = {
    "throughput": "Throughput of Relay and its peers, one bar each",
    "latency-w1": "Percentiles of latency at 500 events a second over WebSocket",
    "latency-w5": "Percentiles of latency at 500 events a second over SSE",
    "memory": "Memory of an idle stream",
}
BUSY = 0.2  # cores that other programs may use during a run
PERCENTILES = ("p50", "p90", "p99", "p999")


def main(given: Sequence[str]) -> None:
    PLOTS.mkdir(exist_ok=True)
    for drawing in PLOTS.glob("*.svg"):
        drawing.unlink()  # left by a run with more plots
    if given and Path(given[0]).resolve() != MEASURED:
        shutil.copyfile(given[0], MEASURED)
    for path, text in render(Results.read(MEASURED)).items():
        path.write_text(text)


def render(results: Results) -> dict[Path, str]:
    """Every generated file with its content."""
    plots = dict(_drawings(results))
    parts = {
        "machine": _machine(results),
        "summary": _summary(results),
        "peers": _peers(),
        "plots": "\n\n".join(f"![{ALT[name]}]({PLOTS.name}/{name}.svg)" for name in plots),
        **{name: _workload(results, name) for name in dict.fromkeys(w.name for w in WORKLOADS)},
    }
    page = GENERATED_PART.sub(
        lambda found: f"{found[1]}{parts[found[2]]}\n{found[3]}", PAGE.read_text()
    )
    return {PAGE: page} | {PLOTS / f"{name}.svg": text for name, text in plots.items()}


def _machine(results: Results) -> str:
    machine = results.machine
    first = results.records[0]
    rounds = max((record.get("round", 0) for record in results.records), default=0)
    seconds = first.get("order", {}).get("seconds")
    posting = f", {seconds:g} s of posting a case" if seconds else ""
    lines = [
        f"{first.get('at', '')}, Relay at commit {first.get('commit', '')}, {rounds}"
        f" round{'' if rounds == 1 else 's'}{posting}."
        f" {machine['cores']} cores ({machine['processor']}), {machine['memory_gib']} GiB,"
        f" Linux {machine['kernel']}, Python {machine['python']}; the disk flushes"
        f" {number(machine['flushes_per_second'])} times a second.",
        _noise([record["load"]["others"] for record in results.records if "load" in record]),
        headroom.summary(results).strip(),
    ]  # fmt: skip
    lines += [
        f"Skipped, because it could not run: {record['absent']} ({record['why']})."
        for record in results.records_with("absent")
    ]
    return "\n\n".join(line for line in lines if line)


def _noise(others: Sequence[float]) -> str:
    if not others:
        return ""
    found = f"Other programs used {median(others):.2f} cores during the run (median)."
    if median(others) > BUSY:
        found += " **The machine was busy: these figures do not show how fast the programs are.**"
    return found


def _peers() -> str:
    rows = [["peer", "what Relay does and it does not"]]
    rows += [[peer.title, peer.limitations] for peer in CATALOGUE]
    return markdown(rows)


def _summary(results: Results) -> str:
    """Relay's figures and ratios to each peer, from the worst shape of events to the best."""
    rows = [["work", "Relay", *(f"vs {TITLES[name]}" for name in COMPARED_PEERS)]]
    for (workload, case), cases in results.groups().items():
        found = [{row.peer: row for row in results.rows(workload, each)} for each in cases]
        found = [each for each in found if "relay" in each]
        for column in columns(workload, case):
            figures = [each["relay"].figure(*column.path) for each in found]
            ours = [figure for figure in figures if figure is not None]
            if not ours or not column.in_summary:
                continue
            work = f"{workload.capitalize()} {case}, {heading(column, found[0]['relay'])}"
            ratios = [_span(_ratios(found, name, column)) for name in COMPARED_PEERS]
            rows.append([work, str(ours[0]) if len(ours) == 1 else _span(ours), *ratios])
    return markdown(rows)


def _ratios(found: Sequence[dict[str, Row]], peer: str, column: Column) -> list[Figure]:
    """How many times as good Relay is as the peer, for each shape of events."""
    ratios = [each["relay"].advantage_over(each[peer], column) for each in found if peer in each]
    return [ratio for ratio in ratios if ratio is not None]


def _span(figures: Sequence[Figure]) -> str:
    """The median of one figure, or the least and the most of several."""
    middles = sorted({figure.middle for figure in figures})
    return " to ".join([number(middle) for middle in (middles[:1] + middles[1:][-1:])])


def _worst(results: Results, workload: str, cases: Sequence[str]) -> str:
    """The case whose shape of events Relay does worst beside a durable peer; or else the first."""

    def advantage(case: str) -> float:
        found = {row.peer: row for row in results.rows(workload, case)}
        theirs = [row for name, row in found.items() if name in DURABLE]
        if "relay" not in found or not theirs:
            return inf
        ratio = found["relay"].advantage_over(theirs[0], columns(workload, case)[0])
        return ratio.middle if ratio else inf

    return min(cases, key=advantage)


def _workload(results: Results, name: str) -> str:
    parts = []
    for workload, case in results.cases():
        if workload == name:
            parts += [f"**{case[0].upper()}{case[1:]}**", _table(results, workload, case)]
    for record in results.records_with("failed"):
        if record["failed"] == name:
            parts.append(f"{record['peer']} failed in round {record['round']}: {record['why']}")
    return "\n\n".join(parts) if parts else "Not measured in this run."


def _table(results: Results, workload: str, case: str) -> str:
    wanted = columns(workload, case)
    rows = sorted_rows(results, workload, case)
    ours = next((row for row in rows if row.peer == "relay"), None)
    headings = [heading(column, rows[0]) for column in wanted]
    lines = [["", *headings, "ratio", "CPU of server, load (cores)"]]
    for row in rows:
        ratio = ours.advantage_over(row, wanted[0]) if ours else None
        shares = [row.figure("load", share) for share in ("server", "generator")]
        mark = "" if row.good else f" (wrong: {row.wrong})"
        lines.append(
            [
                TITLES.get(row.peer, row.peer) + mark,
                *(cell_text(row, column) for column in wanted),
                number(ratio.middle) if ratio else "",
                ", ".join(f"{share.middle:.2f}" for share in shares if share),
            ]
        )
    return markdown(lines)


def markdown(rows: Sequence[Sequence[str]]) -> str:
    head, *rest = rows
    lines = [head, ["---", *(["---:"] * (len(head) - 1))], *rest]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _drawings(results: Results) -> Iterator[tuple[str, str]]:
    rated = [
        (workload, _worst(results, workload, cases))
        for (workload, _), cases in results.groups().items()
        if workload in ("w1", "w2", "w4", "w5")
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


if __name__ == "__main__":
    main(sys.argv[1:])
