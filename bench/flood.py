"""What one user's flood does to another's latency: alone, then beside it, in one run.

Somebody posts at a steady rate and watches. Meanwhile a flooder, at another address and in a
process of low priority, posts as fast as answers come over as many connections as all the
producers of the other workloads have. Rate limits are off, unless a variant switches them on:

    make bench BENCH='flood --peers relay --variant RELAY_RATE_LIMITS=on'
"""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import Any

from bench.generator import Poster, generator
from bench.marks import Lane
from bench.peer import Door, Peer, Scene
from bench.posting import post_madly, post_steadily
from bench.processes import ROOT
from bench.stage import CONNECTIONS, JSON, NDJSON, Stage, milliseconds, settle

RATE = 50.0  # events a second of whom is measured
ENVIRON = {"RELAY_TRUSTED_PROXIES": "1"}  # so that the two come from different addresses
# what is posted: events of one POST, and bytes that each has beside the usual
FLOODS = {"single events": (1, 0), "64 KiB payloads": (1, 60_000), "batches of 1000": (1_000, 0)}


def flood(peer: Peer, scene: Scene, order: Any) -> Iterator[dict[str, Any]]:
    """The one who is measured, beside each kind of flood and alone before each."""
    ours, theirs = scene.doors(2, True)
    ours = replace(ours, headers=(*ours.headers, "X-Forwarded-For: 192.0.2.1"))
    theirs = replace(theirs, headers=(*theirs.headers, "X-Forwarded-For: 198.51.100.1"))
    with generator() as load:
        stage = Stage(load, peer, scene, [ours])
        with closing(stage):
            stage.watch()
            stage.produce(lanes_each=8)
            settle(load)
            steady = partial(post_steadily, load, stage.posters, stage.lanes, RATE, order.steady)
            for name in FLOODS:
                alone = stage.phase(steady)
                before = milliseconds(stage.latencies(alone, RATE))
                with _flooding(theirs, name, order.steady + 1):
                    load.rest(0.3)  # it is under way
                    phase = stage.phase(steady)
                after = milliseconds(stage.latencies(phase, RATE))
                yield phase.record() | {
                    "case": f"beside {name}",
                    "latency_ms": after,
                    "alone_ms": before,
                    "times": round(after["p99"] / before["p99"], 2),
                    "good": alone.good and phase.good,
                    "delivered": alone.verdict.good and phase.verdict.good,
                }


@contextlib.contextmanager
def _flooding(door: Door, name: str, seconds: float) -> Iterator[None]:
    """A flooder for as long as the block takes at least."""
    batch, extra = FLOODS[name]
    head = door.posting(JSON if batch == 1 else NDJSON)
    command = [sys.executable, "-m", "bench.flood", str(door.port), head.hex()]
    command += [str(batch), str(extra), str(seconds)]
    process = subprocess.Popen(command, cwd=ROOT)
    try:
        yield
    finally:
        process.wait()


def _flood(port: int, head: bytes, batch: int, extra: int, seconds: float) -> None:
    os.nice(10)
    with generator() as load:
        lanes = [Lane(number, 0, head, batch, extra) for number in range(CONNECTIONS)]
        posters = [Poster(load, port, [lane]) for lane in lanes]
        for poster in posters:
            poster.connect()
        post_madly(load, posters, seconds)


if __name__ == "__main__":
    _flood(
        int(sys.argv[1]),
        bytes.fromhex(sys.argv[2]),
        int(sys.argv[3]),
        int(sys.argv[4]),
        float(sys.argv[5]),
    )
