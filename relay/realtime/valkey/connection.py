"""One connection to a node: commands go out together, replies and messages come in.

A command never waits. Replies come in the order of the commands; messages of channels and what
becomes of subscriptions come between them. The node is pinged each second, so a connection on which
nothing arrives any more is noticed within two.

While messages are published often, and nothing else is asked, their replies stay in the kernel for
a tenth of a second: to wake for each one would cost more than to publish it. Messages of channels
are longer, and are read as they come, with the replies before them.
"""

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Protocol

import hiredis
import trio

from relay.realtime.valkey.greeting import (
    BROKEN,
    MAX_REPLY_BYTES,
    NOT_YET,
    Exchange,
    NodeAway,
    Reply,
    pack,
)
from relay.realtime.valkey.late_answers import wait_for_answer

PING_INTERVAL = 1.0  # seconds
ANSWER_SECONDS = 1.0  # for the answer to a ping
MAX_STALL_SECONDS = 0.25  # a process that was late by more itself waits for the answer once more
# If publishes follow one another faster than this, their replies are read this often: waking for
# each would cost more than the publish, and a refusal is still noticed soon enough.
REPLY_INTERVAL = 0.1  # seconds
# This many unread bytes wake the reader earlier: 32 replies, or one message. No message with events
# is shorter.
WAKING_BYTES = 128
# With more unanswered bytes than this, replies are read as they come. It is an eighth of the amount
# at which only positions are announced.
PATIENT_BYTES = 2**20

OnReply = Callable[[Reply], None]

_MARK = pack(b"PING")


class NodeListener(Protocol):
    """What a connection calls. None of it may raise."""

    def on_message(self, channel: bytes, payload: bytes) -> None:
        """Take a message of a channel."""
        ...

    def on_unsubscribed(self, connection: "NodeConnection", channel: bytes) -> None:
        """Note that the node has ended a subscription: the slot has moved, or as asked for."""
        ...

    def on_refused(
        self, connection: "NodeConnection", message: bytes | None, error: hiredis.ReplyError
    ) -> None:
        """Handle an error; `message` is the command with a message that was not accepted."""
        ...

    def on_pause(self) -> None:
        """Act on what came: nothing else waits to be handled."""
        ...


