"""Hold a connection to each node that has hash slots, and follow the slots where they move."""

import random
import re
import ssl
from typing import Protocol

import hiredis
import structlog
import trio

from relay.config.valkey_address import Node, ValkeyAddress, tls_context
from relay.observability import backplane_metrics
from relay.realtime.valkey.connection import NodeConnection, NodeListener
from relay.realtime.valkey.greeting import NodeAway, Reply, greeted
from relay.realtime.valkey.hash_slots import SLOTS
from relay.realtime.valkey.topology import Topology, look_up

START_SECONDS = 3.0  # for the first connections; the process serves without them then
CONNECT_TIMEOUT_SECONDS = 1.0  # for TCP and TLS, and for the greeting
LOOK_INTERVAL = 10.0  # seconds between two looks at the topology; a primary may be replaced unseen
LOOK_INTERVAL_AWAY = 0.5  # while a node or a slot is away
LOOK_INTERVAL_REFUSED = 2.0  # after a command was refused, and not because its slot has moved
MIN_LOOK_INTERVAL = 0.1  # seconds at least, however often a slot is refused
RETRY_SECONDS = 0.1, 2.0  # between two tries to connect, at first and at most
REPORT_INTERVAL = 60.0  # seconds between two log lines about refused commands
MAX_REASON = 200  # characters of an error in the log

_MOVED = re.compile(r"MOVED ([0-9]{1,5}) (.*):([0-9]{1,5})")

log = structlog.get_logger("relay.backplane")


class NodesListener(NodeListener, Protocol):
    """What the connections call, and what is called when they begin and end."""

    def on_up(self, connection: NodeConnection) -> None:
        """Use a new connection."""
        ...

    def on_lost(self, connection: NodeConnection) -> None:
        """Forget a connection."""
        ...

    def on_topology(self) -> None:
        """Look again where each slot is."""
        ...


class _Member:
    """A node as this process sees it."""

    __slots__ = ("connection", "node", "scope", "tried")

    def __init__(self, node: Node) -> None:
        self.node = node
        self.connection: NodeConnection | None = None
        self.scope = trio.CancelScope()
        self.tried = trio.Event()


