"""Measure an event's way between two processes over a Valkey alone: no HTTP, no database.

    python -m bench.announced [--rates 500,20000] [--seconds 5] [--rounds 3]

One process announces events at a fixed rate, the other one has a resting reader of each user and
writes what comes to a socket. CPU is in µs an event: of the announcing process beyond a run that
makes and encodes the same events and announces none, of the reading one beyond a time without
events. A pass is one turn of the event loop, counted in a run of its own. A latency is from the
announcement to the reader's socket.
"""

import argparse
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import median

import msgspec

from bench.announced_ends import Answer, Order
from bench.idle_processes import cpu_of
from tests.support.valkey_servers import Cluster, started

SETTLE_SECONDS = 3.0  # until both processes know each other
FLOOR_SECONDS = 3.0  # without events


class End:
    """One of the two processes: it does what it is ordered, and answers."""

    def __init__(self, side: str, url: str) -> None:
        self._socket, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "bench.announced_ends", side, url, str(theirs.fileno())],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=[theirs.fileno()],
            )  # fmt: skip
        threading.Thread(target=self._empty_socket, daemon=True).start()
        self.answer()

    def _empty_socket(self) -> None:
        while self._socket.recv(65_536):
            pass

    @property
    def cpu(self) -> float:
        return cpu_of([self.process.pid])

    def order(self, order: Order) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(msgspec.json.encode(order) + b"\n")
        self.process.stdin.flush()

    def answer(self) -> Answer:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("a process has ended early")
        return msgspec.json.decode(line, type=Answer)

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(timeout=30)
        self._socket.close()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rates", default="500,20000", help="events a second (%(default)s)")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    rates = [float(rate) for rate in options.rates.split(",")]
    with tempfile.TemporaryDirectory() as folder:
        cluster = Cluster("valkey", Path(folder))
        with started(cluster):
            reader = End("read", cluster.url)
            announcer = End("announce", cluster.url)
            time.sleep(SETTLE_SECONDS)
            try:
                for rate in rates:
                    measured = [
                        one_round(announcer, reader, cluster, rate, options.seconds)
                        for _ in range(options.rounds)
                    ]
                    report(rate, measured)
            finally:
                announcer.close()
                reader.close()


def one_round(
    announcer: End, reader: End, cluster: Cluster, rate: float, seconds: float
) -> dict[str, float]:
    """CPU in µs, passes and latencies of one event."""
    before = reader.cpu
    time.sleep(FLOOR_SECONDS)
    floor = (reader.cpu - before) / FLOOR_SECONDS
    count = int(rate * seconds)
    before = announcer.cpu
    announcer.order(Order(count, rate, announce=False))
    announcer.answer()
    made = announcer.cpu - before
    servers = [server.pid for server in cluster.servers]

    def costs() -> tuple[float, ...]:
        return announcer.cpu, reader.cpu, cpu_of(servers)

    reader.order(Order(count))
    began = time.monotonic()
    before_all = costs()
    announcer.order(Order(count, rate))
    announcer.answer()
    came = reader.answer()
    spent = [now - then for now, then in zip(costs(), before_all, strict=True)]
    spent[0] -= made
    spent[1] -= floor * (time.monotonic() - began)
    reader.order(Order(count, passes=True))
    announcer.order(Order(count, rate, passes=True))
    passes = [announcer.answer().passes, reader.answer().passes]
    announcer.order(Order(count, rate, announce=False, passes=True))
    passes[0] -= announcer.answer().passes
    return {
        **{
            f"{process}_us": each * 1e6 / count
            for process, each in zip(("announcer", "reader", "valkey"), spent, strict=True)
        },
        "announcer_passes": passes[0] / count,
        "reader_passes": passes[1] / count,
        "p50_ms": came.p50_ms,
        "p99_ms": came.p99_ms,
    }


def report(rate: float, rounds: list[dict[str, float]]) -> None:
    print(f"{rate:.0f} events/s, medians of {len(rounds)} rounds (smallest to largest)")
    for name in rounds[0]:
        found = sorted(one[name] for one in rounds)
        print(f"  {name:18}{median(found):9.2f}  ({found[0]:.2f} to {found[-1]:.2f})", flush=True)


if __name__ == "__main__":
    main()
