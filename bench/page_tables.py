"""The tables of the performance page, as Markdown."""

from collections.abc import Sequence

from bench.catalogue import CATALOGUE, COMPARED
from bench.comparison import Compared, compared, losses
from bench.results import (
    Column,
    Figure,
    Results,
    Row,
    cell_text,
    columns,
    heading,
    is_relay,
    number,
    sorted_rows,
)

TITLES = {peer.name: peer.title for peer in CATALOGUE} | {"relay": "**Relay**"}


def markdown(rows: Sequence[Sequence[str]]) -> str:
    head, *rest = rows
    lines = [head, ["---", *(["---:"] * (len(head) - 1))], *rest]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def peers_table() -> str:
    rows = [["peer", "what Relay does and it does not"]]
    rows += [[peer.title, peer.limitations] for peer in CATALOGUE]
    return markdown(rows)


def losses_table(results: Results) -> str:
    """What Relay loses, and to which peer, the worst first."""
    found = losses(results)
    if not found:
        return "No peer was better in anything that was measured."
    rows = [["work", "the peer that is better", "ratio at worst", "at best", "the worst is"]]
    for loss in found:
        name = f"{loss.workload.capitalize()} {loss.case}"
        name += f", {loss.column.name}" if loss.column.name else ""
        title = TITLES.get(loss.peer, loss.peer)
        best = number(loss.best) if loss.best != loss.worst else ""
        rows.append([name, title, number(loss.worst), best, loss.where])
    return markdown(rows)


def summary_table(results: Results) -> str:
    """Relay's figures and ratios to each peer, from the worst shape and form to the best."""
    rows = [["work", "Relay", *(f"vs {TITLES[name]}" for name in COMPARED)]]
    for (workload, case), cases in results.groups().items():
        found = compared(results, workload, cases)
        for column in columns(workload, case):
            ours = [figure for each in found if (figure := each.relay.figure(*column.path))]
            if not ours or not column.in_summary:
                continue
            work = f"{workload.capitalize()} {case}, {heading(column, found[0].relay)}"
            cell = str(ours[0]) if len(ours) == 1 else _span(ours, column.lower_is_better)
            ratios = [_span(_ratios(found, name, column)) for name in COMPARED]
            rows.append([work, cell, *ratios])
    return markdown(rows)


def _ratios(found: Sequence[Compared], peer: str, column: Column) -> list[Figure]:
    ratios = [each.advantage(peer, column) for each in found]
    return [ratio for ratio in ratios if ratio is not None]


def _span(figures: Sequence[Figure], lower_is_better: bool = False) -> str:
    """The median of one figure, or the worst and the best of several."""
    middles = sorted([figure.middle for figure in figures], reverse=lower_is_better)
    return " to ".join(dict.fromkeys(number(middle) for middle in middles[:1] + middles[-1:]))


def workload_tables(results: Results, name: str) -> str:
    """All cases of a workload.

    Several shapes and forms of a case are one table, the worst first, and the worst of them has all
    peers below it. Cases that Relay alone has are one table.
    """
    groups = [cases for (workload, _), cases in results.groups().items() if workload == name]
    parts: list[str] = []
    alone: dict[tuple[Column, ...], list[str]] = {}
    for cases in groups:
        peers = {row.peer for case in cases for row in results.rows(name, case)}
        if all(map(is_relay, peers)):
            alone.setdefault(columns(name, cases[0]), []).extend(cases)
            continue
        if len(cases) > 1 and (found := compared(results, name, cases)):
            base = cases[0].partition(", ")[0]
            parts += [f"**{_title(base)}**, the worst first", _variations(found)]
            cases = [found[0].case]
        for case in cases:
            parts += [f"**{_title(case)}**", _peers_of_case(results, name, case)]
    parts += [_cases_of_relay(results, name, cases) for cases in alone.values()]
    for record in results.records_with("failed"):
        if record["failed"] == name:
            form = f" ({form})" if (form := record.get("form", "plain")) != "plain" else ""
            parts.append(
                f"{TITLES.get(record['peer'], record['peer'])}{form} failed in round"
                f" {record['round']}: {record['why']}"
            )
    return "\n\n".join(parts) if parts else "Not measured in this run."


def _title(case: str) -> str:
    return case[0].upper() + case[1:]


def _variations(found: Sequence[Compared]) -> str:
    """One case in all its shapes and forms: Relay's figures, and its ratios to the peers."""
    shown = [column for column in columns(found[0].workload, found[0].case) if column.in_summary]
    peers = [name for name in COMPARED if any(name in each.rows for each in found)]
    rows = [
        [
            "shape and form",
            *(heading(column, found[0].relay) for column in shown),
            *(f"vs {TITLES[name]}" for name in peers),
        ]
    ]
    for each in found:
        mark = "" if each.relay.good else f" (wrong: {each.relay.wrong})"
        ratios = [each.advantage(name, shown[0]) for name in peers]
        rows.append(
            [
                (each.variation or "plain") + mark,
                *(cell_text(each.relay, column) for column in shown),
                *(number(ratio.middle) if ratio else "" for ratio in ratios),
            ]
        )
    return markdown(rows)


def _peers_of_case(results: Results, workload: str, case: str) -> str:
    rows = sorted_rows(results, workload, case)
    ours = next((row for row in rows if row.peer == "relay"), None)
    wanted = _measured(columns(workload, case), rows)
    lines = [["", *(heading(column, rows[0]) for column in wanted), "ratio", LOAD_HEADING]]
    for row in rows:
        ratio = ours.advantage_over(row, wanted[0]) if ours else None
        lines.append(
            [
                TITLES.get(row.peer, row.peer) + _fault(row),
                *(cell_text(row, column) for column in wanted),
                number(ratio.middle) if ratio else "",
                _load(row),
            ]
        )
    return markdown(lines)


LOAD_HEADING = "CPU of server, load, others, stolen (cores)"


def _cases_of_relay(results: Results, workload: str, cases: Sequence[str]) -> str:
    """Cases of Relay alone, and of its variants, a row for each."""
    rows = [(case, row) for case in cases for row in sorted_rows(results, workload, case)]
    wanted = _measured(columns(workload, cases[0]), [row for _, row in rows])
    lines = [["", *(heading(column, rows[0][1]) for column in wanted), LOAD_HEADING]]
    for case, row in rows:
        variant = "" if row.peer == "relay" else f", {row.peer}"
        lines.append(
            [
                f"{_title(case)}{variant}{_fault(row)}",
                *(cell_text(row, column) for column in wanted),
                _load(row),
            ]
        )
    return markdown(lines)


def _measured(wanted: Sequence[Column], rows: Sequence[Row]) -> list[Column]:
    return [column for column in wanted if any(row.figure(*column.path) for row in rows)]


def _fault(row: Row) -> str:
    return "" if row.good else f" (wrong: {row.wrong})"


def _load(row: Row) -> str:
    shares = [row.figure("load", share) for share in ("server", "generator", "others", "stolen")]
    return ", ".join(f"{share.middle:.2f}" for share in shares if share)
