"""A connection to a node: replies find their commands, and silence is noticed."""

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from relay.realtime.valkey.connection import PING_INTERVAL
from relay.realtime.valkey.greeting import MAX_REPLY_BYTES, pack
from tests.support.socket_pairs import SocketPair
from tests.support.valkey_peer import Peer, connected


def subscribed(channel: bytes, kind: bytes = b"ssubscribe") -> bytes:
    parts = b"\r\n".join(b"$%d\r\n%s" % (len(part), part) for part in (kind, channel))
    return b">3\r\n" + parts + b"\r\n:1"


async def test_replies_find_their_commands_past_messages_and_errors(
    pair: SocketPair, mock_clock: MockClock
) -> None:
    async with connected(pair) as peer:
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
async def test_leaving_a_channel_misplaces_no_reply(
    reply: bytes, pair: SocketPair, mock_clock: MockClock
) -> None:
    """It has a reply only where it is refused, and the slot may move at the same moment."""
    async with connected(pair) as peer:
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
    sent: bytes, reason: str, pair: SocketPair, mock_clock: MockClock
) -> None:
    peer = Peer(pair)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(peer.run)
        if sent:
            await peer.theirs.send_all(sent)
        else:
            await peer.theirs.aclose()
    assert peer.reason.startswith(reason)


async def test_silence_is_noticed_within_two_seconds(
    pair: SocketPair, autojump_clock: MockClock
) -> None:
    peer, began = Peer(pair), trio.current_time()
    await peer.run()
    assert peer.reason == "no answer"
    assert trio.current_time() - began < 2.01


async def test_a_node_that_answers_pings_is_kept(pair: SocketPair, mock_clock: MockClock) -> None:
    """The clock stands still while bytes are under way: a busy kernel takes its time for them."""
    async with connected(pair) as peer:
        for _ in range(100):
            await wait_all_tasks_blocked()
            mock_clock.jump(PING_INTERVAL)
            assert await peer.theirs.receive_some() == pack(b"PING")
            await peer.replies(b"+PONG")
        assert peer.reason == ""
