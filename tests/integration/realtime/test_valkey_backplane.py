"""What only the backplane over a Valkey has: nodes that come and go, and slots that move."""

import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from uuid import UUID, uuid4

import pytest
import trio

from relay.realtime.valkey import backplane as valkey_backplane
from relay.realtime.valkey import connection, nodes, processes, stream_counts
from relay.realtime.valkey.hash_slots import SLOTS, slot_of
from relay.realtime.valkey.names import Names
from relay.realtime.wait import Wait
from tests.support.backplanes import (
    Join,
    Member,
    by_valkey,
    heard_only_while_read,
    kept_alive,
    member_of,
    met,
    without_pauses,
)
from tests.support.patience import eventually
from tests.support.tcp_proxy import TcpProxy, proxied
from tests.support.valkey_servers import Cluster, Server, started


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    without_pauses(monkeypatch)
    kept_alive(monkeypatch)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A single server of the test's own."""
    server = Server("valkey", tmp_path)
    with started(server):
        yield server


@pytest.fixture
def join(valkey_cluster_url: str) -> Join:
    return by_valkey(valkey_cluster_url)


def users_by_node(count: int = 3) -> list[UUID]:
    """Users that are on as many nodes of a cluster."""
    found: dict[int, UUID] = {}
    while len(found) < count:
        user_id = uuid4()
        found[slot_of(str(user_id).encode()) * count // SLOTS] = user_id
    return [found[node] for node in range(count)]


async def heard_again(one: Member, two: Member, user_id: UUID, *, after: int) -> None:
    """What is announced once the channel stands again is heard, each once at most and in order."""
    seq = after

    def heard() -> bool:
        nonlocal seq
        seq += 1
        one.announce(user_id, seq)
        return bool(two.heard_of(user_id)) and two.heard_of(user_id)[-1] > after

    await eventually(heard)
    assert two.heard_of(user_id) == sorted(set(two.heard_of(user_id)))


async def test_users_of_a_node_are_looked_up_after_its_connection_was_cut(
    join: Join, valkey_cluster: Cluster
) -> None:
    users = users_by_node()
    async with join() as one, join() as two, two.attending(*users):
        await met(one, two)
        for seq, node in enumerate(valkey_cluster.servers, 1):
            two.missed.clear()
            node.cut_all()
            await eventually(lambda: two.missed == [users[seq - 1]])  # noqa: B023
            for user_id in users:
                await heard_again(one, two, user_id, after=seq * 1_000_000)
        assert set(two.missed) <= {users[-1]}


async def test_a_slot_that_moves_is_followed_by_those_that_send_and_those_that_hear(
    join: Join, valkey_cluster: Cluster
) -> None:
    me, you = users_by_node(2)
    slot = slot_of(str(me).encode())
    old = valkey_cluster.owner_of(slot)
    new = next(server for server in valkey_cluster.servers if server is not old)
    async with join() as one, join() as two, two.attending(me, you):
        await met(one, two)
        for target in (new, old):
            two.missed.clear()
            valkey_cluster.move(slot, target)
            one.announce(me, 1)  # goes to the node that had it, which names the other one
            await eventually(lambda: set(two.missed) == {me})
            last = max(two.heard_of(me), default=1)
            one.announce(me, last + 1)
            await eventually(lambda: two.heard_of(me)[-1:] == [last + 1])  # noqa: B023
            async with two.attending(me):  # and those that come later
                pass


async def test_the_users_of_a_primary_that_dies_go_on_with_its_replica(tmp_path: Path) -> None:
    cluster = Cluster("valkey", tmp_path, replicas=1, node_timeout=2_000)
    users = users_by_node()
    with started(cluster):
        join = by_valkey(cluster.url)
        async with join() as one, join() as two, two.attending(*users):
            await met(one, two)
            two.missed.clear()
            await trio.to_thread.run_sync(cluster.servers[0].end)
            one.announce(users[1], 1)
            one.announce(users[2], 1)  # the others notice nothing
            await eventually(lambda: two.heard_of(users[1]) == two.heard_of(users[2]) == [1])
            await eventually(lambda: users[0] in two.missed)
            await heard_again(one, two, users[0], after=1)
            await met(two, one)


class Swallowing(TcpProxy):
    """A way to a server on which, from some moment on, nothing comes through and nothing ends."""

    def __init__(self, server: Server) -> None:
        super().__init__(partial(trio.open_tcp_stream, "127.0.0.1", server.port))
        self.swallows = False

    async def forward(self, client: trio.SocketStream, server: trio.SocketStream) -> None:
        while data := await client.receive_some(65_536):
            if not self.swallows:
                await server.send_all(data)


async def test_a_connection_on_which_nothing_arrives_is_replaced(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    me = uuid4()
    monkeypatch.setattr(connection, "PING_INTERVAL", 0.05)
    monkeypatch.setattr(connection, "ANSWER_SECONDS", 1.0)
    monkeypatch.setattr(nodes, "CONNECT_TIMEOUT_SECONDS", 1.0)
    way = Swallowing(server)
    async with (
        proxied(way),
        member_of(server.url) as one,
        member_of(f"valkey://127.0.0.1:{way.port}") as two,
        two.attending(me),
    ):
        await met(one, two)
        two.missed.clear()
        way.swallows = True
        await eventually(lambda: two.backplane._nodes.connection_of(0) is None)  # type: ignore[attr-defined]
        way.swallows = False
        await eventually(lambda: me in two.missed and two.everything > 1)
        await heard_again(one, two, me, after=1)


async def test_a_server_that_stops_and_continues_is_used_again(server: Server) -> None:
    me = uuid4()
    async with member_of(server.url) as one, member_of(server.url) as two, two.attending(me):
        await met(one, two)
        server.signal(signal.SIGSTOP)
        one.announce(me, 1)
        server.signal(signal.SIGCONT)
        await eventually(lambda: two.heard_of(me) == [1])
        await trio.to_thread.run_sync(server.end)
        async with member_of(server.url) as late, late.attending(me):  # it starts all the same
            assert late.everything == 0
            one.announce(me, 2)  # lost
            server.start()
            await eventually(lambda: me in late.missed and late.everything > 0)
            await heard_again(one, late, me, after=2)
            await heard_again(one, two, me, after=1_000_000)


async def test_the_numbers_of_processes_that_are_gone_do_not_stay_there(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (processes, stream_counts):
        monkeypatch.setattr(module, "GONE_SECONDS", 0.0)
    monkeypatch.setattr(valkey_backplane, "UNKNOWN_SECONDS", 0.0)
    me = uuid4()
    key = Names("relay").of_user(me).streams.decode()
    killed = "the killed one's"  # sixteen bytes, as each process's id
    async with member_of(server.url) as one:

        def sees(streams: int) -> bool:
            """Whether it sees so many, each on a process of its own, and no more are stored."""
            return one.backplane.watchers(me) == streams == server.ask("HLEN", key)

        async with member_of(server.url) as two:
            await met(two, one)
            async with two.attending(me):
                await eventually(lambda: sees(1))
                server.ask("HSET", key, killed, 1)
                await eventually(lambda: sees(1))
        await eventually(lambda: sees(0))


async def test_channels_are_left_some_time_after_their_last_reader(
    join: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(valkey_backplane, "LEAVE_INTERVAL", 0.05)
    monkeypatch.setattr(valkey_backplane, "LEAVE_SECONDS", 0.0)
    me, you = users_by_node(2)
    async with join() as one, join() as two:
        await met(one, two)
        subscriptions = two.backplane._subscriptions  # type: ignore[attr-defined]
        async with two.attending(you):
            async with two.attending(me):
                assert len(subscriptions.channels) == 3
            await eventually(lambda: len(subscriptions.channels) == 2)
            # what comes before the node has unsubscribed it is passed over, too
            await heard_only_while_read(one, two, me, you)


async def test_what_waits_too_long_is_announced_by_its_position_and_then_as_everything(
    join: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    me = uuid4()
    async with join() as one, join() as two, two.attending(me):
        await met(one, two)
        looked = two.everything
        monkeypatch.setattr(valkey_backplane, "MAX_WAITING_BYTES", 0)
        one.announce(me, 1, 2)
        await eventually(lambda: two.position_of(me) == 2)
        assert (two.heard_of(me), two.everything) == ([], looked)
        of_one = one.backplane._nodes  # type: ignore[attr-defined]
        await eventually(lambda: not any([each.waiting for each in of_one.connections]))
        monkeypatch.setattr(valkey_backplane, "MOST_WAITING_BYTES", 1)
        for seq in range(3, 100):  # while the first is on its way
            one.announce(me, seq)
        await eventually(lambda: two.everything == looked + 1)
        assert two.position_of(me) == 3


async def test_a_channel_is_kept_while_a_call_of_its_user_waits(
    join: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(valkey_backplane, "LEAVE_INTERVAL", 0.05)
    monkeypatch.setattr(valkey_backplane, "LEAVE_SECONDS", 0.0)
    me, you = users_by_node(2)
    async with join() as one:
        subscriptions = one.backplane._subscriptions  # type: ignore[attr-defined]
        hub = one.backplane._hub  # type: ignore[attr-defined]
        call, whose = Wait(), (me, uuid4(), "here")
        hub.begin_wait(call, *whose)
        for user_id in (me, you):
            await one.backplane.attend(user_id)
        await eventually(lambda: len(subscriptions.channels) == 2)  # its own, and that of all
        hub.end_wait(call, *whose)
        await eventually(lambda: len(subscriptions.channels) == 1)
