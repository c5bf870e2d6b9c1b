"""Write the tables and plots of docs/explanation/performance.md from one run's JSON lines.

    python -m bench.page [FILE]

With a file, its run replaces the one behind the page; without, the page is written again from the
current run. The text between `<!-- bench: NAME -->` and `<!-- bench -->` is generated, the rest is
written by hand.
"""

import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from bench import headroom
from bench.agenda import WORKLOADS
from bench.forms import PLAIN
from bench.page_plots import ALT, drawings
from bench.page_tables import losses_table, peers_table, summary_table, workload_tables
from bench.processes import ROOT
from bench.results import Results, number

PAGE = ROOT / "docs/explanation/performance.md"
PLOTS = ROOT / "docs/explanation/performance"
MEASURED = PLOTS / "measured.jsonl"
GENERATED_PART = re.compile(r"(<!-- bench: (\w+) -->\n).*?(<!-- bench -->)", re.DOTALL)

BUSY = 0.2  # cores that other programs and the host may use during a run


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
    plots = dict(drawings(results))
    parts = {
        "machine": _machine(results),
        "losses": losses_table(results),
        "summary": summary_table(results),
        "peers": peers_table(),
        "plots": "\n\n".join(f"![{ALT[name]}]({PLOTS.name}/{name}.svg)" for name in plots),
        **{
            name: workload_tables(results, name)
            for name in dict.fromkeys(w.name for w in WORKLOADS)
        },
    }
    page = GENERATED_PART.sub(
        lambda found: f"{found[1]}{parts[found[2]]}\n{found[3]}", PAGE.read_text()
    )
    return {PAGE: page} | {PLOTS / f"{name}.svg": text for name, text in plots.items()}


def _machine(results: Results) -> str:
    machine = results.machine
    first = results.records[0]
    config = first.get("config", {})
    posting = ""
    if config:
        posting = (
            f" A case is {config['seconds']:g} s of posting, and {config['steady']:g} s at a fixed"
            " rate."
        )
    lines = [
        f"{first.get('at', '')}, Relay at commit {first.get('commit', '')}:"
        f" {machine['cores']} cores ({machine['processor']}), {machine['memory_gib']} GiB,"
        f" Linux {machine['kernel']}, Python {machine['python']}; the disk flushes"
        f" {number(machine['flushes_per_second'])} times a second.",
        _rounds(results) + posting + _minutes(results),
        _noise([record["load"] for record in results.records if "load" in record]),
        headroom.summary(results).strip(),
    ]  # fmt: skip
    lines += [
        f"Skipped, because it could not run: {record['absent']} ({record['why']})."
        for record in results.records_with("absent")
    ]
    lines += [
        f"{record['cut_short'].capitalize()} is not complete: {record['why']}."
        for record in results.records_with("cut_short")
        if record["round"] == 1
    ]
    lines.append(_left_out(results))
    return "\n\n".join(line for line in lines if line)


def _left_out(results: Results) -> str:
    """What the time of the run was over for, by the rounds that it lacks."""
    rounds: dict[str, list[str]] = {}
    for record in results.records_with("left_out"):
        form = "" if record["form"] == PLAIN.name else f" ({record['form']})"
        name = f"{record['left_out'].capitalize()}{form}"
        rounds.setdefault(name, []).append(str(record["round"]))
    names: dict[str, list[str]] = {}
    for name, numbers in rounds.items():
        names.setdefault(" and ".join(dict.fromkeys(numbers)), []).append(name)
    parts = [f"round {numbers} of {', '.join(found)}" for numbers, found in names.items()]
    return f"Left out, because the time was over: {'; '.join(parts)}." if parts else ""


def _rounds(results: Results) -> str:
    """How many rounds each workload was measured in."""
    by_count: dict[int, list[str]] = {}
    for name in dict.fromkeys(workload for workload, _ in results.cases()):
        count = max(each["round"] for each in results.records if each.get("workload") == name)
        by_count.setdefault(count, []).append(name.capitalize())
    parts = [
        f"{', '.join(names)} in {count} round{'' if count == 1 else 's'}"
        for count, names in sorted(by_count.items(), reverse=True)
    ]
    return f"Measured: {'; '.join(parts)}."


def _minutes(results: Results) -> str:
    found = results.records_with("minutes")
    if not found:
        return ""
    parts = len(results.records_with("continued")) + 1
    how = f", in {parts} parts" if parts > 1 else ""
    return f" All of it took {found[0]['minutes']:.0f} minutes{how}."


def _noise(loads: Sequence[dict[str, float]]) -> str:
    """What others had of the machine while a figure was measured."""
    if not loads:
        return ""
    others = median([load["others"] for load in loads])
    stolen = median([load.get("stolen", 0.0) for load in loads])
    found = f"Other programs used {others:.2f} cores during the run"
    if any("stolen" in load for load in loads):
        found += f", and the machine's host took {stolen:.2f}"
    found += " (median)."
    if others + stolen > BUSY:
        found += " **The machine was busy: these figures do not show how fast the programs are.**"
    return found


if __name__ == "__main__":
    main(sys.argv[1:])
