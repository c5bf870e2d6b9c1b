"""Measure the delay between two Relay processes on the same database.

    python -m bench.across [--seconds 10] [--rate 50] [--revokes 50]

Events are posted to one Relay at a fixed rate and watched on the other, which learns of them by
notification. Then tokens are revoked on the first one, and the time is measured until a stream that
such a token opened on the other one reports the revocation. Without notifications, by polling once
a second, the median would be half a second.
"""

import argparse
import http.client
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from operator import contains
from typing import Any

from bench.clients import JSON, await_marks, milliseconds
from bench.generator import (
    TIMEOUT_SECONDS,
    Generator,
    Poster,
    Watcher,
    clock,
    generator,
    open_watchers,
)
from bench.machine import OTHER_CORES, pin, raise_descriptor_limit
from bench.marks import Lane
from bench.peer import Endpoint
from bench.posting import post_at_fixed_rate
from bench.relay_peer import relay_fleet
from bench.verification import arrivals

DISCOVERY_SECONDS = 5.0  # until each process has found the other in the database

Ports = tuple[int, int]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rate", type=float, default=50, help="events a second (%(default)s)")
    parser.add_argument("--revokes", type=int, default=50)
    options = parser.parse_args()
    raise_descriptor_limit()
    pin(os.getpid(), OTHER_CORES)
    with two_relays() as ports:
        session = post(ports[0], "/api/user")["session_token"]
        time.sleep(DISCOVERY_SECONDS)
        with generator() as load:
            found = {"events": events(load, ports, session, options.rate, options.seconds)}
        with generator() as load:
            found["revokes"] = revokes(load, ports, session, options.revokes)
    for what, seconds in found.items():
        print(f"{what:8} {json.dumps(milliseconds(seconds))} ms, of {len(seconds)}")


@contextmanager
def two_relays() -> Iterator[Ports]:
    """Start two Relay processes on one database; yields their ports."""
    with relay_fleet() as fleet:
        yield fleet.start().port, fleet.start().port


def events(load: Generator, ports: Ports, session: str, rate: float, seconds: float) -> list[float]:
    """For each event, the seconds from its due time on one to its last byte from the other."""
    token = post(ports[0], "/api/token", session)["token"]
    here, there = (Endpoint(port, headers=(f"Authorization: Bearer {token}",)) for port in ports)
    watcher = Watcher(load, ports[1], 0, there.stream_request("ws"))
    open_watchers(load, [watcher])
    lane = Lane(0, 0, here.post_head(JSON))
    poster = Poster(load, ports[0], [lane])
    poster.connect()
    span = post_at_fixed_rate(load, [poster], [lane], rate, seconds)
    await_marks(load, [watcher], [[lane.last_mark()]])
    found = [when - (span.began + number / rate) for (_, number), when in arrivals(watcher)]
    poster.close()
    return found


def revokes(load: Generator, ports: Ports, session: str, times: int) -> list[float]:
    """For each revocation, the seconds from its request on one to its `close` from the other."""
    found = []
    for _ in range(times):
        token = post(ports[0], "/api/token", session)["token"]
        endpoint = Endpoint(ports[1], headers=(f"Authorization: Bearer {token}",))
        watcher = Watcher(load, ports[1], 0, endpoint.stream_request("ws"))
        open_watchers(load, [watcher])
        asked = clock()
        post(ports[0], "/api/token/revoke", token)
        load.run_until(
            partial(contains, watcher.data, b"revoked"),
            TIMEOUT_SECONDS,
            "the close of a revoked stream",
        )
        found.append(clock() - asked)
    return found


def post(port: int, path: str, token: str | None = None) -> dict[str, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    connection.request("POST", path, headers=headers)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    if answer.status not in (200, 201):
        raise RuntimeError(f"{path}: {answer.status} {body[:500]!r}")
    found: dict[str, Any] = json.loads(body)
    return found


if __name__ == "__main__":
    main()
