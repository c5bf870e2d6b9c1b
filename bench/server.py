"""What the server costs: a bare ASGI application on Hypercorn's own trio worker and on Relay's.

    python -m bench.server [--seconds 3] [--rounds 3]

Beside each rate stands how many a second of the server's own processor time gives: where the
machine is shared, that is the figure that holds still, and the ratios are made of it.
"""

import argparse
import os
import sys
from contextlib import ExitStack
from statistics import median

from bench import wire
from bench.generator import Poster, generator
from bench.machine import OTHER_CORES, pin, raise_limits
from bench.marks import Lane
from bench.posting import post_madly
from bench.processes import Program, free_port, running

Figures = tuple[float, float]  # a second, and a second of the server's processor time
SERVERS = ("hypercorn", "relay")
CONNECTIONS = 64  # enough that the server always has something to do


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    wanted = parser.parse_args()
    raise_limits()
    pin(os.getpid(), OTHER_CORES)
    found: dict[str, list[Figures]] = {name: [] for name in SERVERS}
    with ExitStack() as stack:
        programs = {}
        for name in SERVERS:
            port = free_port()
            command = [sys.executable, "-m", "bench.peers.bare", name, str(port)]
            programs[name] = stack.enter_context(running(command, port, {}))
        for number in range(wanted.rounds):  # in turn, so that a machine's moods hit both
            for name in SERVERS:
                rate, own = posted(programs[name], wanted.seconds)
                found[name].append((rate, own))
                figures = f"{rate:8.0f}/s, {own:8.0f} a second of its own"
                print(f"round {number + 1}  {name:9} {figures}", flush=True)
    pairs = zip(found["relay"], found["hypercorn"], strict=True)
    ratios = [own / base for (_, own), (_, base) in pairs]
    print(f"relay / hypercorn: {median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


def posted(program: Program, seconds: float) -> Figures:
    """One small POST after the other, over kept connections, to an app that only answers."""
    head = wire.head("POST", "/", program.port, ["Content-Type: application/json"])
    with generator() as load:
        posters = [Poster(load, program.port, [Lane(0, 0, head)]) for _ in range(CONNECTIONS)]
        for poster in posters:
            poster.connect()
        post_madly(load, posters, seconds / 10)
        for poster in posters:
            poster.answers.clear()
        meter = program.meter()
        span = post_madly(load, posters, seconds)
        busy = meter.read().server
        count = sum(len(poster.answers) for poster in posters)
        for poster in posters:
            poster.close()
    rate = count / (span.answered - span.began)
    return rate, rate / busy


if __name__ == "__main__":
    main()
