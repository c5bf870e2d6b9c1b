"""Measure notifications: from the post of a task's end to the receiver's socket, and how many.

One user has a webhook channel, whose receiver is in the load generator, and posts ends of tasks at
a fixed rate: alone, and beside another user's flood as in `bench.flood`. A latency counts from when
the post was due to when the whole notification has arrived, so it includes the commit, the fold and
the outbox. Then many ends are posted at once, of users with a channel each.

    make bench BENCH='w11 --peers relay'
"""

import contextlib
import dataclasses
import http.client
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from bench.clients import JSON, milliseconds
from bench.flood import FLOODS, flooding
from bench.generator import Generator, Poster, generator
from bench.marks import Lane
from bench.peer import Endpoint, Peer, PeerInstance
from bench.posting import Span, post_at_fixed_rate, post_count
from bench.receiver import Receiver
from bench.relay_peer import ask
from bench.run_config import RunConfig

ENVIRON = {
    "RELAY_OUTBOUND_PRIVATE": "on",  # the receiver is on loopback
    "RELAY_TRUSTED_PROXIES": "1",  # so that the two users have different addresses
}
RATE = 20.0  # ends of tasks a second
LANES = 8
USERS, ENDS_OF_USER = 10, 200  # of the last case
PATIENCE_SECONDS = 120.0  # until all notifications have arrived
_END = (
    b'{"event_type":"task_failed","ts":"2026-01-31T12:00:00Z","task_id":"%s",'
    b'"payload":{"title":"make test"}}'
)


class EndsLane(Lane):
    """A lane whose events are ends of tasks, each of a task of its own."""

    def request(self) -> bytes:
        body = _END % self.task_id(self.sent).encode()
        self.sent += 1
        return self.head + b"Content-Length: %d\r\n\r\n" % len(body) + body

    def task_id(self, number: int) -> str:
        return f"task-{self.number}-{number}"


def notified(peer: Peer, instance: PeerInstance, config: RunConfig) -> Iterator[dict[str, Any]]:
    """Measure the latency alone and beside each flood, then the rate."""
    (theirs,) = instance.endpoints(1, True)
    theirs = dataclasses.replace(theirs, headers=(*theirs.headers, "X-Forwarded-For: 198.51.100.1"))
    with generator() as load, closing(Receiver(load)) as receiver:
        lanes = watched_lanes(theirs.port, receiver, users=1, lanes_each=LANES)
        with posters(load, theirs.port, lanes) as opened:
            post_count(load, opened, 1)  # opens the connections of both sides
            _arrive(load, receiver, lanes)
            for name in (None, *FLOODS):
                with contextlib.ExitStack() as stack:
                    if name is not None:
                        stack.enter_context(flooding(theirs, name, config.steady + 1))
                        load.keep_reading(0.3)  # until the flood has started
                    case = "alone" if name is None else f"beside {name}"
                    yield _steadily(instance, load, receiver, lanes, opened, config) | {
                        "case": f"{RATE:.0f}/s, {case}"
                    }
        many = watched_lanes(theirs.port, receiver, users=USERS, lanes_each=1, first=LANES)
        with posters(load, theirs.port, many) as opened:
            yield _at_once(instance, load, receiver, many, opened)


def watched_lanes(
    port: int, receiver: Receiver, *, users: int, lanes_each: int, first: int = 0
) -> list[Lane]:
    """Lanes of new users, each with a channel that leads to the receiver."""
    lanes: list[Lane] = []
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    for _ in range(users):
        session = ask(connection, "POST", "/api/user")["session_token"]
        url = f"http://127.0.0.1:{receiver.port}/hook"
        wanted = {"kind": "webhook", "url": url, "on": ["failed"], "unless_watched": False}
        ask(connection, "POST", "/api/channels", session, wanted)
        hook = ask(connection, "POST", "/api/token", session)["token"]
        endpoint = Endpoint(port, headers=(f"Authorization: Bearer {hook}",))
        for _ in range(lanes_each):
            number = first + len(lanes)
            lanes.append(EndsLane(number, 0, endpoint.post_head(JSON)))
    connection.close()
    return lanes


@contextlib.contextmanager
def posters(load: Generator, port: int, lanes: list[Lane]) -> Iterator[list[Poster]]:
    """A connection for each lane."""
    opened = [Poster(load, port, [lane]) for lane in lanes]
    for poster in opened:
        poster.connect()
    try:
        yield opened
    finally:
        for poster in opened:
            poster.close()


def _steadily(
    instance: PeerInstance,
    load: Generator,
    receiver: Receiver,
    lanes: list[Lane],
    opened: list[Poster],
    config: RunConfig,
) -> dict[str, Any]:
    first = [lane.sent for lane in lanes]
    meter = instance.program.meter()
    span = post_at_fixed_rate(load, opened, lanes, RATE, config.steady)
    _arrive(load, receiver, lanes)
    busy = meter.read()
    latencies = [
        receiver.arrived[name] - (span.began + turn / RATE)
        for turn, name in enumerate(names_of(lanes, first))
    ]
    return _record(receiver, opened, len(latencies)) | {
        "latency_ms": milliseconds(latencies),
        "load": dataclasses.asdict(busy),
    }


def _at_once(
    instance: PeerInstance,
    load: Generator,
    receiver: Receiver,
    lanes: list[Lane],
    opened: list[Poster],
) -> dict[str, Any]:
    meter = instance.program.meter()
    span: Span = post_count(load, opened, ENDS_OF_USER)
    _arrive(load, receiver, lanes)
    busy = meter.read()
    names = names_of(lanes, [0] * len(lanes))
    seconds = max(receiver.arrived[name] for name in names) - span.began
    return _record(receiver, opened, len(names)) | {
        "case": f"{len(names)} at once",
        "rate": round(len(names) / seconds),
        "unit": "notifications/s",
        "seconds": round(seconds, 3),
        "load": dataclasses.asdict(busy),
    }


def _arrive(load: Generator, receiver: Receiver, lanes: list[Lane]) -> None:
    """Wait until the notifications of all ends have arrived. Raises BenchFailed."""
    names = names_of(lanes, [0] * len(lanes))
    load.run_until(
        lambda: all(name in receiver.arrived for name in names), PATIENCE_SECONDS, "notifications"
    )


def names_of(lanes: list[Lane], first: list[int]) -> list[str]:
    """The tasks that ended since `first`, in the order of their posts: the lanes take turns."""
    most = max(lane.sent for lane in lanes)
    return [
        lane.task_id(since + turn)
        for turn in range(most)
        for lane, since in zip(lanes, first, strict=True)
        if isinstance(lane, EndsLane) and since + turn < lane.sent
    ]


def _record(receiver: Receiver, opened: list[Poster], count: int) -> dict[str, Any]:
    refused = [status for poster in opened for status, _, _ in poster.refused]
    good = not refused
    found: dict[str, Any] = {"posted": count, "repeated": receiver.repeated}
    found |= {"good": good, "delivered": good}
    return found if good else found | {"wrong": f"refused with {sorted(set(refused))}"}
