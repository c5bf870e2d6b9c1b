"""Measure Relay and its peers on the same workloads.

For each round of each workload one peer is started at a time, on a core of its own; the load
generator and Postgres use the other core. Peers take turns, so that changes in the machine's speed
affect all of them. Every event is numbered and every socket's bytes are checked: a figure counts
only if each event reached each socket of its user once, in order, and no other user's socket.

W1, W2 and W5 are measured in several forms, too: over TLS, with two processes, and so on.

\b
  make bench-page                                all that the page shows: 3.5 hours
  make bench BENCH='--quick'                     all workloads, small
  make bench BENCH='w1 w2 --peers relay,fastapi --rounds 5'
  make bench BENCH='w1 --forms plain,TLS --shapes tidy'
  make bench BENCH='w1 --against main~20'        two commits of Relay, side by side
  make bench BENCH='w1 --variant RELAY_RATE_LIMITS=on'
"""

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
from typing import Any

from bench import headroom
from bench.generator import BenchFailed
from bench.machine import OTHER_CORES, describe_machine, pin, raise_descriptor_limit
from bench.options import arguments, picked_forms, picked_workloads, run_config, selected_peers
from bench.peer import Peer
from bench.processes import ROOT, PeerUnavailable, ProgramMissing
from bench.results import Results, plain, table
from bench.run_config import RunConfig
from bench.schedule import TimeBudget, Turn, turns

RUNS_FOLDER = ROOT / ".bench"  # one file per run


def main() -> int:
    options = arguments(sys.argv[1:], __doc__ or "")
    # end by an exception, so that context managers stop the peers
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    raise_descriptor_limit()
    pin(os.getpid(), OTHER_CORES)
    picked = picked_workloads(options.workloads)
    config = run_config(options)
    budget = TimeBudget(options.minutes * 60 if options.minutes else None)
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        peers = stack.enter_context(selected_peers(options))
        path = (
            Path(options.out)
            if options.out
            else RUNS_FOLDER / time.strftime("%Y-%m-%d-%H%M%S.jsonl")
        )
        path.parent.mkdir(exist_ok=True)
        file = stack.enter_context(path.open("w"))

        def write_record(**record: Any) -> None:
            print(json.dumps(record), file=file, flush=True)

        write_record(
            machine=describe_machine(path.parent),
            commit=commit(),
            at=time.strftime("%F %R %Z"),
            config=asdict(config),
        )
        if not all(workload.only_by_name for workload in picked):
            write_record(headroom=headroom.measure(1.0 if options.quick else 3.0))
        absent: set[str] = set()
        for turn in turns(picked, picked_forms(options), options.rounds):
            if not budget.fits(turn):
                print(f"{turn.workload.name} {turn.form.name}: no time for round {turn.round}")
                write_record(left_out=turn.workload.name, form=turn.form.name, round=turn.round)
                continue
            with budget.spent_on(turn):
                take(turn, peers, absent, config, write_record)
        write_record(minutes=round((time.monotonic() - began) / 60, 1))
    results = Results.read(path)
    for workload_name, case in results.cases():
        print(f"\n{workload_name}, {case}")
        print(plain(table(results, workload_name, case)))
    print(f"\n{headroom.summary(results)}results in {os.path.relpath(path)}")
    return 0 if results.delivered else 1


def take(
    turn: Turn, peers: Sequence[Peer], absent: set[str], config: RunConfig, write_record: Any
) -> None:
    """One round of a workload, for each peer that can run it; adds to `absent` those that lack
    something on this machine."""
    workload, form = turn.workload, turn.form
    for peer in rotated(peers, turn.round - 1):
        applies = workload.applies_to(peer) and form.applies_to(peer)
        if peer.name in absent or not applies:
            continue
        try:
            one_round(turn, peer, config, write_record)
        except PeerUnavailable as error:
            absent.add(peer.name)
            print(f"{peer.name} is skipped: {error}")
            write_record(absent=peer.name, why=str(error))
        except ProgramMissing as error:
            print(f"{workload.name} is cut short: {error}")
            write_record(cut_short=workload.name, round=turn.round, why=str(error))
        except (BenchFailed, RuntimeError, OSError) as error:
            print(f"{workload.name} {form.name} {peer.name} failed: {error}")
            write_record(
                failed=workload.name,
                form=form.name,
                peer=peer.name,
                round=turn.round,
                why=str(error),
            )


def one_round(turn: Turn, peer: Peer, config: RunConfig, write_record: Any) -> None:
    workload, form = turn.workload, turn.form
    if not form.is_plain:
        config = replace(config, shapes=config.form_shapes)
    with (
        form.start_options() as options,
        peer.start(replace(options, environ=workload.environ)) as instance,
    ):
        for record in workload.run(peer, instance, config):
            case = form.names(record.pop("case"))
            write_record(
                workload=workload.name, case=case, peer=peer.name, round=turn.round, **record
            )
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


def rotated(peers: Sequence[Peer], number: int) -> list[Peer]:
    """The peers, beginning with a different one in each round."""
    at = number % len(peers)
    return [*peers[at:], *peers[:at]]


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
