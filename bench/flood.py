"""What one user's flood does to another's latency: alone, then beside it, in one run.

    python -m bench.flood [--seconds 10] [--rounds 3] [--rate 50]

Somebody posts at a steady rate and watches over a WebSocket; latency is from the time a post was
due to its event's arrival. Meanwhile a flooder at another address posts as fast as answers come,
over 16 connections: single events, batches of a thousand, payloads of 64 KiB; within the limits,
which is a burst and then 429s, and with the limits off. The server has one core; Postgres, the
flooder (at a low priority) and the one who is measured share the other.
"""

import argparse
import asyncio
import multiprocessing
import os
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager

from bench.load import Body, post_for
from bench.readers import TimedReader
from bench.servers import OTHER_CORE, call, relay

EVENT = b'{"event_type":"log","ts":"2026-01-31T12:00:00Z","payload":{"message":"step"}}'
LARGE = EVENT.replace(b"step", b"x" * 60_000)
FLOODS: dict[str, tuple[str, Body]] = {
    "single events": ("application/json", lambda _: EVENT),
    "64 KiB payloads": ("application/json", lambda _: LARGE),
    "batches of 1000": ("application/x-ndjson", lambda _: (EVENT + b"\n") * 1000),
}
TRUSTED = {"RELAY_TRUSTED_PROXIES": "1"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rate", type=float, default=50)
    wanted = parser.parse_args()
    if (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(0, {OTHER_CORE})
    for limits in ("on", "off"):
        with relay(RELAY_RATE_LIMITS=limits, **TRUSTED) as (port, _):
            for name in FLOODS:
                ratios = []
                for _ in range(wanted.rounds):
                    alone = _measured(port, wanted.seconds, wanted.rate)
                    with _flood(port, name, wanted.seconds + 1):
                        flooded = _measured(port, wanted.seconds, wanted.rate)
                    ratios.append(flooded[1] / alone[1])
                    print(
                        f"limits {limits:3}  {name:16}  p50 {alone[0]:6.2f} -> {flooded[0]:6.2f} ms"
                        f"  p99 {alone[1]:6.2f} -> {flooded[1]:6.2f} ms",
                        flush=True,
                    )
                print(f"limits {limits:3}  {name:16}  p99 x {statistics.median(ratios):.2f}")


def _token(port: int) -> str:
    session = call(port, "/api/user")["session_token"]
    token: str = call(port, "/api/token", session)["token"]
    return token


def _measured(port: int, seconds: float, rate: float) -> tuple[float, float]:
    """p50 and p99 in ms, of somebody new."""
    latencies = sorted(asyncio.run(_steady(port, _token(port), seconds, rate)))
    return tuple(1e3 * latencies[int(len(latencies) * share)] for share in (0.5, 0.99))  # type: ignore[return-value]


async def _steady(port: int, token: str, seconds: float, rate: float) -> list[float]:
    """Post when it is due, whatever became of the posts before; every event must arrive."""
    reader = TimedReader(port, token)
    await asyncio.get_running_loop().create_connection(lambda: reader, "127.0.0.1", port)
    await reader.open.wait()
    count, started = int(seconds * rate), time.perf_counter()
    async with asyncio.TaskGroup() as posts:
        for number in range(count):
            await asyncio.sleep(max(0, started + number / rate - time.perf_counter()))
            posts.create_task(_post(port, token, number))
    due = {number: started + number / rate for number in range(count)}
    await _arrived(reader, count)
    came = reader.arrivals()
    assert sorted(came) == list(range(1, count + 1)), "an event is missing"
    assert reader.transport is not None
    reader.transport.close()
    # two posts under way may be stored in either order; that is a matter of microseconds
    return [when - due[seq - 1] for seq, when in came.items()]


async def _post(port: int, token: str, _number: int) -> None:
    """One event on a connection of its own."""
    incoming, outgoing = await asyncio.open_connection("127.0.0.1", port)
    outgoing.write(
        f"POST /api/webhook/cli HTTP/1.1\r\nHost: bench\r\nX-Forwarded-For: 192.0.2.1\r\n"
        f"Authorization: Bearer {token}\r\nContent-Type: application/json\r\n"
        f"Connection: close\r\nContent-Length: {len(EVENT)}\r\n\r\n".encode()
        + EVENT
    )
    answer = await incoming.read()
    assert b" 200 " in answer[:20], answer
    outgoing.close()


async def _arrived(reader: TimedReader, count: int) -> None:
    deadline = time.perf_counter() + 30
    while reader.data.rfind(f'"seq":{count},'.encode()) < 0:
        assert time.perf_counter() < deadline, "events are missing"
        await asyncio.sleep(0.01)


@contextmanager
def _flood(port: int, name: str, seconds: float) -> Iterator[None]:
    """A flooder in a process of its own, for as long as the block takes at most."""
    token = _token(port)
    flooder = multiprocessing.Process(target=_post_madly, args=(port, token, name, seconds))
    flooder.start()
    try:
        time.sleep(0.2)  # it is under way
        yield
    finally:
        flooder.join()


def _post_madly(port: int, token: str, name: str, seconds: float) -> None:
    os.nice(10)
    content_type, body = FLOODS[name]
    headers = {
        "Authorization": f"Bearer {token}",
        "Content-Type": content_type,
        "X-Forwarded-For": "198.51.100.1",
    }
    result = asyncio.run(post_for(seconds, port, "/api/webhook/cli", [headers], body))
    print(f"    flood: {result.rate:.0f} answers/s {result.statuses}", flush=True)


if __name__ == "__main__":
    main()