class Nodes:
    """The connections, by slot, while `run` runs."""

    def __init__(self, address: ValkeyAddress, listener: NodesListener) -> None:
        self._address = address
        self._context: ssl.SSLContext | None = tls_context(address)
        self._listener = listener
        self._members: dict[Node, _Member] = {}
        self._owners: list[_Member | None] = [None] * SLOTS
        self._covered = False  # whether each slot has a node
        self._look_asked = trio.Event()
        self._rest = trio.CancelScope()  # until the next look
        self._refused = False
        self._looks = 0
        self._reported_at = -REPORT_INTERVAL
        self._nursery: trio.Nursery | None = None

    def connection_of(self, slot: int) -> NodeConnection | None:
        """The connection to the node that has this slot; None if there is none now."""
        member = self._owners[slot]
        return None if member is None else member.connection

    @property
    def connections(self) -> list[NodeConnection]:
        """Those that stand."""
        members = self._members.values()
        return [member.connection for member in members if member.connection is not None]

    @property
    def all_up(self) -> bool:
        """Whether each slot has a node and each node a connection."""
        return self._covered and all([member.connection for member in self._members.values()])

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Connect until cancelled. It counts as started after the first try, failed or not."""
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                with trio.move_on_after(START_SECONDS):
                    await self._look()
                    for member in list(self._members.values()):
                        await member.tried.wait()
                task_status.started()
                await self._follow_slots()
        finally:
            self._nursery = None
            self._count()

    async def _follow_slots(self) -> None:
        while True:
            interval = LOOK_INTERVAL if self.all_up else LOOK_INTERVAL_AWAY
            if self._refused:  # while the last look was under way
                interval = LOOK_INTERVAL_REFUSED
            with trio.move_on_after(interval) as self._rest:
                await self._look_asked.wait()
            await trio.sleep(MIN_LOOK_INTERVAL)
            self._look_asked = trio.Event()
            self._refused = False
            await self._look()

    def look_soon(self) -> None:
        """Find out soon where the slots are."""
        self._look_asked.set()

    def look_again(self) -> None:
        """Find out in some seconds: a command was refused, and not because its slot has moved."""
        self._refused = True
        due = trio.current_time() + LOOK_INTERVAL_REFUSED
        self._rest.deadline = min(self._rest.deadline, due)

    async def _look(self) -> None:
        """Ask one node after the other, until one knows; another one first each time."""
        up = [member.node for member in self._members.values() if member.connection is not None]
        self._looks += 1
        first = self._looks % max(1, len(up))
        for node in dict.fromkeys([*up[first:], *up[:first], *self._address.hosts]):
            try:
                self._apply(await look_up(self._address, self._context, node))
                return
            except NodeAway as error:
                reason = str(error)
        if not self._members and self._may_report():
            log.warning("valkey_away", error=reason[:MAX_REASON])

    def _apply(self, topology: Topology) -> None:
        for node in self._members.keys() - topology.ranges.keys():
            self._members.pop(node).scope.cancel()
        members = {node: self._member(node) for node in topology.ranges}
        owners = topology.owners()
        self._covered = None not in owners
        self._owners = [None if node is None else members[node] for node in owners]
        self._count()
        self._listener.on_topology()

    def _member(self, node: Node) -> _Member:
        member = self._members.get(node)
        if member is None:
            member = self._members[node] = _Member(node)
            assert self._nursery is not None
            self._nursery.start_soon(self._hold, member)
        return member

    async def _hold(self, member: _Member) -> None:
        """Connect to a node again and again, until it is no longer part of the cluster."""
        pause, outage = RETRY_SECONDS[0], False
        with member.scope:
            while True:
                try:
                    async with greeted(
                        *(self._address, self._context, member.node),
                        within=CONNECT_TIMEOUT_SECONDS,
                    ) as (exchange, _):
                        connection = NodeConnection(exchange, self._listener)
                        if outage:
                            backplane_metrics.reconnects.inc()
                            log.warning("valkey_node_back", node=str(member.node))
                        outage, began = False, trio.current_time()
                        reason = await self._use(member, connection)
                        if trio.current_time() - began > RETRY_SECONDS[1]:
                            pause = RETRY_SECONDS[0]
                except NodeAway as error:
                    reason = str(error)
                member.tried.set()
                if not outage:  # logged once for each outage
                    log.warning(
                        "valkey_node_away", node=str(member.node), error=reason[:MAX_REASON]
                    )
                outage = True
                self._count()
                self.look_soon()
                await trio.sleep(pause * random.uniform(0.5, 1.5))
                pause = min(pause * 2, RETRY_SECONDS[1])

    async def _use(self, member: _Member, connection: NodeConnection) -> str:
        """Use a connection until it is lost; returns why it was."""
        member.connection = connection
        try:
            self._listener.on_up(connection)
            member.tried.set()
            self._count()
            return await connection.run()
        finally:
            member.connection = None
            self._listener.on_lost(connection)

    def _count(self) -> None:
        members = list(self._members.values()) if self._nursery is not None else []
        up = sum([member.connection is not None for member in members])
        backplane_metrics.nodes.set(len(members))
        backplane_metrics.nodes_up.set(up)
        backplane_metrics.up.set(bool(members) and self.all_up)

    def redirect(
        self, connection: NodeConnection, message: bytes | None, error: hiredis.ReplyError
    ) -> None:
        """Send a message that was not accepted to the node that has its slot now, once."""
        slot = self.note_refusal(connection, error)
        other = None if slot is None else self.connection_of(slot)
        if message is not None and other is not None and other is not connection:
            other.send(message, _count_failure)
        else:
            backplane_metrics.send_failures.inc()

    def note_refusal(self, connection: NodeConnection, error: hiredis.ReplyError) -> int | None:
        """Learn from an error: the slot, if it has moved and is known to be elsewhere now."""
        moved = _MOVED.fullmatch(str(error))
        if moved is None or int(moved[1]) >= SLOTS or self._nursery is None:
            self.look_again()
            if self._may_report():
                reason = str(error)[:MAX_REASON]
                log.warning("valkey_refuses", node=str(connection.node), error=reason)
            return None
        self.look_soon()
        slot, host, port = int(moved[1]), moved[2] or connection.node.host, int(moved[3])
        self._owners[slot] = self._member(Node(host, port))
        return slot

    def _may_report(self) -> bool:
        """Whether no such warning was logged within a minute."""
        now = trio.current_time()
        due = now - self._reported_at >= REPORT_INTERVAL
        if due:
            self._reported_at = now
        return due


def _count_failure(reply: Reply) -> None:
    if isinstance(reply, hiredis.ReplyError):
        backplane_metrics.send_failures.inc()
