"""What the workloads do: each takes a running peer and yields one record per case."""

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial

from bench.clients import Clients, Phase, milliseconds, wait_for_subscriptions
from bench.generator import Watcher, clock, generator, open_watchers
from bench.peer import Peer, PeerInstance
from bench.posting import Span, post_at_fixed_rate, post_at_full_rate, post_count
from bench.results import Record
from bench.run_config import RunConfig
from bench.shapes import Shape

USERS = 64
RATE = 500.0  # events a second, to measure latency
STEADY_SHAPES = ("tidy", "many tasks")  # whose latency is measured
MAX_BATCH_BYTES = 1_000_000  # a larger body is refused
WARM_SECONDS = 0.5


def one_by_one(
    peer: Peer, instance: PeerInstance, config: RunConfig, kind: str = "ws"
) -> Iterator[Record]:
    """One event per POST, 64 users with a stream each, for each shape of event.

    At the maximum rate; some shapes at a fixed rate, too.
    """
    for shape in config.picked_shapes:
        with producing(peer, instance, kind, shape) as clients:
            phase = clients.phase(full_rate(clients, shape, config))
            yield rate(f"maximum rate, {shape.name}", phase, phase.posted, "events/s")
            if config.steady and shape.name in STEADY_SHAPES:
                phase = clients.phase(
                    partial(
                        post_at_fixed_rate,
                        clients.load,
                        clients.posters,
                        clients.lanes,
                        RATE,
                        config.steady,
                    )
                )
                yield phase.record() | {
                    "case": f"{RATE:.0f}/s, {shape.name}",
                    "latency_ms": milliseconds(clients.latencies(phase, RATE)),
                    "late_ms": milliseconds(phase.late),
                }


@contextmanager
def producing(
    peer: Peer, instance: PeerInstance, kind: str, shape: Shape, batch: int = 1
) -> Iterator[Clients]:
    """64 users with a stream each and warm producers of this shape."""
    with generator(instance.tls) as load:
        clients = Clients(load, peer, instance, instance.endpoints(USERS, True), kind)
        with closing(clients):
            clients.watch()
            clients.produce(batch=batch, shape=shape)
            wait_for_subscriptions(load)
            warm_up(clients)
            yield clients


def full_rate(clients: Clients, shape: Shape, config: RunConfig) -> Callable[[], Span]:
    """Post as fast as answers arrive: for the run's seconds, or as many as the shape allows."""
    if shape.posts is not None:
        return partial(post_count, clients.load, clients.posters, shape.posts)
    return partial(post_at_full_rate, clients.load, clients.posters, config.seconds)


def fan_out(peer: Peer, instance: PeerInstance, config: RunConfig) -> Iterator[Record]:
    """One user's events on many sockets."""
    for sockets in config.fans:
        with generator(instance.tls) as load:
            clients = Clients(load, peer, instance, instance.endpoints(1, True))
            with closing(clients):
                clients.watch(sockets)
                clients.produce(lanes_each=16)
                wait_for_subscriptions(load)
                warm_up(clients)
                phase = clients.phase(
                    partial(post_at_full_rate, load, clients.posters, config.seconds)
                )
                yield rate(f"{sockets} sockets", phase, phase.posted * sockets, "deliveries/s")


