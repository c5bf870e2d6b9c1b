"""Measure Relay and its peers on the same workloads.

For each round of each workload one peer is started at a time, on a core of its own; the load
generator and Postgres use the other core. Peers take turns, so that changes in the machine's speed
affect all of them. Every event is numbered and every socket's bytes are checked: a figure counts
only if each event reached each socket of its user once, in order, and no other user's socket.

\b
  make bench                                     all workloads: an hour and a half
  make bench BENCH='--quick'                     all workloads, small: ten minutes
  make bench BENCH='w1 w2 --peers relay,fastapi --rounds 5'
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
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from bench import headroom
from bench.catalogue import CATALOGUE
from bench.generator import BenchFailed
from bench.machine import OTHER_CORES, SERVER_CORES, describe_machine, pin, raise_descriptor_limit
from bench.peer import Peer, StartOptions
from bench.processes import ROOT, PeerUnavailable
from bench.relay_peer import relay
from bench.results import Results, plain, table
from bench.run_config import RunConfig
from bench.shapes import SHAPES
from bench.workloads import WORKLOADS, Workload

RUNS_FOLDER = ROOT / ".bench"  # one file per run


def main() -> int:
    options = arguments(sys.argv[1:])
    # end by an exception, so that context managers stop the peers
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    raise_descriptor_limit()
    pin(os.getpid(), OTHER_CORES)
    picked = workloads(options.workloads)
    config = RunConfig.quick() if options.quick else RunConfig()
    if options.seconds:
        config = replace(config, seconds=options.seconds, steady=options.seconds)
    if options.shapes:
        config = replace(config, shapes=tuple(options.shapes.split(",")))
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
        for workload in picked:
            for number in range(options.rounds):
                for peer in rotated(peers, number):
                    if peer.name in absent or not workload.applies_to(peer):
                        continue
                    try:
                        one_round(workload, peer, config, number + 1, write_record)
                    except PeerUnavailable as error:
                        absent.add(peer.name)
                        print(f"{peer.name} is skipped: {error}")
                        write_record(absent=peer.name, why=str(error))
                    except (BenchFailed, RuntimeError, OSError) as error:
                        print(f"{workload.name} {peer.name} failed: {error}")
                        write_record(
                            failed=workload.name, peer=peer.name, round=number + 1, why=str(error)
                        )
    results = Results.read(path)
    for workload_name, case in results.cases():
        print(f"\n{workload_name}, {case}")
        print(plain(table(results, workload_name, case)))
    print(f"\n{headroom.summary(results)}results in {os.path.relpath(path)}")
    return 0 if results.delivered else 1


def one_round(
    workload: Workload, peer: Peer, config: RunConfig, number: int, write_record: Any
) -> None:
    cores = SERVER_CORES if workload.workers == 1 else SERVER_CORES | OTHER_CORES
    with peer.start(StartOptions(workload.workers, cores, workload.environ)) as instance:
        for record in workload.run(peer, instance, config):
            write_record(workload=workload.name, peer=peer.name, round=number, **record)
            figures = {
                name: record[name]
                for name in ("rate", "unit", "latency_ms", "kib_each", "connects_per_second")
                if name in record
            }
            wrong = "" if record["good"] else f"  WRONG: {record['wrong']}"
            print(
                f"{workload.name} round {number}  {peer.name:16} {record['case']:14}"
                f" {json.dumps(figures)}{wrong}",
                flush=True,
            )


def rotated(peers: Sequence[Peer], number: int) -> list[Peer]:
    """The peers, beginning with a different one in each round."""
    at = number % len(peers)
    return [*peers[at:], *peers[:at]]


def workloads(names: Sequence[str]) -> list[Workload]:
    return [
        workload
        for workload in WORKLOADS
        if workload.name in names or (not names and not workload.only_by_name)
    ]


@contextlib.contextmanager
def selected_peers(options: argparse.Namespace) -> Iterator[list[Peer]]:
    """The selected peers; variants and other commits of Relay follow Relay itself."""
    environ = pairs(options.relay_env)
    ours = [relay(environ=environ)]
    ours += [relay(f"relay+{text}", environ | pairs(text.split(","))) for text in options.variant]
    with contextlib.ExitStack() as stack:
        for name in options.against:
            checkout = stack.enter_context(worktree(name))
            ours.append(relay(f"relay@{name}", environ, checkout))
        known = {peer.name: peer for peer in CATALOGUE}
        names = options.peers.split(",") if options.peers else ["relay", *known]
        if unknown := set(names) - known.keys() - {"relay"}:
            raise SystemExit(f"no such peer: {', '.join(unknown)}; there are {', '.join(known)}")
        if options.against and not options.peers:
            names = ["relay"]  # compare two commits of Relay only
        found = ours if "relay" in names else []
        yield [*found, *(known[name] for name in names if name in known)]


def pairs(texts: Sequence[str]) -> dict[str, str]:
    found = dict(text.partition("=")[::2] for text in texts)
    if not all(found):
        raise SystemExit("an environment variable is given as NAME=VALUE")
    return found


@contextlib.contextmanager
def worktree(name: str) -> Iterator[Path]:
    """A checkout of another commit, removed when the block ends."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "relay"
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "--quiet", "--detach", str(path), name], check=True)
        try:
            yield path
        finally:
            subprocess.run([*git, "remove", "--force", str(path)], check=True)


