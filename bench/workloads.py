"""The work: each takes a running peer and yields what it measured, a record a case."""

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from bench import wire
from bench.flood import ENVIRON as FLOOD_ENVIRON
from bench.flood import flood
from bench.frames import frames
from bench.generator import PATIENCE, Watcher, clock, generator, open_watchers
from bench.peer import Peer, Scene
from bench.posting import Span, post_each, post_madly, post_steadily
from bench.stage import Phase, Stage, milliseconds, settle
from bench.tail import tail

USERS = 64
RATE = 500.0  # events a second, where latency is looked at
Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Order:
    """How long and how large. The defaults are a full run's."""

    seconds: float = 5.0
    steady: float = 10.0  # seconds at the fixed rate
    idle: int = 5_000
    idle_seconds: float = 10.0
    resumes: int = 2_000
    missed: int = 1_000
    lines: int = 200_000
    fans: tuple[int, ...] = (100, 1_000)
    batches: tuple[int, ...] = (50, 500)

    @classmethod
    def quick(cls) -> "Order":
        return cls(seconds=2.0, steady=3.0, idle=1_000, idle_seconds=3.0, resumes=200, lines=50_000)


@dataclass(frozen=True, slots=True)
class Workload:
    name: str
    title: str
    run: Callable[[Peer, Scene, Order], Iterator[Record]]
    fits: Callable[[Peer], bool] = lambda peer: True
    workers: int = 1
    environ: Mapping[str, str] = field(default_factory=dict)
    asked: bool = False  # run only when it is named


def one_by_one(peer: Peer, scene: Scene, order: Order, kind: str = "ws") -> Iterator[Record]:
    """One event a POST, 64 users with a stream each: at most, and at a fixed rate."""
    with generator() as load:
        stage = Stage(load, peer, scene, scene.doors(USERS, True), kind)
        with closing(stage):
            stage.watch()
            stage.produce()
            settle(load)
            warm(stage)
            phase = stage.phase(partial(post_madly, load, stage.posters, order.seconds))
            yield rate("at most", phase, phase.posted, "events/s")
            if order.steady:
                phase = stage.phase(
                    partial(post_steadily, load, stage.posters, stage.lanes, RATE, order.steady)
                )
                yield phase.record() | {
                    "case": f"{RATE:.0f}/s",
                    "latency_ms": milliseconds(stage.latencies(phase, RATE)),
                    "late_ms": milliseconds(phase.late),
                }


def fan_out(peer: Peer, scene: Scene, order: Order) -> Iterator[Record]:
    """One user's events on so many sockets."""
    for sockets in order.fans:
        with generator() as load:
            stage = Stage(load, peer, scene, scene.doors(1, True))
            with closing(stage):
                stage.watch(sockets)
                stage.produce(lanes_each=16)
                settle(load)
                warm(stage)
                phase = stage.phase(partial(post_madly, load, stage.posters, order.seconds))
                yield rate(f"{sockets} sockets", phase, phase.posted * sockets, "deliveries/s")


def idle(peer: Peer, scene: Scene, order: Order, kind: str) -> Iterator[Record]:
    """Streams that wait: what one takes, and how fast they come. In the end some are tried."""
    program = scene.program
    with generator() as load:
        stage = Stage(load, peer, scene, scene.doors(USERS, True), kind)
        with closing(stage):
            stage.watch()
            stage.produce()
            settle(load)
            warm(stage)  # what is made once is made now
            others = [
                Watcher(load, door.port, -1, door.watching(kind), peer.greeting, keep=False)
                for door in scene.doors(order.idle, False)
            ]
            load.rest(1)
            before = program.memory_kib()
            meter = program.meter()
            seconds = open_watchers(load, others)
            busy = meter.read()
            load.beat()  # and none while they are idle
            load.rest(1)
            after = program.memory_kib()
            meter = program.meter()
            load.rest(order.idle_seconds)
            resting = meter.read()
            # nobody was dropped, and the first ones still get what is theirs
            gone = sum(watcher.ended for watcher in others)
            phase = stage.phase(partial(post_each, load, stage.posters, 1))
            for watcher in others:
                watcher.close()
            yield phase.record() | {
                "case": f"{order.idle} {'WebSockets' if kind == 'ws' else 'SSE streams'}",
                "kib_each": round((after - before) / order.idle, 1),
                "connects_per_second": round(order.idle / seconds),
                "idle_cpu": resting.server,
                "load": dataclasses.asdict(busy),
                "good": phase.good and not gone,
                "delivered": phase.verdict.good and not gone,
                **({"wrong": f"{gone} streams were dropped"} if gone else {}),
            }


def batches(peer: Peer, scene: Scene, order: Order) -> Iterator[Record]:
    """Many events a POST, a line each."""
    for size in order.batches:
        with generator() as load:
            stage = Stage(load, peer, scene, scene.doors(USERS, True))
            with closing(stage):
                stage.watch()
                stage.produce(batch=size)
                settle(load)
                warm(stage)
                phase = stage.phase(partial(post_madly, load, stage.posters, order.seconds))
                yield rate(f"{size} a POST", phase, phase.posted, "events/s")


