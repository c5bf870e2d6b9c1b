"""Measure the HTTP server: a bare ASGI application on Hypercorn's own trio worker and on Relay's.

    python -m bench.server [--seconds 3] [--rounds 3]

Each rate is also given per second of the server's CPU time. On a shared machine that figure varies
least, so the ratios are computed from it.
"""

import argparse
import os
import sys
from contextlib import ExitStack
from statistics import median

from bench import wire
from bench.generator import Poster, generator
from bench.machine import OTHER_CORES, pin, raise_descriptor_limit
from bench.marks import Lane
from bench.posting import post_at_full_rate
from bench.processes import Program, running
from tests.support.ports import HeldPort

Figures = tuple[float, float]  # requests per second, and per second of the server's CPU time
SERVERS = ("hypercorn", "relay")
CONNECTIONS = 64  # enough to keep the server busy


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    raise_descriptor_limit()
    pin(os.getpid(), OTHER_CORES)
    found: dict[str, list[Figures]] = {name: [] for name in SERVERS}
    with ExitStack() as stack:
        programs = {}
        for name in SERVERS:
            port = stack.enter_context(HeldPort()).number
            command = [sys.executable, "-m", "bench.peers.bare", name, str(port)]
            programs[name] = stack.enter_context(running(command, port, {}))
        for number in range(
            options.rounds
        ):  # in turn, so that changes in the machine's speed affect both
            for name in SERVERS:
                rate, own = measure(programs[name], options.seconds)
                found[name].append((rate, own))
                figures = f"{rate:8.0f}/s, {own:8.0f} per CPU second"
                print(f"round {number + 1}  {name:9} {figures}", flush=True)
    pairs = zip(found["relay"], found["hypercorn"], strict=True)
    ratios = [own / base for (_, own), (_, base) in pairs]
    print(f"relay / hypercorn: {median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


def measure(program: Program, seconds: float) -> Figures:
    """Send small POSTs over keep-alive connections to an app that only answers."""
    head = wire.head("POST", "/", program.port, ["Content-Type: application/json"])
    with generator() as load:
        posters = [Poster(load, program.port, [Lane(0, 0, head)]) for _ in range(CONNECTIONS)]
        for poster in posters:
            poster.connect()
        post_at_full_rate(load, posters, seconds / 10)
        for poster in posters:
            poster.answers.clear()
        meter = program.meter()
        span = post_at_full_rate(load, posters, seconds)
        busy = meter.read().server
        count = sum(len(poster.answers) for poster in posters)
        for poster in posters:
            poster.close()
    rate = count / (span.answered - span.began)
    return rate, rate / busy


if __name__ == "__main__":
    main()
