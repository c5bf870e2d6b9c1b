"""A peer's users, their streams and their producers: what a workload posts on, phase by phase."""

import gc
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from statistics import quantiles
from typing import Any

from bench.generator import PATIENCE, Generator, Poster, Watcher, clock, open_watchers
from bench.judging import arrivals, judge_all, last_arrival
from bench.machine import Load
from bench.marks import Lane, Verdict, mark
from bench.peer import Door, Peer, Scene
from bench.posting import Span

CONNECTIONS = 16  # of producers, kept alive
LINGER = 0.2  # seconds in which a doubled event would still come

JSON, NDJSON = "application/json", "application/x-ndjson"


@dataclass(frozen=True, slots=True)
class Phase:
    """One stretch of posting and what came of it."""

    span: Span
    ended: float  # when the last event was on its last socket
    first: dict[int, int]  # of each lane, its first number
    posted: int
    answers: list[float]
    late: list[float]
    verdict: Verdict
    refused: Mapping[int, int]  # how many POSTs by their status
    load: Load
    memory_kib: int

    @property
    def good(self) -> bool:
        return self.verdict.good and not self.refused

    def record(self) -> dict[str, Any]:
        """What every workload tells."""
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
    """The middle and the slow end; nothing of fewer than two."""
    if len(seconds) < 2:
        return {}
    cuts = quantiles(seconds, n=1000, method="inclusive")
    return {
        name: round(cuts[at - 1] * 1e3, 3)
        for name, at in (("p50", 500), ("p90", 900), ("p99", 990), ("p999", 999))
    }


@dataclass(eq=False, slots=True)
class Stage:
    load: Generator
    peer: Peer
    scene: Scene
    doors: Sequence[Door]
    kind: str = "ws"
    watchers: list[Watcher] = field(default_factory=list)
    posters: list[Poster] = field(default_factory=list)
    lanes: list[Lane] = field(default_factory=list)

    def watch(self, each: int = 1, *, missed: bool = False) -> float:
        """So many more streams of every user; seconds until they stood."""
        fresh = [
            Watcher(
                self.load,
                door.port,
                user,
                door.watching(self.kind, missed=missed),
                self.peer.greeting,
            )
            for _ in range(each)
            for user, door in enumerate(self.doors)
        ]
        self.watchers += fresh
        return open_watchers(self.load, fresh)

    def produce(self, lanes_each: int = 1, batch: int = 1) -> None:
        """Producers of every user, on CONNECTIONS connections."""
        kind = JSON if batch == 1 else NDJSON
        heads = [door.posting(kind) for door in self.doors]
        start = len(self.lanes)
        fresh = [
            Lane(start + number * len(heads) + user, user, head, batch)
            for number in range(lanes_each)
            for user, head in enumerate(heads)
        ]
        self.lanes += fresh
        for number in range(min(CONNECTIONS, len(fresh))):
            poster = Poster(self.load, self.doors[0].port, fresh[number::CONNECTIONS])
            poster.connect()
            self.posters.append(poster)

    def phase(self, post: Callable[[], Span], *, stored: bool = False) -> Phase:
        """Post, wait until all of it arrived, judge it; with `stored` all from the first event."""
        first = {lane.number: 0 if stored else lane.sent for lane in self.lanes}
        for watcher in self.watchers:
            watcher.forget()
        for poster in self.posters:
            poster.answers, poster.late, poster.refused = [], [], []
        with undisturbed():
            self.scene.program.settle()
            meter = self.scene.program.meter()
            span = post()
            self.arrived(first)
            found = meter.read()
        memory = self.scene.program.memory_kib()
        self.load.rest(LINGER)
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
        """Read on until every socket has the last event of each of its lanes, or time is up."""
        last: dict[int, list[bytes]] = {}
        for lane in self.lanes:
            if lane.sent > first[lane.number]:
                last.setdefault(lane.user, []).append(mark(lane.number, lane.sent - 1))
        await_marks(
            self.load, self.watchers, [last.get(watcher.user, []) for watcher in self.watchers]
        )

    def latencies(self, phase: Phase, rate: float) -> list[float]:
        """From when each event was due, at a steady rate, to its last byte on the socket."""
        places = {lane.number: place for place, lane in enumerate(self.lanes)}
        found = []
        for watcher in self.watchers:
            for (lane, number), when in arrivals(watcher):
                turn = (number - phase.first[lane]) * len(self.lanes) + places[lane]
                found.append(when - (phase.span.began + turn / rate))
        return found

    def close(self) -> None:
        for connection in (*self.watchers, *self.posters):
            connection.close()


def settle(load: Generator) -> None:
    """Streams that stand are subscribed a moment later."""
    end = clock() + 0.5
    load.rest(end - clock())


@contextmanager
def undisturbed() -> Iterator[None]:
    """No garbage collection in between: it would pause the clock's reader."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def await_marks(
    load: Generator, watchers: Sequence[Watcher], wanted: Sequence[Sequence[bytes]]
) -> None:
    """Read on until each watcher has all its marks; they may be far from the end."""
    deadline = clock() + PATIENCE
    for watcher, last in zip(watchers, wanted, strict=True):
        for each in last:
            while watcher.data.rfind(each) < 0:
                if watcher.ended or clock() > deadline:
                    return  # the verdict will tell what is missing
                load.turn(clock() + 0.02)
