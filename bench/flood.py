"""Measure one user's latency alone and during another user's flood, in one run.

One user posts at a fixed rate and watches. The flooding user has another address and runs in a
process of low priority; it posts as fast as answers arrive, over as many connections as all
producers of the other workloads together. Rate limits are off unless a variant enables them:

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

from bench.clients import CONNECTIONS, JSON, NDJSON, Clients, milliseconds, wait_for_subscriptions
from bench.generator import Poster, generator
from bench.marks import Lane
from bench.peer import Endpoint, Peer, PeerInstance
from bench.posting import post_at_fixed_rate, post_at_full_rate
from bench.processes import ROOT
from bench.run_config import RunConfig
from bench.shapes import LARGE, TIDY

RATE = 50.0  # events a second of the measured user
ENVIRON = {"RELAY_TRUSTED_PROXIES": "1"}  # so that the two users have different addresses
# events per POST, and their shape
FLOODS = {
    "single events": (1, TIDY),
    "64 KiB payloads": (1, LARGE),
    "batches of 1000": (1_000, TIDY),
}


def flood(peer: Peer, instance: PeerInstance, config: RunConfig) -> Iterator[dict[str, Any]]:
    """Measure the user before and during each kind of flood."""
    ours, theirs = instance.endpoints(2, True)
    ours = replace(ours, headers=(*ours.headers, "X-Forwarded-For: 192.0.2.1"))
    theirs = replace(theirs, headers=(*theirs.headers, "X-Forwarded-For: 198.51.100.1"))
    with generator() as load:
        clients = Clients(load, peer, instance, [ours])
        with closing(clients):
            clients.watch()
            clients.produce(lanes_each=8)
            wait_for_subscriptions(load)
            steady = partial(
                post_at_fixed_rate, load, clients.posters, clients.lanes, RATE, config.steady
            )
            for name in FLOODS:
                alone = clients.phase(steady)
                before = milliseconds(clients.latencies(alone, RATE))
                with flooding(theirs, name, config.steady + 1):
                    load.keep_reading(0.3)  # until the flood has started
                    phase = clients.phase(steady)
                after = milliseconds(clients.latencies(phase, RATE))
                yield phase.record() | {
                    "case": f"during {name}",
                    "latency_ms": after,
                    "alone_ms": before,
                    "times": round(after["p99"] / before["p99"], 2),
                    "good": alone.good and phase.good,
                    "delivered": alone.verdict.good and phase.verdict.good,
                }


@contextlib.contextmanager
def flooding(endpoint: Endpoint, name: str, seconds: float) -> Iterator[None]:
    """Flood for at least as long as the block runs."""
    batch, _ = FLOODS[name]
    head = endpoint.post_head(JSON if batch == 1 else NDJSON)
    command = [sys.executable, "-m", "bench.flood", str(endpoint.port), head.hex()]
    command += [name, str(seconds)]
    process = subprocess.Popen(command, cwd=ROOT)
    try:
        yield
    finally:
        process.wait()


def _flood(port: int, head: bytes, name: str, seconds: float) -> None:
    os.nice(10)
    batch, shape = FLOODS[name]
    with generator() as load:
        lanes = [Lane(number, 0, head, batch, shape) for number in range(CONNECTIONS)]
        posters = [Poster(load, port, [lane]) for lane in lanes]
        for poster in posters:
            poster.connect()
        post_at_full_rate(load, posters, seconds)


if __name__ == "__main__":
    _flood(int(sys.argv[1]), bytes.fromhex(sys.argv[2]), sys.argv[3], float(sys.argv[4]))