def commit() -> str:
    """The commit of this checkout; "unknown" outside a Git checkout."""
    found = subprocess.run(
        ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--exclude", "*"],
        capture_output=True,
        text=True,
    )
    return found.stdout.strip() or "unknown"


def arguments(given: Sequence[str]) -> argparse.Namespace:
    titles: dict[str, list[str]] = {}
    for workload in WORKLOADS:
        titles.setdefault(workload.name, []).append(workload.title)
    descriptions = "\n".join(f"  {name:6} {'; '.join(of_name)}" for name, of_name in titles.items())
    peers = "\n".join(f"  {peer.name:16} {peer.title}" for peer in CATALOGUE)
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=(__doc__ or "").replace("\b\n", ""),
        epilog=f"workloads:\n{descriptions}\n\npeers, besides relay:\n{peers}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("workloads", nargs="*", metavar="WORKLOAD", help="workloads to run; default: all")
    add("--peers", metavar="NAME,...", help="peers to measure; default: all that can run here")
    add(
        "--rounds",
        type=int,
        default=3,
        help="rounds per workload; figures are their medians (%(default)s)",
    )
    add("--seconds", type=float, help="seconds of posting in each case (5; 10 at the fixed rate)")
    add("--shapes", metavar="NAME,...", help="shapes of events in W1, W4 and W5; default: all")
    add("--quick", action="store_true", help="short and small: the figures are too noisy to quote")
    add(
        "--against",
        action="append",
        default=[],
        metavar="COMMIT",
        help="also measure this commit of Relay",
    )
    add(
        *("--relay-env",),
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting for every Relay that is measured",
    )
    add(
        *("--variant",),
        action="append",
        default=[],
        metavar="NAME=VALUE,...",
        help="also measure Relay with these settings",
    )
    add("--out", metavar="FILE", help="file for the results as JSON lines (.bench/TIME.jsonl)")
    found = parser.parse_args(given)
    if unknown := set(found.workloads) - titles.keys():
        parser.error(f"no such workload: {', '.join(unknown)}; there are {', '.join(titles)}")
    if found.shapes and (strange := set(found.shapes.split(",")) - {each.name for each in SHAPES}):
        known = ", ".join(shape.name for shape in SHAPES)
        parser.error(f"no such shape: {', '.join(strange)}; there are {known}")
    if found.rounds < 1:
        parser.error("--rounds must be at least 1")
    return found


if __name__ == "__main__":
    sys.exit(main())
