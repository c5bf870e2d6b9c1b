"""Replies to messages that are published often are read together, and nothing else waits."""

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from relay.realtime.valkey.connection import PATIENT_BYTES, REPLY_INTERVAL
from relay.realtime.valkey.greeting import pack
from relay.realtime.valkey.node_socket import GATHER_SECONDS
from tests.support.patience import eventually_on_a_still_clock as eventually
from tests.support.socket_pairs import SocketPair
from tests.support.valkey_peer import Peer, connected

SEALED = b"x" * 60  # shorter than any message with events
MESSAGE = b">3\r\n$8\r\nsmessage\r\n$52\r\n%s\r\n$60\r\n%s\r\n" % (b"c" * 52, SEALED)
MOVED = b"-MOVED 3 127.0.0.1:6380\r\n"


class Steps(trio.abc.Instrument):
    """Counts the steps of the connection's tasks."""

    def __init__(self) -> None:
        self.count = 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.count += "NodeConnection" in task.name


async def test_a_frequent_message_wakes_no_task_where_it_is_sent_and_one_where_it_comes(
    pair: SocketPair, mock_clock: MockClock
) -> None:
    async with connected(pair) as peer:
        reply = b":0\r\n"
        await publish_often(peer)
        mock_clock.jump(2 * GATHER_SECONDS)
        await publish_often(peer, 1)  # alone
        await peer.theirs.send_all(reply * 3)
        await wait_all_tasks_blocked()
        steps = Steps()
        trio.lowlevel.add_instrument(steps)
        for number in range(1, 21):
            mock_clock.jump(2 * GATHER_SECONDS)
            peer.connection.publish(b"message")
            await peer.received(len(b"message"))
            await peer.theirs.send_all(reply)
            await eventually(lambda: peer.unread() == (3 + number) * len(reply))  # noqa: B023
        assert steps.count == 0
        for number in range(1, 6):
            await peer.theirs.send_all(MESSAGE)
            await eventually(lambda: len(peer.heard.calls) == number)  # noqa: B023
        await wait_all_tasks_blocked()
        assert steps.count == 5
        trio.lowlevel.remove_instrument(steps)


async def publish_often(peer: Peer, count: int = 2) -> list[bytes]:
    """Messages one right after the other; the node has not replied yet."""
    messages = [pack(b"SPUBLISH", b"a", b"%d" % number) for number in range(count)]
    for message in messages:
        peer.connection.publish(message)
    await peer.received(len(b"".join(messages)))
    return messages


async def test_replies_to_frequent_messages_are_left_for_a_moment(
    pair: SocketPair, mock_clock: MockClock
) -> None:
    async with connected(pair) as peer:
        _, last = await publish_often(peer)
        await peer.theirs.send_all(b":0\r\n" + MOVED)
        await eventually(lambda: peer.unread() == len(b":0\r\n" + MOVED))
        await wait_all_tasks_blocked()
        assert peer.unread() > 0
        mock_clock.jump(REPLY_INTERVAL)
        await wait_all_tasks_blocked()
        assert peer.unread() == peer.connection.waiting == 0
        assert peer.heard.calls == [(last, "MOVED 3 127.0.0.1:6380")]


async def test_a_message_is_read_as_it_comes_with_the_replies_before_it(
    pair: SocketPair, mock_clock: MockClock
) -> None:
    async with connected(pair) as peer:
        first, _ = await publish_often(peer)
        await peer.theirs.send_all(MOVED)
        await eventually(lambda: peer.unread() == len(MOVED))
        await peer.theirs.send_all(MESSAGE)
        await eventually(lambda: len(peer.heard.calls) == 2)
        assert peer.heard.calls == [(first, "MOVED 3 127.0.0.1:6380"), (b"c" * 52, SEALED)]


async def test_the_rest_of_a_message_is_read_however_short(
    pair: SocketPair, mock_clock: MockClock
) -> None:
    async with connected(pair) as peer:
        await publish_often(peer)
        await peer.theirs.send_all(MESSAGE * 2 + MESSAGE[:-10])
        await eventually(lambda: len(peer.heard.calls) == 2)
        await peer.theirs.send_all(MESSAGE[-10:])
        await eventually(lambda: len(peer.heard.calls) == 3)


async def test_what_is_asked_is_answered_at_once_among_frequent_messages(
    pair: SocketPair, mock_clock: MockClock
) -> None:
    async with connected(pair) as peer:
        await publish_often(peer)
        await peer.theirs.send_all(b":0\r\n:0\r\n")
        await eventually(lambda: peer.unread() == 8)
        peer.connection.send(pack(b"GET", b"k"), peer.heard.calls.append)
        await peer.theirs.send_all(b"+OK\r\n")
        await eventually(lambda: peer.heard.calls == [b"OK"])
        assert peer.connection.waiting == 0


async def test_an_end_is_noticed_at_once_among_frequent_messages(
    pair: SocketPair, mock_clock: MockClock
) -> None:
    async with connected(pair) as peer:
        await publish_often(peer)
        await peer.theirs.aclose()
        await peer.ended.wait()
        assert peer.reason == "it closed the connection"


async def test_replies_are_read_as_they_come_while_much_has_none(
    pair: SocketPair, mock_clock: MockClock
) -> None:
    async with connected(pair) as peer, trio.open_nursery() as nursery:
        small, large = b"x" * 100, pack(b"SPUBLISH", b"a", b"x" * PATIENT_BYTES)
        for message in (small, large):
            peer.connection.publish(message)
        nursery.start_soon(peer.received, len(small) + len(large))
        await peer.theirs.send_all(b":0\r\n")
        await eventually(lambda: peer.connection.waiting == len(large))
        await peer.theirs.send_all(b":0\r\n")
        await eventually(lambda: peer.connection.waiting == 0)


async def test_after_a_pause_a_reply_is_read_as_it_comes(
    pair: SocketPair, mock_clock: MockClock
) -> None:
    async with connected(pair) as peer:
        for _ in range(2):
            await publish_often(peer)
            await peer.theirs.send_all(b":0\r\n" * 2)
            await eventually(lambda: peer.unread() == 8)
            mock_clock.jump(REPLY_INTERVAL)
            await eventually(lambda: peer.connection.waiting == 0)
            peer.connection.publish(b"x" * 10)
            await peer.received(10)
            await peer.theirs.send_all(b":0\r\n")
            await eventually(lambda: peer.connection.waiting == 0)
            mock_clock.jump(REPLY_INTERVAL)
