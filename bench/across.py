"""How long news takes from one Relay to another one on the same database.

    python -m bench.across [--seconds 10] [--rate 50] [--revokes 50]

Events are posted at one Relay, at a steady rate, and watched at the other, which hears of them by
notification. So it does of tokens that are revoked at the first one: a stream that one of them
opened is watched until it says why it ends. By looks alone half of all would take half a second.
"""

import argparse
import http.client
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from bench.catalogue import RELAY
from bench.generator import PATIENCE, Generator, Poster, Watcher, clock, generator, open_watchers
from bench.judging import arrivals
from bench.machine import OTHER_CORES, pin, raise_limits
from bench.marks import Lane
from bench.peer import Door
from bench.postgres import postgres
from bench.posting import post_steadily
from bench.processes import free_port, running
from bench.stage import JSON, await_marks, milliseconds

IN_TOUCH = 5.0  # seconds until each has seen the other in the database

Ports = tuple[int, int]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rate", type=float, default=50, help="events a second (%(default)s)")
    parser.add_argument("--revokes", type=int, default=50)
    wanted = parser.parse_args()
    raise_limits()
    pin(os.getpid(), OTHER_CORES)
    with two_relays() as ports:
        session = ask(ports[0], "/api/user")["session_token"]
        time.sleep(IN_TOUCH)
        with generator() as load:
            found = {"events": events(load, ports, session, wanted.rate, wanted.seconds)}
        with generator() as load:
            found["revokes"] = revokes(load, ports, session, wanted.revokes)
    for what, seconds in found.items():
        print(f"{what:8} {json.dumps(milliseconds(seconds))} ms, of {len(seconds)}")


@contextmanager
def two_relays() -> Iterator[Ports]:
    """The ports of two that are one service."""
    with postgres() as (dsn, pid):
        here, there = free_port(), free_port()
        given = {
            **RELAY,
            "DATABASE_URL": dsn,
            "RELAY_SIGNING_KEYS": "bench:" + os.urandom(32).hex(),
            "BASE_URL": f"http://127.0.0.1:{here}",
        }
        start = partial(running, database=pid)
        command = [sys.executable, "-m", "relay.cli.main", "serve", "--bind"]
        with (
            start([*command, f"127.0.0.1:{here}"], here, given),
            start([*command, f"127.0.0.1:{there}"], there, given),
        ):
            yield here, there


def events(load: Generator, ports: Ports, session: str, rate: float, seconds: float) -> list[float]:
    """Of each event, the seconds from when it was due here to its last byte there."""
    token = ask(ports[0], "/api/token", session)["token"]
    here, there = (Door(port, headers=(f"Authorization: Bearer {token}",)) for port in ports)
    watcher = Watcher(load, ports[1], 0, there.watching("ws"))
    open_watchers(load, [watcher])
    lane = Lane(0, 0, here.posting(JSON))
    poster = Poster(load, ports[0], [lane])
    poster.connect()
    span = post_steadily(load, [poster], [lane], rate, seconds)
    await_marks(load, [watcher], [[lane.last_mark()]])
    found = [when - (span.began + number / rate) for (_, number), when in arrivals(watcher)]
    poster.close()
    return found


def revokes(load: Generator, ports: Ports, session: str, times: int) -> list[float]:
    """Of each revoke, the seconds from its request here to the word of it there."""
    found = []
    for _ in range(times):
        token = ask(ports[0], "/api/token", session)["token"]
        door = Door(ports[1], headers=(f"Authorization: Bearer {token}",))
        watcher = Watcher(load, ports[1], 0, door.watching("ws"))
        open_watchers(load, [watcher])
        asked = clock()
        ask(ports[0], "/api/token/revoke", token)
        load.until(lambda data=watcher.data: b"revoked" in data, PATIENCE, "a word of the revoke")
        found.append(clock() - asked)
    return found


def ask(port: int, path: str, token: str | None = None) -> dict[str, Any]:
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
