"""One user's events to many sockets: with frames written past the tasks, and without.

    python -m bench.fanout [--sockets 100] [--seconds 4] [--rounds 3]

"relay serve" writes each event's one encoding straight to every socket that keeps up. The same
app under an unmodified Hypercorn sends it through ASGI, a task switch and an encoding a socket.
Every socket's bytes are read and checked: all events, in order, once.
"""

import argparse
import asyncio
import os
import statistics
import time

from bench.load import post_for
from bench.readers import Reader, open_readers
from bench.servers import OTHER_CORE, call, relay, unmodified


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sockets", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    wanted = parser.parse_args()
    if (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(0, {OTHER_CORE})
    with relay() as (direct, _), unmodified() as (plain, _):
        ratios = []
        for number in range(wanted.rounds):
            rates = {}
            for name, port in (("unmodified", plain), ("relay serve", direct)):
                rates[name] = asyncio.run(_measure(port, wanted.sockets, wanted.seconds))
                print(f"round {number + 1}  {name:12} {rates[name]:9.0f} deliveries/s")
            ratios.append(rates["relay serve"] / rates["unmodified"])
        print(f"relay serve / unmodified: median {statistics.median(ratios):.1f}")


async def _measure(port: int, sockets: int, seconds: float) -> float:
    session = call(port, "/api/user")["session_token"]
    token = call(port, "/api/token", session)["token"]
    readers = await open_readers(port, token, sockets)
    headers = [{"Authorization": f"Bearer {token}", "Content-Type": "application/x-ndjson"}]
    started = time.perf_counter()
    result = await post_for(seconds, port, "/api/webhook/cli", headers, _batch, connections=4)
    assert set(result.statuses) == {200}, result.statuses
    posted = 10 * sum(result.statuses.values())
    await _arrived(readers, posted)
    elapsed = time.perf_counter() - started
    for reader in readers:
        assert reader.seqs() == list(range(1, posted + 1))
        assert reader.transport is not None
        reader.transport.close()
    return posted * sockets / elapsed


async def _arrived(readers: list[Reader], seq: int) -> None:
    """Wait until every reader has this event."""
    mark = f'"seq":{seq},'.encode()
    deadline = time.perf_counter() + 60
    while any(reader.data.rfind(mark) < 0 for reader in readers):
        assert time.perf_counter() < deadline, "some socket misses events"
        await asyncio.sleep(0.01)


def _batch(number: int) -> bytes:
    line = b'{"event_type":"log","ts":"2026-01-31T12:00:00Z","payload":{"message":"line %d"}}\n'
    return b"".join(line % (number * 10 + offset) for offset in range(10))


if __name__ == "__main__":
    main()
