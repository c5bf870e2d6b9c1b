"""Calculate what of a fleet is full first.

    python -m bench.capacity --events 2000 --streams 40000 --hosts 2
    python -m bench.capacity --events 100000 --per-post 5 --streams 100000 \
        --hosts 10 --workers 6 --backplane valkey --databases 8

Nothing is measured here: the costs are figures of the benches, named beside each, and the load and
the fleet are the options. For each resource it prints what the load takes, what the fleet has, and
the share; then the highest rate of events that the fleet takes. What gets slower as it fills counts
as full at `--limit`, what is counted (streams, connections) at 100 %.
Posts are spread evenly over processes and users, and so are readers.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace

# -- CPU of Relay, seconds; performance.md

A_POST = 354e-6  # W1 and W4: 2 710 single events a second on a core, 45 500 in fifties,
AN_EVENT = 15e-6  # so a post and each event in it
A_DELIVERY = 4.4e-6  # W2: 227 000 deliveries a second to 100 sockets
HEARD_AND_READ = 50e-6  # W9 at most: an event of another process, to its reader
HEARD_IN_VAIN = 17e-6  # W9 at most, before buckets: an event of another process without a reader
A_PROCESS = 2.8e-3  # W9: of each second, polls and presence
A_MESSAGE = 18.4e-6  # ADR 94: an event over a Valkey, announced 11.0 us and heard 7.4 us

# -- CPU of Postgres, seconds

A_COMMIT = 138e-6  # a transaction that stores one event takes 160 us, 22 us more for each further
A_ROW = 22e-6
A_WAKE = 23e-6  # ADR 92: a notification, in each connection that listens to other channels
A_LOOK = 1e-6  # of each stream each second: how far its user's log has grown

# -- memory, disk and connections

PROCESS_BYTES = 80e6
STREAM_BYTES = 24.5 * 1024  # ADR 118
ROW_BYTES = 260  # beside the payload, with indexes; retention.md
DEAD_SHARE = 1.33  # what vacuum has not reclaimed
LOG_BYTES = 600  # of Postgres' log, beside the payload
GATHERING = 2e-3  # seconds of posts that one commit stores, while the one before is flushed
BUCKETS = 1024  # channels of users
STREAMS = 10_000  # of a process, RELAY_MAX_CONNECTIONS
CONNECTIONS = 14  # of a process to each database
SECONDS_OF_A_DAY = 86_400


@dataclass(frozen=True)
class Load:
    """What people and programs do, a second where nothing else is stated."""

    events: float = 500
    per_post: float = 1
    payload: float = 300  # bytes
    streams: float = 5_000
    readers: float = 1  # streams that an event is delivered to
    average: float = 0.1  # of a day's rate, as a share of `events`
    days: float = 7  # that events are kept


@dataclass(frozen=True)
class Fleet:
    """What there is; of each host or database server."""

    hosts: int = 1
    workers: int = 2
    memory_gb: float = 4
    backplane: str = "postgres"
    databases: int = 1
    database_cores: float = 4
    database_flushes: float = 7_000  # a second; performance.md names the measured disk
    database_log_mb: float = 200  # megabytes a second that its disk writes
    database_disk_gb: float = 500
    database_connections: int = 500

    @property
    def processes(self) -> int:
        return self.hosts * self.workers


@dataclass(frozen=True)
class Share:
    """How much of a resource a load takes."""

    resource: str
    unit: str
    needed: float
    there: float
    is_counted: bool = False  # all of it can be used

    @property
    def share(self) -> float:
        return self.needed / self.there

    def is_full(self, limit: float) -> bool:
        return self.share > (1 if self.is_counted else limit)


def shares(load: Load, fleet: Fleet) -> list[Share]:
    """The resources, the fullest first."""
    found = (*of_relay(load, fleet), *of_databases(load, fleet))
    return sorted(found, key=lambda one: one.share, reverse=True)


def full(load: Load, fleet: Fleet, limit: float) -> list[str]:
    """The resources of which the load takes too much, the fullest first."""
    return [one.resource for one in shares(load, fleet) if one.is_full(limit)]


def commits(load: Load, fleet: Fleet) -> float:
    """Transactions a second of all processes."""
    by_one = load.events / fleet.processes / fleet.databases
    gathered = max(load.per_post, by_one * GATHERING)
    return load.events / gathered


def heard(load: Load, fleet: Fleet) -> float:
    """The share of other processes' events that a process hears, through the buckets it reads."""
    return float(1 - (1 - 1 / BUCKETS) ** (load.streams / fleet.processes))