def storm(peer: Peer, scene: Scene, order: Order) -> Iterator[Record]:
    """Everybody comes back at once, each with so many events missed."""
    with generator() as load:
        stage = Stage(load, peer, scene, scene.doors(order.resumes, True))
        with closing(stage):
            batch = min(500, order.missed)
            stage.produce(batch=batch)
            post_each(load, stage.posters, order.missed // batch)

            def come_back() -> Span:
                began = clock()
                stage.watch(missed=True)
                return Span(began, clock())

            phase = stage.phase(come_back, stored=True)
            found = rate(f"{order.resumes} resumes", phase, phase.posted, "events/s")
            took = [
                watcher.came(len(watcher.data)) - phase.span.began for watcher in stage.watchers
            ]
            yield found | {"answer_ms": None, "caught_up_ms": milliseconds(took)}


def watched_command(peer: Peer, scene: Scene, order: Order) -> Iterator[Record]:
    """`relay run -- seq N`, from the start of the process until the last line is on a socket."""
    assert peer.checkout is not None
    (door,) = scene.doors(1, True)
    with generator() as load, tempfile.TemporaryDirectory() as home:
        watcher = Watcher(load, door.port, 0, door.watching("ws"))
        open_watchers(load, [watcher])
        environ = {
            **os.environ,
            "PYTHONPATH": str(peer.checkout),
            "RELAY_URL": f"http://127.0.0.1:{door.port}",
            "RELAY_TOKEN": door.headers[0].split()[-1],
            "XDG_STATE_HOME": home,
        }
        meter = scene.program.meter()
        began = clock()
        command = [sys.executable, "-m", "relay.cli.main", "run", "--", "seq", str(order.lines)]
        process = subprocess.Popen(
            command, cwd=peer.checkout, env=environ, stdout=subprocess.DEVNULL
        )
        load.until(lambda: b'"task_succeeded"' in watcher.data[-2_000:], PATIENCE, "the last line")
        seconds = clock() - began
        busy = meter.read()
        code = process.wait(PATIENCE)
        good = code == 0 and _lines(watcher) == [str(n) for n in range(1, order.lines + 1)]
        watcher.close()
        yield {
            "case": f"seq {order.lines}",
            "rate": round(order.lines / seconds),
            "unit": "lines/s",
            "seconds": round(seconds, 3),
            "load": dataclasses.asdict(busy),
            "good": good,
            "delivered": good,
            **({} if good else {"wrong": "other lines than were printed"}),
        }


def _lines(watcher: Watcher) -> list[str]:
    """What the command printed, from the events."""
    found: list[str] = []
    for start, end in wire.messages(watcher.data):
        event = json.loads(watcher.data[start:end])
        if event.get("event_type") == "log":
            found += event["payload"]["message"].split("\n")
    return found


def both(peer: Peer, scene: Scene, order: Order) -> Iterator[Record]:
    """One event a POST, and one user's events, as fast as can be."""
    yield from one_by_one(peer, scene, dataclasses.replace(order, steady=0.0))
    yield from fan_out(peer, scene, order)


def short(peer: Peer, scene: Scene, order: Order) -> Iterator[Record]:
    yield from both(peer, scene, dataclasses.replace(order, seconds=1.0, fans=(100,)))


def warm(stage: Stage) -> None:
    """Posting that does not count, but for its deliveries."""
    phase = stage.phase(partial(post_madly, stage.load, stage.posters, 0.5))
    if not phase.verdict.good:
        raise RuntimeError(f"while warming up: {phase.record()['wrong']}")


def rate(case: str, phase: Phase, count: int, unit: str) -> Record:
    """So many in the time from the first POST to the last arrival."""
    seconds = phase.ended - phase.span.began
    return phase.record() | {
        "case": case,
        "rate": round(count / seconds) if seconds > 0 else 0,
        "unit": unit,
        "seconds": round(seconds, 3),
        # what a busy machine changes least
        "per_cpu_second": round(count / seconds / phase.load.server) if phase.load.server else 0,
    }


def has_sse(peer: Peer) -> bool:
    return "sse" in peer.streams


WORKLOADS = (
    Workload("w1", "one event a POST, 64 users, WebSocket", one_by_one),
    Workload("w2", "one user's events to many sockets", fan_out),
    Workload("w3", "idle WebSockets", partial(idle, kind="ws")),
    Workload(
        "w3", "idle SSE streams", partial(idle, kind="sse"), lambda peer: "sse" in peer.streams
    ),
    Workload("w4", "NDJSON batches", batches, lambda peer: peer.batches),
    Workload(
        "w5",
        "one event a POST, 64 users, SSE",
        partial(one_by_one, kind="sse"),
        has_sse,
    ),
    Workload("w6", "everybody comes back", storm, lambda peer: peer.resumes),
    Workload("w7", "a watched command", watched_command, lambda peer: peer.checkout is not None),
    Workload("w8", "two workers", both, lambda peer: peer.several, workers=2),
    Workload("short", "one event a POST, and fan-out: what CI runs", short, asked=True),
    Workload(
        "flood",
        "somebody's latency beside another's flood",
        flood,
        lambda peer: peer.checkout is not None,
        environ=FLOOD_ENVIRON,
    ),
    Workload(
        "tail",
        "a flood in a terminal",
        tail,
        lambda peer: peer.checkout is not None,
        asked=True,
    ),
    Workload(
        "frames",
        "a flood on the live page",
        frames,
        lambda peer: peer.checkout is not None,
        asked=True,
    ),
)
