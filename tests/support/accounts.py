"""Users of a load, the answers they got, and what is wrong with them in the end."""

import itertools
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Reader:
    """One viewer that comes back with its cursor, and what it saw."""

    transport: str
    hops: bool  # changes its transport now and then by itself
    seen: list[tuple[int, str]] = field(default_factory=list)
    cursor: str | None = None
    ends: list[int | None] = field(default_factory=list)  # close codes, not by its own will
    refusals: list[int] = field(default_factory=list)

    @property
    def seq(self) -> int:
        return self.seen[-1][0] if self.seen else 0


@dataclass
class Account:
    """One user, its producers' book and its readers."""

    name: str
    user_id: str
    session: str
    hook: str
    sent: dict[str, Any] = field(default_factory=dict)  # event id -> payload
    acknowledged: dict[str, int | None] = field(default_factory=dict)  # event id -> seq
    spans: list[tuple[list[str], dict[str, Any]]] = field(default_factory=list)  # batches
    readers: list[Reader] = field(default_factory=list)

    @property
    def last_acknowledged(self) -> int:
        """The highest seq that an answer has named; 0 before the first."""
        batches = [receipt["last_seq"] for _, receipt in self.spans]
        return max(filter(None, [*self.acknowledged.values(), *batches]), default=0)


def book(account: Account, ids: list[str], receipt: dict[str, Any], *, doubtful: bool) -> list[str]:
    """Note that these events were acknowledged, and return what is wrong with the receipt.

    After a try without an answer it is `doubtful` whether they are new.
    """
    faults = []
    known = [event_id for event_id in ids if event_id in account.acknowledged]
    if len(ids) == 1:
        (event_id,) = ids
        first = account.acknowledged.get(event_id)
        if receipt["id"] != event_id:
            faults.append(f"{event_id} was acknowledged as {receipt['id']}")
        if known and not receipt["duplicate"]:
            faults.append(f"{event_id} was acknowledged twice as new")
        if first is not None and receipt["seq"] != first:
            faults.append(f"{event_id} was {first} and is {receipt['seq']}")
        if receipt["duplicate"] and not known and not doubtful:
            faults.append(f"{event_id}: a first try was called a duplicate")
        account.acknowledged[event_id] = receipt["seq"]
        return faults
    if receipt["accepted"] + receipt["duplicates"] != len(ids):
        faults.append(f"{ids}: neither new nor known, {receipt}")
    if receipt["duplicates"] not in ((0, len(ids)) if doubtful else (0,)):
        faults.append(f"{ids}: half stored, {receipt}")
    account.spans.append((ids, receipt))
    for event_id in ids:
        account.acknowledged.setdefault(event_id, None)
    return faults


def _breaks(numbers: list[int]) -> list[tuple[int, int]]:
    return [(a, b) for a, b in itertools.pairwise(numbers) if b != a + 1][:10]


def reckon(account: Account, stored: list[dict[str, Any]]) -> list[str]:
    """What is wrong with what one user has in the end, against all answers."""
    faults = []
    owner = account.name
    seqs = [event["seq"] for event in stored]
    if seqs != list(range(1, len(seqs) + 1)):
        faults.append(f"{owner}: seqs are not 1, 2, 3 …: {_breaks(seqs)}")
    by_id: dict[str, int] = {}
    for event in stored:
        if event["id"] in by_id:
            faults.append(f"{owner}: {event['id']} is stored twice")
        if event["payload"] != account.sent.get(event["id"]):
            faults.append(f"{owner}: {event['id']} is stored with another payload, or not its own")
        by_id[event["id"]] = event["seq"]
    for event_id, seq in account.acknowledged.items():
        if event_id not in by_id:
            faults.append(f"{owner}: LOST, acknowledged and not stored: {event_id} ({seq})")
        elif seq is not None and by_id[event_id] != seq:
            faults.append(f"{owner}: {event_id} was acknowledged as {seq} and is {by_id[event_id]}")
    for ids, receipt in account.spans:
        found = [by_id.get(event_id) for event_id in ids]
        if None not in found and found != sorted(found, key=lambda seq: seq or 0):
            faults.append(f"{owner}: a batch out of order: {found}")
        if receipt["first_seq"] is not None and (found[0], found[-1]) != (
            receipt["first_seq"],
            receipt["last_seq"],
        ):
            faults.append(f"{owner}: a batch was acknowledged as {receipt} and is {found}")
    # a producer posts one after the other: its own order must be the stream's
    by_producer: dict[str, list[int]] = {}
    for event in stored:
        _, producer, number = event["id"].split(":")
        by_producer.setdefault(producer, []).append(int(number))
    for producer, numbers in by_producer.items():
        if numbers != sorted(numbers):
            faults.append(f"{owner}: {producer}'s events are out of order: {_breaks(numbers)}")
    truth = [(event["seq"], event["id"]) for event in stored]
    faults += [
        f"{owner}: a reader ({reader.transport}) saw something else than what is stored"
        for reader in account.readers
        if reader.seen[: len(truth)] != truth[: len(reader.seen)]
    ]
    return faults


@dataclass
class Attempt:
    """One post and what became of it; `status` is None where the connection was lost."""

    ended: bool = False
    status: int | None = None
