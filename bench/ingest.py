"""One event a POST: Relay, durable, beside a bare Quart handler in memory, in one run.

    python -m bench.ingest [--seconds 4] [--rounds 3] [--connections 16]

Both run on the same guarded server, pinned to one core; Postgres and this generator have the
other. The ratio is what all of Relay's promises cost.
"""

import argparse
import asyncio
import os
import statistics

from bench.load import post_for
from bench.servers import OTHER_CORE, bare_quart, call, relay

USERS = 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=16)
    wanted = parser.parse_args()
    if (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(0, {OTHER_CORE})
    with relay() as (relay_port, _), bare_quart() as (bare_port, _):
        tokens = []
        for _ in range(USERS):
            session = call(relay_port, "/api/user")["session_token"]
            tokens.append(call(relay_port, "/api/token", session)["token"])
        headers = [
            {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
            for token in tokens
        ]
        ratios = []
        for number in range(wanted.rounds):
            rates = {}
            for name, port in (("bare Quart", bare_port), ("Relay", relay_port)):
                result = asyncio.run(
                    post_for(
                        wanted.seconds,
                        port,
                        "/api/webhook/cli",
                        headers,
                        _event,
                        wanted.connections,
                    )
                )
                assert set(result.statuses) == {200}, result.statuses
                rates[name] = result.rate
                print(
                    f"round {number + 1}  {name:10}  {result.rate:8.0f} events/s"
                    f"  p50 {result.quantile(0.5) * 1e3:6.2f} ms"
                    f"  p99 {result.quantile(0.99) * 1e3:6.2f} ms"
                )
            ratios.append(rates["Relay"] / rates["bare Quart"])
        print(f"Relay / bare Quart: median {statistics.median(ratios):.2f}, {sorted(ratios)}")


def _event(number: int) -> bytes:
    return (
        b'{"event_type":"task_progress","ts":"2026-01-31T12:00:00Z","task_id":"build",'
        b'"payload":{"progress":0.42,"message":"step %d"}}' % number
    )


if __name__ == "__main__":
    main()
