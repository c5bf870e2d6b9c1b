"""Measure Relay and its peers on the same workloads.

For each round of each workload one peer is started at a time, on a core of its own; the load
generator and Postgres use the other core. Peers take turns, so that changes in the machine's speed
affect all of them. Every event is numbered and every socket's bytes are checked: a figure counts
only if each event reached each socket of its user once, in order, and no other user's socket.

W1, W2 and W5 are measured in several forms, too: over TLS, with two processes, and so on.

\b
  make bench-page                                all that the page shows: 75 minutes
  make bench-page CONTINUE=1                     go on with one that was interrupted
  make bench BENCH='--quick'                     all workloads, small
  make bench BENCH='w1 w2 --peers relay,fastapi --rounds 5'
  make bench BENCH='w1 --forms plain,TLS --shapes tidy'
  make bench BENCH='w1 --against main~20'        two commits of Relay, side by side
  make bench BENCH='w1 --variant RELAY_RATE_LIMITS=on'
"""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from bench import headroom
from bench.generator import BenchFailed
from bench.machine import OTHER_CORES, describe_machine, pin, raise_descriptor_limit
from bench.options import arguments, picked_forms, picked_workloads, run_config, selected_peers
from bench.peer import Peer
from bench.processes import ROOT, PeerUnavailable, ProgramMissing
from bench.results import Record, Results, plain, table
from bench.run_config import RunConfig
from bench.run_file import NotTheSameRun, RunFile
from bench.schedule import TimeBudget, Turn, everything, turns
from bench.thrift import page_config, page_needs

RUNS_FOLDER = ROOT / ".bench"  # one file per run


def main() -> int:
    options = arguments(sys.argv[1:], __doc__ or "")
    # end by an exception, so that context managers stop the peers
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    raise_descriptor_limit()
    pin(os.getpid(), OTHER_CORES)
    path = Path(options.out) if options.out else RUNS_FOLDER / time.strftime("%F-%H%M%S.jsonl")
    with contextlib.ExitStack() as stack:
        peers = stack.enter_context(selected_peers(options))
        try:
            run = open_run(options, path, peers)
        except NotTheSameRun as problem:
            sys.exit(str(problem))
        stack.callback(run.close)

        def interrupt(number: int, _frame: object) -> None:
            run.interrupted = True
            sys.exit(128 + number)

        signal.signal(signal.SIGTERM, interrupt)
        signal.signal(signal.SIGINT, interrupt)
        measure(options, run, peers)
    results = Results.read(path)
    for workload_name, case in results.cases():
        print(f"\n{workload_name}, {case}")
        print(plain(table(results, workload_name, case)))
    print(f"\n{headroom.summary(results)}results in {os.path.relpath(path)}")
    return 0 if results.delivered else 1


def open_run(options: argparse.Namespace, path: Path, peers: Sequence[Peer]) -> RunFile:
    """Begin the run's file, or continue it. Raises NotTheSameRun."""
    path.parent.mkdir(exist_ok=True)
    machine = describe_machine(path.parent)
    first: Record = {
        "machine": machine,
        "cores": machine["cores"],
        "processor": machine["processor"],
        "commit": commit(),
        "at": time.strftime("%F %R %Z"),
        "config": asdict(run_config(options)),
        "peers": [peer.name for peer in peers],
    }
    goes_on = options.go_on and path.exists()
    return RunFile.go_on(path, first) if goes_on else RunFile.begin(path, first)


def measure(options: argparse.Namespace, run: RunFile, peers: Sequence[Peer]) -> None:
    """Measure what was asked for and is not in the file yet, as far as there is time."""
    picked, config = picked_workloads(options.workloads), run_config(options)

    def config_of(turn: Turn, peer: Peer) -> RunConfig:
        plain = config if turn.form.is_plain else replace(config, shapes=config.form_shapes)
        return page_config(plain, turn.workload, peer) if options.page else plain

    wanted = page_needs if options.page else everything
    found = turns(picked, picked_forms(options), peers, options.rounds, wanted)
    planned = [turn for turn in found if not run.is_done(turn)]
    seconds = options.minutes * 60 if options.minutes else None
    budget = TimeBudget(seconds, config_of, spent=run.seconds)
    print(plan(planned, budget), flush=True)
    if not (run.has_headroom or all(workload.only_by_name for workload in picked)):
        run.write(headroom=headroom.measure(1.0 if options.quick else 3.0))
    absent: set[str] = set()
    for turn in planned:
        if not budget.fits(turn):
            print(f"no time for {turn}")
            name, form = turn.workload.name, turn.form.name
            run.write(left_out=name, form=form, round=turn.round)
            continue
        take_turn(turn, absent, budget, run)


def take_turn(turn: Turn, absent: set[str], budget: TimeBudget, run: RunFile) -> None:
    """One round of a workload for each of its peers.

    Raises SystemExit if the run was interrupted, whatever the clean-up has raised in its place.
    """
    began = time.monotonic()
    for peer in turn.peers:
        if peer.name not in absent:
            with budget.spent_on(turn, peer):
                take(turn, peer, absent, budget.config_of(turn, peer), run)
        if run.interrupted:
            sys.exit("interrupted")
    run.end(turn, time.monotonic() - began)


def plan(planned: Sequence[Turn], budget: TimeBudget) -> str:
    """What is about to be measured, and what there will be no time for."""
    minutes = sum(map(budget.expected, planned)) / 60
    text = f"{len(planned)} turns, about {minutes:.0f} minutes on a quiet machine"
    left_out = budget.left_out(planned)
    return f"{text}; no time for {', '.join(map(str, left_out))}" if left_out else text


def take(turn: Turn, peer: Peer, absent: set[str], config: RunConfig, run: RunFile) -> None:
    """One round of a workload for one peer; adds it to `absent` if this machine lacks something."""
    workload, form = turn.workload, turn.form
    try:
        one_round(turn, peer, config, run)
    except PeerUnavailable as error:
        absent.add(peer.name)
        print(f"{peer.name} is skipped: {error}")
        run.write(absent=peer.name, why=str(error))
    except ProgramMissing as error:
        print(f"{workload.name} is cut short: {error}")
        run.write(cut_short=workload.name, round=turn.round, why=str(error))
    except (BenchFailed, RuntimeError, OSError) as error:
        print(f"{workload.name} {form.name} {peer.name} failed: {error}")
        run.write(
            failed=workload.name,
            form=form.name,
            peer=peer.name,
            round=turn.round,
            why=str(error),
        )


def one_round(turn: Turn, peer: Peer, config: RunConfig, run: RunFile) -> None:
    workload, form = turn.workload, turn.form
    with (
        form.start_options() as options,
        peer.start(replace(options, environ=workload.environ)) as instance,
    ):
        for record in workload.run(peer, instance, config):
            case = form.names(record.pop("case"))
            run.write(workload=workload.name, case=case, peer=peer.name, round=turn.round, **record)
            figures = {
                name: record[name]
                for name in ("rate", "unit", "latency_ms", "kib_each", "connects_per_second")
                if name in record
            }
            wrong = "" if record["good"] else f"  WRONG: {record['wrong']}"
            print(
                f"{workload.name} round {turn.round}  {peer.name:16} {case:14}"
                f" {json.dumps(figures)}{wrong}",
                flush=True,
            )


def commit() -> str:
    """The commit of this checkout; "unknown" outside a Git checkout."""
    found = subprocess.run(
        ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--exclude", "*"],
        capture_output=True,
        text=True,
    )
    return found.stdout.strip() or "unknown"


if __name__ == "__main__":
    sys.exit(main())