class NodeConnection:
    """Takes over an exchange; `run` ends with the connection."""

    def __init__(self, exchange: Exchange, listener: NodeListener) -> None:
        self.node = exchange.node
        self.waiting = 0  # bytes of messages that the node has not accepted yet
        self._socket = exchange.socket
        self._reader = exchange.reader
        self._listener = listener
        # of each command: the message to publish, or what takes the reply, or _NO_REPLY
        self._expected: deque[bytes | OnReply] = deque()
        self._asked = 0  # those among them that are no message
        self._published_at = float("-inf")
        self._publishes_often = trio.Event()
        self._unparsed = 0
        self._reason = ""
        self._when_lost: list[Callable[[], None]] = []

    def call_when_lost(self, call: Callable[[], None]) -> None:
        """Call this once when the connection ends: what was not answered is not answered then."""
        self._when_lost.append(call)

    def publish(self, command: bytes) -> None:
        """Send a packed SPUBLISH."""
        now = trio.current_time()
        if now - self._published_at < REPLY_INTERVAL:
            self._publishes_often.set()
        self._published_at = now
        self.waiting += len(command)
        self._expected.append(command)
        self._choose_when_to_read()
        self._socket.write(command)

    def send(self, command: bytes, on_reply: OnReply) -> None:
        """Send a packed command of any other kind. Its reply is read as soon as it comes."""
        self._asked += 1
        self._expected.append(on_reply)
        self._choose_when_to_read()
        self._socket.write(command)

    def subscribe(self, channel: bytes, on_reply: OnReply) -> None:
        """Subscribe to a channel. `on_reply` gets an error, or anything else if it stands."""
        self.send(pack(b"SSUBSCRIBE", channel), on_reply)

    def unsubscribe(self, channel: bytes) -> None:
        """Leave a channel."""
        self.send(pack(b"SUNSUBSCRIBE", channel), _NO_REPLY)
        self.send(_MARK, _ignore)

    async def run(self) -> str:
        """Send and receive until the connection is lost; returns why it was."""
        try:
            async with trio.open_nursery() as nursery:
                for task in (
                    self._socket.send_gathered,
                    self._read,
                    self._read_replies,
                    self._ping,
                ):
                    nursery.start_soon(self._until_lost, task, nursery.cancel_scope)
        finally:
            for call in self._when_lost:
                call()
        return self._reason

    async def _until_lost(
        self, task: Callable[[], Awaitable[None]], scope: trio.CancelScope
    ) -> None:
        try:
            await task()
        except (NodeAway, *BROKEN) as error:
            self._reason = self._reason or str(error) or repr(error)
            scope.cancel()

    async def _read(self) -> None:
        while True:
            self._take_in(await self._socket.receive())

    async def _read_replies(self) -> None:
        """Read now and then while messages are published often."""
        while True:
            await self._publishes_often.wait()
            while trio.current_time() - self._published_at < REPLY_INTERVAL:
                await trio.sleep(REPLY_INTERVAL)
                if (data := self._socket.receive_now()) is not None:
                    self._take_in(data)
            self._publishes_often = trio.Event()
            self._choose_when_to_read()

    def _choose_when_to_read(self) -> None:
        """Have replies read as they come, or left for `_read_replies`."""
        patient = (
            self._publishes_often.is_set()
            and not self._asked
            and self.waiting < PATIENT_BYTES
            and not self._reader.has_data()  # the rest of a message may be short
        )
        self._socket.receive_from(WAKING_BYTES if patient else 1)

    def _take_in(self, data: bytes) -> None:
        """Handle what was received. Raises NodeAway."""
        if not data:
            raise NodeAway("it closed the connection")
        gets = self._reader.gets
        self._reader.feed(data)
        self._unparsed += len(data)
        while (reply := gets()) is not NOT_YET:
            self._unparsed = 0
            self._take(reply)
        if self._unparsed > MAX_REPLY_BYTES:
            raise NodeAway("it sent too large a reply")
        self._choose_when_to_read()
        self._listener.on_pause()

    def _take(self, reply: Reply) -> None:
        if type(reply) is hiredis.PushNotification:
            self._take_push(reply)
            return
        expected = self._next_expected()
        if expected is _NO_REPLY:  # what follows it is never refused
            if isinstance(reply, hiredis.ReplyError):
                return
            expected = self._next_expected()
        if type(expected) is bytes:
            self.waiting -= len(expected)
            if isinstance(reply, hiredis.ReplyError):
                self._listener.on_refused(self, expected, reply)
        elif callable(expected):
            expected(reply)

    def _take_push(self, push: list[Reply]) -> None:
        match push:
            case [b"smessage", bytes(channel), bytes(payload)]:
                self._listener.on_message(channel, payload)
            case [b"ssubscribe", *_]:  # in place of a reply
                expected = self._next_expected()
                if callable(expected):
                    expected(push)
            case [b"sunsubscribe", bytes(channel), *_]:
                self._listener.on_unsubscribed(self, channel)

    def _next_expected(self) -> bytes | OnReply:
        if not self._expected:
            raise NodeAway("it replied to nothing")
        expected = self._expected.popleft()
        if type(expected) is not bytes:
            self._asked -= 1
        return expected

    async def _ping(self) -> None:
        while True:
            await trio.sleep(PING_INTERVAL)
            await self._ping_once()

    async def _ping_once(self) -> None:
        answered = trio.Event()
        self.send(_MARK, lambda _: answered.set())
        await wait_for_answer(answered, ANSWER_SECONDS, max_stall=MAX_STALL_SECONDS)
        if not answered.is_set():
            raise NodeAway("no answer")


def _no_reply(_reply: Reply) -> None:
    """Stand for a command that has a reply only if it is refused."""


_NO_REPLY: OnReply = _no_reply


def _ignore(_reply: Reply) -> None:
    """Take a reply that says nothing."""