def of_relay(load: Load, fleet: Fleet) -> Iterator[Share]:
    cpu = load.events / load.per_post * A_POST + load.events * AN_EVENT
    cpu += load.events * load.readers * A_DELIVERY + fleet.processes * A_PROCESS
    others = fleet.processes - 1
    read_elsewhere = min(load.readers, fleet.processes) * others / fleet.processes
    if others and fleet.backplane == "valkey":
        cpu += load.events * read_elsewhere * (A_MESSAGE + A_DELIVERY)
    elif others:
        cpu += load.events * read_elsewhere * HEARD_AND_READ
        in_vain = max(0.0, others * heard(load, fleet) - read_elsewhere)
        cpu += load.events * in_vain * HEARD_IN_VAIN
    yield Share("Relay's CPU", "cores", cpu, fleet.processes)
    memory = fleet.processes * PROCESS_BYTES + load.streams * STREAM_BYTES
    yield Share("Relay's memory", "GB", memory / 1e9, fleet.hosts * fleet.memory_gb)
    yield Share("streams of a process", "", load.streams / fleet.processes, STREAMS, True)


def of_databases(load: Load, fleet: Fleet) -> Iterator[Share]:
    transactions = commits(load, fleet)
    cpu = transactions * A_COMMIT + load.events * A_ROW + load.streams * A_LOOK
    if fleet.processes > 1 and fleet.backplane == "postgres":
        cpu += transactions * (fleet.processes - 1) * A_WAKE
    there = fleet.databases
    yield Share("Postgres' CPU", "cores", cpu, there * fleet.database_cores)
    yield Share("Postgres' flushes", "/s", transactions, there * fleet.database_flushes)
    log = load.events * (load.payload + LOG_BYTES) / 1e6
    yield Share("Postgres' log", "MB/s", log, there * fleet.database_log_mb)
    kept = load.events * load.average * SECONDS_OF_A_DAY * load.days
    disk = kept * (load.payload + ROW_BYTES) * DEAD_SHARE / 1e9
    yield Share("Postgres' disk", "GB", disk, there * fleet.database_disk_gb)
    connections = (fleet.processes + fleet.hosts) * CONNECTIONS + 8
    yield Share("connections of a database", "", connections, fleet.database_connections, True)


def most_events(load: Load, fleet: Fleet, limit: float) -> tuple[float, str]:
    """The highest rate of events that the fleet takes, to a thousandth, and what is full above it.

    The rate is 0 where the streams alone take too much.
    """

    def above(events: float) -> list[str]:
        return full(replace(load, events=events), fleet, limit)

    if found := above(0):
        return 0.0, found[0]
    low, high = 0.0, 1.0
    while not above(high):
        low, high = high, high * 2
    while high - low > high / 1_000:
        middle = (low + high) / 2
        low, high = (low, middle) if above(middle) else (middle, high)
    return low, above(high)[0]


def number(value: float) -> str:
    """Three significant digits, thousands apart."""
    if value >= 100:
        return f"{float(f'{value:.3g}'):,.0f}".replace(",", " ")
    return f"{value:.3g}"


def report(load: Load, fleet: Fleet, limit: float) -> str:
    """A table in Markdown, the fullest resource first, and the highest rate."""
    lines = ["| resource | needed | there | share |", "|---|---:|---:|---:|"]
    for one in shares(load, fleet):
        unit = f" {one.unit}" if one.unit else ""
        needed, there = (f"{number(value)}{unit}" for value in (one.needed, one.there))
        lines.append(f"| {one.resource} | {needed} | {there} | {one.share:.0%} |")
    most, first = most_events(load, fleet, limit)
    lines += ["", f"The fleet takes {number(most)} events/s; above that, full is: {first}."]
    return "\n".join(lines)


def arguments(given: Sequence[str]) -> tuple[Load, Fleet, float]:
    """Raises SystemExit with a line on stderr if a value is invalid."""
    text = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        prog="python -m bench.capacity",
        description=text[0] + text[2],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for group in (Load, Fleet):
        for field in fields(group):
            option = "--" + field.name.replace("_", "-")
            if field.name == "backplane":
                parser.add_argument(option, choices=("postgres", "valkey"), default=field.default)
            else:
                kind = (
                    positive_integer
                    if isinstance(field.default, int) and group is Fleet
                    else positive
                )
                parser.add_argument(option, type=kind, default=field.default, metavar="N")
    parser.add_argument("--limit", type=positive, default=0.6, metavar="SHARE")
    options = vars(parser.parse_args(given))
    limit = options.pop("limit")
    of_load = {field.name: options.pop(field.name) for field in fields(Load)}
    return Load(**of_load), Fleet(**options), limit


def positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value


def positive_integer(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return value


if __name__ == "__main__":
    print(report(*arguments(sys.argv[1:])))
