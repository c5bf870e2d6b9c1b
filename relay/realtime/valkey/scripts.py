"""Execute scripts on the node of a slot, in the background or with a wait for the answer.

The first time on a connection a script is sent with its text, then by its digest. Each call is so
executed in its turn: one that is sent again, as its script is not known, comes after later ones.

A node that owes an answer for longer than `ANSWER_SECONDS` is asked nothing until it comes, so one
that hangs delays few requests. (`connection.py` gives up its connection soon after.)
"""

import hashlib
from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import hiredis
import trio

from relay.config.valkey_address import Node
from relay.realtime.valkey.connection import NodeConnection, OnReply
from relay.realtime.valkey.greeting import Reply, pack
from relay.realtime.valkey.late_answers import wait_for_answer
from relay.realtime.valkey.nodes import Nodes

# For an answer, which takes a third of a millisecond mostly: longer than a busy process or node
# is late, and shorter than a person notices.
ANSWER_SECONDS = 0.1
REFUSAL_SECONDS = 10.0  # for so long an error counts, unless another script is executed before
MAX_STALL_SECONDS = 0.05  # a process that was late by more itself waits for the answer once more

LOST = hiredis.ReplyError("the connection was lost")
"""The answer to scripts whose connection ended: they may have been executed."""


class Script:
    """A script and its digest, by which a node knows it once it has executed it."""

    def __init__(self, text: str) -> None:
        self.text = text.encode()
        self.digest = hashlib.sha1(self.text, usedforsecurity=False).hexdigest().encode()


class _Call(NamedTuple):
    """One execution of a script."""

    script: Script
    arguments: tuple[bytes, ...]
    on_reply: OnReply
    with_text: bool = False  # for a node that does not know it
    moved: bool = False  # whether it was sent on to the node that has the slot now

    @property
    def command(self) -> tuple[bytes, ...]:
        name = (b"EVAL", self.script.text) if self.with_text else (b"EVALSHA", self.script.digest)
        return *name, *self.arguments


class Scripts:
    """Executes scripts on the nodes, and knows which nodes do not."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        # of each connection: when the scripts without an answer were sent, and what takes it
        self._unanswered: dict[NodeConnection, deque[tuple[float, OnReply]]] = {}
        # of each connection: the scripts whose texts were sent on it
        self._taught: dict[NodeConnection, set[Script]] = {}
        # of nodes whose last answer was an error: that, and until when it counts
        self._refusals: dict[Node, tuple[str, float]] = {}

    @property
    def connections(self) -> set[NodeConnection]:
        """Those that stand."""
        return set(self._nodes.connections)

    def connection_of(self, slot: int) -> NodeConnection | None:
        """The connection to the node that has the slot, if it answers."""
        connection = self._nodes.connection_of(slot)
        return None if connection is None or self._is_silent(connection) else connection

    def _is_silent(self, connection: NodeConnection) -> bool:
        sent = self._unanswered.get(connection)
        return bool(sent and trio.current_time() - sent[0][0] > ANSWER_SECONDS)

    def find_fault(self) -> str | None:
        """Why not all scripts are executed now; None if they are."""
        if not self._nodes.all_up:
            return "a node is away"
        connections = self._nodes.connections
        if any([self._is_silent(connection) for connection in connections]):
            return "a node does not answer"
        now = trio.current_time()
        for error, until in [self._refusals.get(one.node, ("", 0.0)) for one in connections]:
            if now < until:
                return error
        return None

    def run(
        self,
        script: Script,
        slot: int,
        keys: Sequence[bytes],
        arguments: Sequence[bytes],
        on_reply: OnReply,
    ) -> bool:
        """Have a script executed. Returns False if its node is away.

        `on_reply` gets the answer, or an error, which is LOST if the connection ends before.
        """
        connection = self.connection_of(slot)
        if connection is None:
            return False
        self._send(connection, _Call(script, (b"%d" % len(keys), *keys, *arguments), on_reply))
        return True

    def _send(self, connection: NodeConnection, call: _Call) -> None:
        sent = self._unanswered.get(connection)
        if sent is None:
            sent = self._unanswered[connection] = deque()
            self._taught[connection] = set()
            connection.call_when_lost(partial(self._forget, connection))
        if call.script not in self._taught[connection]:
            self._taught[connection].add(call.script)
            call = call._replace(with_text=True)
        sent.append((trio.current_time(), call.on_reply))
        connection.send(pack(*call.command), partial(self._take, connection, call))

    def _take(self, connection: NodeConnection, call: _Call, reply: Reply) -> None:
        """Take the answer to a script; send it again where that is what the answer asks for."""
        self._unanswered[connection].popleft()
        if not isinstance(reply, hiredis.ReplyError):
            self._refusals.pop(connection.node, None)
            call.on_reply(reply)
            return
        error = str(reply)
        if error.startswith("NOSCRIPT") and not call.with_text:  # it has forgotten all scripts
            self._send(connection, call._replace(with_text=True))
        elif error.startswith("MOVED"):
            slot = self._nodes.note_refusal(connection, reply)
            other = None if slot is None else self._nodes.connection_of(slot)
            if call.moved or other is None or other is connection:
                call.on_reply(reply)
            else:
                self._send(other, call._replace(moved=True, with_text=False))
        else:
            self._refusals[connection.node] = error, trio.current_time() + REFUSAL_SECONDS
            self._nodes.look_again()
            call.on_reply(reply)

    def _forget(self, connection: NodeConnection) -> None:
        del self._taught[connection]
        for _, on_reply in self._unanswered.pop(connection):
            on_reply(LOST)

    async def ask(
        self, script: Script, slot: int, keys: Sequence[bytes], arguments: Sequence[bytes]
    ) -> Reply | None:
        """Have a script executed, and return its answer; None without one in time."""
        replies: list[Reply] = []
        answered = trio.Event()

        def note(reply: Reply) -> None:
            replies.append(reply)
            answered.set()

        if not self.run(script, slot, keys, arguments, note):
            for _ in range(2):  # its answer may have come, and is not read yet
                await trio.lowlevel.checkpoint()
            if not self.run(script, slot, keys, arguments, note):
                return None
        await wait_for_answer(answered, ANSWER_SECONDS, max_stall=MAX_STALL_SECONDS)
        return replies[0] if replies and not isinstance(replies[0], hiredis.ReplyError) else None
