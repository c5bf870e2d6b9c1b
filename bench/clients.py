"""The clients of a workload: a peer's users with their streams and producers."""

import gc
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from statistics import quantiles
from typing import Any

from bench.generator import TIMEOUT_SECONDS, Generator, Poster, Watcher, clock, open_watchers
from bench.machine import Load
from bench.marks import Lane, Verdict, mark
from bench.peer import Endpoint, Peer, PeerInstance
from bench.posting import Span
from bench.shapes import TIDY, Shape
from bench.verification import arrivals, hide_controls, judge_all, last_arrival

CONNECTIONS = 16  # keep-alive connections of producers
LINGER_SECONDS = 0.2  # time for a duplicate to arrive
CLOSING_SECONDS = 0.5  # time for the server to close its WebSockets, too

JSON, NDJSON = "application/json", "application/x-ndjson"


@dataclass(frozen=True, slots=True)
class Phase:
    """One period of posting and its results."""

    span: Span
    ended: float  # when the last event had arrived on its last socket
    first: dict[int, int]  # the first event number of each lane
    posted: int
    answers: list[float]
    late: list[float]
    verdict: Verdict
    refused: Mapping[int, int]  # number of POSTs by status
    load: Load
    memory_kib: int

    @property
    def good(self) -> bool:
        return self.verdict.good and not self.refused

    def record(self) -> dict[str, Any]:
        """The values that every workload records."""
        found: dict[str, Any] = {
            "posted": self.posted,
            "answer_ms": milliseconds(self.answers),
            "load": asdict(self.load),
            "memory_kib": self.memory_kib,
            "good": self.good,
            "delivered": self.verdict.good,
        }
        if not self.good:
            refused = ", ".join(f"{count} answered {code}" for code, count in self.refused.items())
            found["wrong"] = "; ".join(
                part for part in (refused, "" if self.verdict.good else str(self.verdict)) if part
            )
        return found


def milliseconds(seconds: Sequence[float]) -> dict[str, float]:
    """Percentiles in milliseconds; empty for fewer than two values."""
    if len(seconds) < 2:
        return {}
    cuts = quantiles(seconds, n=1000, method="inclusive")
    return {
        name: round(cuts[at - 1] * 1e3, 3)
        for name, at in (("p50", 500), ("p90", 900), ("p99", 990), ("p999", 999))
    }


@dataclass(eq=False, slots=True)
class Clients:
    load: Generator
    peer: Peer
    instance: PeerInstance
    endpoints: Sequence[Endpoint]
    kind: str = "ws"
    watchers: list[Watcher] = field(default_factory=list)
    posters: list[Poster] = field(default_factory=list)
    lanes: list[Lane] = field(default_factory=list)

    def watch(self, each: int = 1, *, missed: bool = False) -> float:
        """Open `each` more streams of every user; returns the seconds until all are open."""
        fresh = [
            Watcher(
                self.load,
                endpoint.port,
                user,
                endpoint.stream_request(self.kind, missed=missed),
                self.peer.greeting,
                quiet=self.peer.quiet_clients,
            )
            for _ in range(each)
            for user, endpoint in enumerate(self.endpoints)
        ]
        self.watchers += fresh
        return open_watchers(self.load, fresh)

    def produce(self, lanes_each: int = 1, batch: int = 1, shape: Shape = TIDY) -> None:
        """Add producers of every user, on CONNECTIONS connections."""
        kind = JSON if batch == 1 else NDJSON
        heads = [endpoint.post_head(kind, shape.client) for endpoint in self.endpoints]
        composed = [endpoint.composed_for(self.kind) for endpoint in self.endpoints]
        start = len(self.lanes)
        fresh = [
            Lane(start + number * len(heads) + user, user, heads[user], batch, shape, compose)
            for number in range(lanes_each)
            for user, compose in enumerate(composed)
        ]
        self.lanes += fresh
        for number in range(min(CONNECTIONS, len(fresh))):
            lanes, endpoint = fresh[number::CONNECTIONS], self.endpoints[0]
            plain = endpoint.post_port is not None
            poster = Poster(self.load, endpoint.posts_to, lanes, plain)
            poster.connect()
            self.posters.append(poster)

    def phase(self, post: Callable[[], Span], *, stored: bool = False) -> Phase:
        """Post, wait for all events, and verify them; with `stored`, from the first one on."""
        first = {lane.number: 0 if stored else lane.sent for lane in self.lanes}
        for watcher in self.watchers:
            watcher.clear()
        for poster in self.posters:
            poster.answers, poster.late, poster.refused = [], [], []
        with gc_paused():
            self.instance.program.pin_processes()
            meter = self.instance.program.meter()
            span = post()
            self.arrived(first)
            found = meter.read()
        memory = self.instance.program.memory_kib()
        self.load.keep_reading(LINGER_SECONDS)
        for watcher in self.watchers:
            hide_controls(watcher)
        due: dict[int, dict[int, range]] = {}
        for lane in self.lanes:
            due.setdefault(lane.user, {})[lane.number] = range(first[lane.number], lane.sent)
        refused = [each for poster in self.posters for each in poster.refused]
        maybe = {(lane.number, number) for _, lane, numbers in refused for number in numbers}
        return Phase(
            span=span,
            ended=last_arrival(self.watchers),
            first=first,
            posted=sum(lane.sent - first[lane.number] for lane in self.lanes),
            answers=[each for poster in self.posters for each in poster.answers],
            late=[each for poster in self.posters for each in poster.late],
            verdict=judge_all(self.watchers, due, maybe),
            refused=Counter(status for status, _, _ in refused),
            load=found,
            memory_kib=memory,
        )

    def arrived(self, first: Mapping[int, int]) -> None:
        """Read until every socket has the last event of each of its lanes, or until the timeout."""
        last: dict[int, list[bytes]] = {}
        for lane in self.lanes:
            if lane.sent > first[lane.number]:
                last.setdefault(lane.user, []).append(mark(lane.number, lane.sent - 1))
        await_marks(
            self.load, self.watchers, [last.get(watcher.user, []) for watcher in self.watchers]
        )

    def latencies(self, phase: Phase, rate: float) -> list[float]:
        """The time of each event from its due time, at a fixed rate, to its last byte."""
        places = {lane.number: place for place, lane in enumerate(self.lanes)}
        found = []
        for watcher in self.watchers:
            for (lane, number), when in arrivals(watcher):
                turn = (number - phase.first[lane]) * len(self.lanes) + places[lane]
                found.append(when - (phase.span.began + turn / rate))
        return found

    def close(self) -> None:
        for watcher in self.watchers:
            watcher.send_close()
        self.load.keep_reading(CLOSING_SECONDS)
        for watcher in self.watchers:
            watcher.close()
        for poster in self.posters:
            poster.close()


def wait_for_subscriptions(load: Generator) -> None:
    """Wait until open streams are subscribed, which takes a moment."""
    end = clock() + 0.5
    load.keep_reading(end - clock())


@contextmanager
def gc_paused() -> Iterator[None]:
    """Disable garbage collection, which would delay the reading of the clock."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def await_marks(
    load: Generator, watchers: Sequence[Watcher], wanted: Sequence[Sequence[bytes]]
) -> None:
    """Read until each watcher has all its marks, which may be far from the end."""
    deadline = clock() + TIMEOUT_SECONDS
    for watcher, last in zip(watchers, wanted, strict=True):
        for each in last:
            while watcher.data.rfind(each) < 0:
                if watcher.ended or clock() > deadline:
                    return  # the verdict reports what is missing
                load.run_once(clock() + 0.02)
