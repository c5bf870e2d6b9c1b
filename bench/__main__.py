"""How fast Relay is, beside what people would use instead, on the same work.

Each peer is started by itself for each round of each workload, on a core of its own; the load
and Postgres have the other one. Peers take turns, so that a machine's moods hit all of them.
Every event is numbered, and every socket's bytes are checked: a figure counts only if each event
reached each socket of its user once, in order, and nobody else's.

\b
  make bench                                     everything: an hour and a half
  make bench BENCH='--quick'                     everything, small: ten minutes
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
from bench.catalogue import CATALOGUE, relay
from bench.generator import Failed
from bench.machine import OTHER_CORES, SERVER_CORES, described, pin, raise_limits
from bench.peer import Ask, Peer
from bench.processes import ROOT, Absent
from bench.results import Results, plain, table
from bench.workloads import WORKLOADS, Order, Workload

KEPT = ROOT / ".bench"  # a file a run


def main() -> int:
    wanted = arguments(sys.argv[1:])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started is stopped
    raise_limits()
    pin(os.getpid(), OTHER_CORES)
    picked = workloads(wanted.workloads)
    order = Order.quick() if wanted.quick else Order()
    if wanted.seconds:
        order = replace(order, seconds=wanted.seconds, steady=wanted.seconds)
    with contextlib.ExitStack() as stack:
        peers = stack.enter_context(chosen(wanted))
        path = Path(wanted.out) if wanted.out else KEPT / time.strftime("%Y-%m-%d-%H%M%S.jsonl")
        path.parent.mkdir(exist_ok=True)
        file = stack.enter_context(path.open("w"))

        def tell(**record: Any) -> None:
            print(json.dumps(record), file=file, flush=True)

        tell(
            machine=described(path.parent),
            commit=commit(),
            at=time.strftime("%F %R %Z"),
            order=asdict(order),
        )
        if not all(workload.asked for workload in picked):
            tell(headroom=headroom.measure(1.0 if wanted.quick else 3.0))
        absent: set[str] = set()
        for workload in picked:
            for number in range(wanted.rounds):
                for peer in turned(peers, number):
                    if peer.name in absent or not workload.fits(peer):
                        continue
                    try:
                        one_round(workload, peer, order, number + 1, tell)
                    except Absent as error:
                        absent.add(peer.name)
                        print(f"{peer.name} is left out: {error}")
                        tell(absent=peer.name, why=str(error))
                    except (Failed, RuntimeError, OSError) as error:
                        print(f"{workload.name} {peer.name} failed: {error}")
                        tell(failed=workload.name, peer=peer.name, round=number + 1, why=str(error))
    results = Results.read(path)
    for workload_name, case in results.cases():
        print(f"\n{workload_name}, {case}")
        print(plain(table(results, workload_name, case)))
    print(f"\n{headroom.said(results)}kept in {os.path.relpath(path)}")
    return 0 if results.delivered else 1


def one_round(workload: Workload, peer: Peer, order: Order, number: int, tell: Any) -> None:
    cores = SERVER_CORES if workload.workers == 1 else SERVER_CORES | OTHER_CORES
    with peer.start(Ask(workload.workers, cores, workload.environ)) as scene:
        for record in workload.run(peer, scene, order):
            tell(workload=workload.name, peer=peer.name, round=number, **record)
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


def turned(peers: Sequence[Peer], number: int) -> list[Peer]:
    """Each round begins with another one."""
    at = number % len(peers)
    return [*peers[at:], *peers[:at]]


def workloads(names: Sequence[str]) -> list[Workload]:
    return [
        workload
        for workload in WORKLOADS
        if workload.name in names or (not names and not workload.asked)
    ]


@contextlib.contextmanager
def chosen(wanted: argparse.Namespace) -> Iterator[list[Peer]]:
    """The peers asked for, other commits and variants of Relay after Relay itself."""
    environ = pairs(wanted.relay_env)
    ours = [relay(environ=environ)]
    ours += [relay(f"relay+{text}", environ | pairs(text.split(","))) for text in wanted.variant]
    with contextlib.ExitStack() as stack:
        for name in wanted.against:
            checkout = stack.enter_context(worktree(name))
            ours.append(relay(f"relay@{name}", environ, checkout))
        known = {peer.name: peer for peer in CATALOGUE}
        names = wanted.peers.split(",") if wanted.peers else ["relay", *known]
        if unknown := set(names) - known.keys() - {"relay"}:
            raise SystemExit(f"no such peer: {', '.join(unknown)}; there are {', '.join(known)}")
        if wanted.against and not wanted.peers:
            names = ["relay"]  # two commits are compared with each other
        found = ours if "relay" in names else []
        yield [*found, *(known[name] for name in names if name in known)]


def pairs(texts: Sequence[str]) -> dict[str, str]:
    found = dict(text.partition("=")[::2] for text in texts)
    if not all(found):
        raise SystemExit("an environment variable is given as NAME=VALUE")
    return found


@contextlib.contextmanager
def worktree(name: str) -> Iterator[Path]:
    """A checkout of another commit, for as long as the block takes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "relay"
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "--quiet", "--detach", str(path), name], check=True)
        try:
            yield path
        finally:
            subprocess.run([*git, "remove", "--force", str(path)], check=True)


def commit() -> str:
    """Of this checkout; unknown where it is none."""
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
    told = "\n".join(f"  {name:6} {'; '.join(of_name)}" for name, of_name in titles.items())
    peers = "\n".join(f"  {peer.name:16} {peer.title}" for peer in CATALOGUE)
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=(__doc__ or "").replace("\b\n", ""),
        epilog=f"workloads:\n{told}\n\npeers, beside relay:\n{peers}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("workloads", nargs="*", metavar="WORKLOAD", help="which ones; all if none is named")
    add("--peers", metavar="NAME,...", help="which ones; all that can run here if none is named")
    add("--rounds", type=int, default=3, help="of which medians are made (%(default)s)")
    add("--seconds", type=float, help="of posting in each case (5; 10 at the fixed rate)")
    add("--quick", action="store_true", help="short and small: figures to look at, not to quote")
    add("--against", action="append", default=[], metavar="COMMIT", help="another commit of Relay")
    add(
        *("--relay-env",),
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting of every Relay that is measured",
    )
    add(
        *("--variant",),
        action="append",
        default=[],
        metavar="NAME=VALUE,...",
        help="Relay once more, with these settings",
    )
    add("--out", metavar="FILE", help="where the JSON lines go (.bench/TIME.jsonl)")
    found = parser.parse_args(given)
    if unknown := set(found.workloads) - titles.keys():
        parser.error(f"no such workload: {', '.join(unknown)}; there are {', '.join(titles)}")
    if found.rounds < 1:
        parser.error("at least one round")
    return found


if __name__ == "__main__":
    sys.exit(main())