def idle(peer: Peer, instance: PeerInstance, config: RunConfig, kind: str) -> Iterator[Record]:
    """Idle streams: the memory of each, and how fast they open. At the end some are tested."""
    program = instance.program
    with generator(instance.tls) as load:
        clients = Clients(load, peer, instance, instance.endpoints(USERS, True), kind)
        with closing(clients):
            clients.watch()
            clients.produce()
            wait_for_subscriptions(load)
            warm_up(clients)  # so that one-time allocations do not count
            others = [
                Watcher(
                    load,
                    endpoint.port,
                    -1,
                    endpoint.stream_request(kind),
                    peer.greeting,
                    keep=False,
                    quiet=peer.quiet_clients,
                )
                for endpoint in instance.endpoints(config.idle, False)
            ]
            load.keep_reading(1)
            before = program.memory_kib()
            meter = program.meter()
            seconds = open_watchers(load, others)
            busy = meter.read()
            load.send_heartbeat()  # so that none is sent while they are idle
            load.keep_reading(1)
            after = program.memory_kib()
            meter = program.meter()
            load.keep_reading(config.idle_seconds)
            resting = meter.read()
            # no stream was closed, and the first ones still get their events
            gone = sum(watcher.ended for watcher in others)
            phase = clients.phase(partial(post_count, load, clients.posters, 1))
            for watcher in others:
                watcher.close()
            yield phase.record() | {
                "case": f"{config.idle} {'WebSockets' if kind == 'ws' else 'SSE streams'}",
                "kib_each": round((after - before) / config.idle, 1),
                "connects_per_second": round(config.idle / seconds),
                "idle_cpu": resting.server,
                "load": dataclasses.asdict(busy),
                "good": phase.good and not gone,
                "delivered": phase.verdict.good and not gone,
                **({"wrong": f"{gone} streams were closed"} if gone else {}),
            }


def batches(peer: Peer, instance: PeerInstance, config: RunConfig) -> Iterator[Record]:
    """Many events per POST, as NDJSON, for each shape that fits into one."""
    for size in config.batches:
        for shape in config.picked_shapes:
            if size * len(shape.event) > MAX_BATCH_BYTES:
                continue
            with producing(peer, instance, "ws", shape, batch=size) as clients:
                phase = clients.phase(full_rate(clients, shape, config))
                yield rate(f"{size} per POST, {shape.name}", phase, phase.posted, "events/s")


def reconnect_storm(peer: Peer, instance: PeerInstance, config: RunConfig) -> Iterator[Record]:
    """All users reconnect at once, each with `missed` events to catch up."""
    with generator(instance.tls) as load:
        clients = Clients(load, peer, instance, instance.endpoints(config.resumes, True))
        with closing(clients):
            batch = min(500, config.missed)
            clients.produce(batch=batch)
            post_count(load, clients.posters, config.missed // batch)

            def come_back() -> Span:
                began = clock()
                clients.watch(missed=True)
                return Span(began, clock())

            phase = clients.phase(come_back, stored=True)
            found = rate(f"{config.resumes} resumes", phase, phase.posted, "events/s")
            took = [
                watcher.arrival_time(len(watcher.data)) - phase.span.began
                for watcher in clients.watchers
            ]
            yield found | {"answer_ms": None, "caught_up_ms": milliseconds(took)}


def throughput(peer: Peer, instance: PeerInstance, config: RunConfig) -> Iterator[Record]:
    """One event per POST, and one user's events, both at the maximum rate."""
    yield from one_by_one(peer, instance, dataclasses.replace(config, steady=0.0))
    yield from fan_out(peer, instance, config)


def short(peer: Peer, instance: PeerInstance, config: RunConfig) -> Iterator[Record]:
    yield from throughput(
        peer,
        instance,
        dataclasses.replace(config, seconds=1.0, fans=(100,), shapes=("tidy", "many tasks")),
    )


def warm_up(clients: Clients) -> None:
    """Post without measuring, but verify the deliveries."""
    phase = clients.phase(partial(post_at_full_rate, clients.load, clients.posters, WARM_SECONDS))
    if not phase.verdict.good:
        raise RuntimeError(f"while warming up: {phase.record()['wrong']}")


def rate(case: str, phase: Phase, count: int, unit: str) -> Record:
    """A record of the rate from the first POST to the last arrival."""
    seconds = phase.ended - phase.span.began
    return phase.record() | {
        "case": case,
        "rate": round(count / seconds) if seconds > 0 else 0,
        "unit": unit,
        "seconds": round(seconds, 3),
        # the figure that a busy machine affects least
        "per_cpu_second": round(count / seconds / phase.load.server) if phase.load.server else 0,
    }
