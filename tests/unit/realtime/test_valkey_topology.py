"""Which node has which slots, as nodes describe it."""

from typing import Any

import pytest

from relay.config.valkey_address import Node
from relay.realtime.valkey.greeting import NodeAway
from relay.realtime.valkey.hash_slots import SLOTS, slot_of
from relay.realtime.valkey.topology import Topology, ranges_of

ASKED = Node("asked", 7000)


def node(
    port: int, role: str = "master", health: str = "online", **more: object
) -> dict[bytes, Any]:
    fields: dict[str, object] = {"port": port, "role": role.encode(), "health": health.encode()}
    fields |= {"endpoint": b"10.0.0.1", **more}
    return {name.replace("_", "-").encode(): value for name, value in fields.items()}


def shard(*slots: int, nodes: list[dict[bytes, Any]]) -> dict[bytes, Any]:
    return {b"slots": list(slots), b"nodes": nodes}


@pytest.mark.parametrize(
    ("tag", "slot"), [(b"123456789", 12_739), (b"foo", 12_182), (b"", 0), (b"bar", 5_061)]
)
def test_slots_are_those_of_the_specification(tag: bytes, slot: int) -> None:
    assert slot_of(tag) == slot


def test_the_primary_that_is_online_has_the_slots_of_its_shard() -> None:
    shards = [
        shard(0, 99, 200, 299, nodes=[node(1, "replica"), node(2, health="fail"), node(3)]),
        shard(100, 199, nodes=[node(4, health="fail"), node(5, "replica")]),  # not replaced yet
        shard(300, 399, nodes=[node(6, "replica")]),
        shard(nodes=[node(7)]),
    ]
    ranges = ranges_of(shards, asked=ASKED, tls=False)
    three, four = Node("10.0.0.1", 3), Node("10.0.0.1", 4)
    assert ranges == {three: [(0, 99), (200, 299)], four: [(100, 199)]}
    owners = Topology(ranges).owners()
    assert len(owners) == SLOTS
    assert (owners[0], owners[100], owners[299], owners[300]) == (three, four, three, None)


@pytest.mark.parametrize(
    ("tls", "described", "found"),
    [
        (False, node(1, endpoint=b"one.example"), Node("one.example", 1)),
        (False, node(1, endpoint=b"?"), Node("asked", 1)),
        (False, node(1, endpoint=None), Node("asked", 1)),
        (True, node(1, tls_port=2), Node("10.0.0.1", 2)),
        (False, node(1, tls_port=2), Node("10.0.0.1", 1)),
        (False, node(1, endpoint=b"::1"), Node("::1", 1)),
    ],
)
def test_a_node_is_reached_as_it_asks_for(
    tls: bool, described: dict[bytes, Any], found: Node
) -> None:
    assert list(ranges_of([shard(0, 9, nodes=[described])], asked=ASKED, tls=tls)) == [found]


@pytest.mark.parametrize(
    "reply",
    [
        b"OK",
        [b"shard"],
        [{b"slots": [0, 9]}],
        [shard(0, nodes=[node(1)])],
        [shard(9, 0, nodes=[node(1)])],
        [shard(0, SLOTS, nodes=[node(1)])],
        [shard(0, 1, nodes=[{b"role": b"master"}])],
        [shard(n, n, nodes=[node(n + 1)]) for n in range(1_001)],
    ],
    ids=lambda reply: str(reply)[:30],
)
def test_an_odd_description_is_refused(reply: object) -> None:
    with pytest.raises(NodeAway):
        ranges_of(reply, asked=ASKED, tls=False)
