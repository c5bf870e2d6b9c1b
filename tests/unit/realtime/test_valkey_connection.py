"""A connection to a node: replies find their commands, and silence is noticed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import hiredis
import pytest
import trio
from trio.testing import MockClock, memory_stream_pair, wait_all_tasks_blocked

from relay.config.valkey_address import Node
from relay.realtime.valkey.connection import NodeConnection
from relay.realtime.valkey.greeting import MAX_REPLY_BYTES, Exchange, pack

NODE = Node("127.0.0.1", 6379)


class Heard:
    """What a connection calls, in its order."""

    def __init__(self) -> None:
        self.calls: list[object] = []

    def on_message(self, channel: bytes, payload: bytes) -> None:
        self.calls.append((channel, payload))

    def on_unsubscribed(self, connection: NodeConnection, channel: bytes) -> None:
        self.calls.append(f"unsubscribed {channel.decode()}")

    def on_refused(
        self, connection: NodeConnection, message: bytes | None, error: hiredis.ReplyError
    ) -> None:
        self.calls.append((message, str(error)))

    def on_pause(self) -> None:
        pass


class Peer:
    """The connection, its node's end, and why it ended."""

    def __init__(self) -> None:
        ours, self.theirs = memory_stream_pair()
        self.heard = Heard()
        self.connection = NodeConnection(Exchange(ours, NODE), self.heard)
        self.reason = ""

    async def run(self) -> None:
        self.reason = await self.connection.run()

    async def replies(self, *parts: bytes) -> None:
        await self.theirs.send_all(b"".join(part + b"\r\n" for part in parts))
        await wait_all_tasks_blocked()


@asynccontextmanager
async def connected() -> AsyncIterator[Peer]:
    peer = Peer()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(peer.run)
        yield peer
        nursery.cancel_scope.cancel()


def subscribed(channel: bytes, kind: bytes = b"ssubscribe") -> bytes:
    parts = b"\r\n".join(b"$%d\r\n%s" % (len(part), part) for part in (kind, channel))
    return b">3\r\n" + parts + b"\r\n:1"


async def test_replies_find_their_commands_past_messages_and_errors(
    mock_clock: MockClock,
) -> None:
    async with connected() as peer:
        connection, calls = peer.connection, peer.heard.calls
        first, second = pack(b"SPUBLISH", b"a", b"1"), pack(b"SPUBLISH", b"b", b"2")
        connection.publish(first)
        connection.subscribe(b"c", lambda reply: calls.append(("c", type(reply).__name__)))
        connection.publish(second)
        connection.subscribe(b"d", lambda reply: calls.append(("d", str(reply))))
        connection.send(pack(b"HGETALL", b"e"), lambda reply: calls.append(reply))
        assert connection.waiting == len(first) + len(second)
        await peer.replies(
            b":0",
            b">3\r\n$8\r\nsmessage\r\n$1\r\nz\r\n$4\r\nnews",
            subscribed(b"c"),
            b"-MOVED 3 127.0.0.1:6380",
            b"-CLUSTERDOWN Hash slot not served",
            b"%1\r\n$1\r\nk\r\n$1\r\nv",
        )
        assert calls == [
            (b"z", b"news"),
            ("c", "PushNotification"),
            (second, "MOVED 3 127.0.0.1:6380"),
            ("d", "CLUSTERDOWN Hash slot not served"),
            {b"k": b"v"},
        ]
        assert connection.waiting == 0
        assert peer.reason == ""


@pytest.mark.parametrize("reply", [subscribed(b"a", b"sunsubscribe"), b"-MOVED 1 127.0.0.1:1"])
async def test_leaving_a_channel_misplaces_no_reply(reply: bytes, mock_clock: MockClock) -> None:
    """It has a reply only where it is refused, and the slot may move at the same moment."""
    async with connected() as peer:
        peer.connection.unsubscribe(b"a")
        lost = pack(b"SPUBLISH", b"b", b"2")
        peer.connection.publish(lost)
        await peer.replies(subscribed(b"a", b"sunsubscribe"), reply, b"+PONG", b"-MOVED 2 :6380")
        assert peer.heard.calls[-1] == (lost, "MOVED 2 :6380")
        assert peer.connection.waiting == 0


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"+OK\r\n", "it replied to nothing"),
        (b"what is this?\r\n", "Protocol error"),
        (b"$%d\r\n" % 2**30 + b"x" * (MAX_REPLY_BYTES + 70_000), "it sent too large a reply"),
        (b"", "it closed the connection"),
    ],
    ids=lambda value: str(value[:20]),
)
async def test_a_connection_that_makes_no_sense_ends(
    sent: bytes, reason: str, mock_clock: MockClock
) -> None:
    peer = Peer()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(peer.run)
        if sent:
            await peer.theirs.send_all(sent)
        else:
            await peer.theirs.send_stream.aclose()
    assert peer.reason.startswith(reason)


async def test_silence_is_noticed_within_two_seconds(autojump_clock: MockClock) -> None:
    peer, began = Peer(), trio.current_time()
    await peer.run()
    assert peer.reason == "no answer"
    assert trio.current_time() - began < 2.01


async def test_a_node_that_answers_pings_is_kept(autojump_clock: MockClock) -> None:
    async with connected() as peer:
        for _ in range(100):
            received = await peer.theirs.receive_some()
            assert received == pack(b"PING")
            await peer.theirs.send_all(b"+PONG\r\n")
        assert peer.reason == ""
