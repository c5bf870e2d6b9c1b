"""Find out which node has which hash slots: of a cluster, or one server that has all of them."""

import ssl
from collections.abc import Mapping, Sequence

import msgspec

from relay.config.valkey_address import Node, ValkeyAddress
from relay.realtime.valkey.greeting import NodeAway, Reply, greeted
from relay.realtime.valkey.hash_slots import SLOTS

LOOK_TIMEOUT_SECONDS = 1.0  # for one node's answer
MAX_NODES = 1_000  # with slots: what the specification of the cluster recommends at most


class Topology(msgspec.Struct, frozen=True):
    """Ranges of slots, the last one included, by the node that has them."""

    ranges: Mapping[Node, Sequence[tuple[int, int]]]

    def owners(self) -> list[Node | None]:
        """The node of each slot."""
        owners: list[Node | None] = [None] * SLOTS
        for node, ranges in self.ranges.items():
            for first, last in ranges:
                owners[first : last + 1] = [node] * (last + 1 - first)
        return owners


async def look_up(address: ValkeyAddress, context: ssl.SSLContext | None, node: Node) -> Topology:
    """Ask a node. Raises NodeAway if it does not know, or is a replica of a single server."""
    async with greeted(address, context, node, within=LOOK_TIMEOUT_SECONDS) as (exchange, hello):
        if hello.get(b"mode") != b"cluster":
            if hello.get(b"role") != b"master":
                raise NodeAway("it is a replica")
            return Topology({node: [(0, SLOTS - 1)]})
        shards = await exchange.ask_within(LOOK_TIMEOUT_SECONDS, b"CLUSTER", b"SHARDS")
    return Topology(ranges_of(shards, asked=node, tls=address.tls))


def ranges_of(shards: Reply, *, asked: Node, tls: bool) -> dict[Node, list[tuple[int, int]]]:
    """Read the reply to CLUSTER SHARDS: of each shard its slots and its nodes."""
    found: dict[Node, list[tuple[int, int]]] = {}
    try:
        for shard in shards:
            bounds = [int(bound) for bound in shard[b"slots"]]
            primary = _primary(shard[b"nodes"], asked=asked, tls=tls)
            if primary is not None and bounds:
                pairs = zip(bounds[::2], bounds[1::2], strict=True)
                found.setdefault(primary, []).extend(pairs)
    except (KeyError, TypeError, ValueError):
        raise NodeAway("it describes its cluster in an unknown form") from None
    if len(found) > MAX_NODES:
        raise NodeAway("its cluster has too many nodes")
    if any([not 0 <= low <= high < SLOTS for pairs in found.values() for low, high in pairs]):
        raise NodeAway("it describes its cluster in an unknown form")
    return found


def _primary(nodes: Reply, *, asked: Node, tls: bool) -> Node | None:
    """The address of a shard's primary. While another one is elected there may be two or none."""
    primaries = [node for node in nodes if node[b"role"] == b"master"]
    healthy = [node for node in primaries if node.get(b"health") == b"online"]
    for node in healthy or primaries:
        port = node.get(b"tls-port" if tls else b"port") or node.get(b"port")
        name = node.get(b"endpoint") or b"?"  # "?": the node does not know how it is reached
        host = asked.host if name == b"?" else name.decode()
        return Node(host, int(port))
    return None
