"""Scripts on a node: each call is executed in its turn, whether the node knows it or not."""

from typing import cast

import hiredis

from relay.realtime.valkey.connection import NodeConnection
from relay.realtime.valkey.nodes import Nodes
from relay.realtime.valkey.scripts import LOST, Script, Scripts
from tests.support.socket_pairs import SocketPair
from tests.support.valkey_peer import Peer, connected

SCRIPT, OTHER = Script("return KEYS[1]"), Script("return 2")


class OneNode:
    """All slots are on one node."""

    def __init__(self, connection: NodeConnection) -> None:
        self._connection = connection

    def connection_of(self, _slot: int) -> NodeConnection:
        return self._connection


async def commands(peer: Peer, count: int) -> list[list[bytes]]:
    """So many commands, as the node gets them: the name and what is executed."""
    reader, found = hiredis.Reader(), list[list[bytes]]()
    while len(found) < count:
        reader.feed(await peer.theirs.receive_some())
        while command := reader.gets():
            found.append(command[:2])
    return found


async def test_the_text_goes_once_on_each_connection_and_before_any_digest(
    pair: SocketPair,
) -> None:
    async with connected(pair) as peer:
        scripts, answers = Scripts(cast("Nodes", OneNode(peer.connection))), list[object]()
        for script in (SCRIPT, SCRIPT, OTHER, SCRIPT):
            assert scripts.run(script, 0, [b"k"], [], answers.append)
        assert await commands(peer, 4) == [
            [b"EVAL", SCRIPT.text],
            [b"EVALSHA", SCRIPT.digest],
            [b"EVAL", OTHER.text],
            [b"EVALSHA", SCRIPT.digest],
        ]
        await peer.replies(b":1", b"-NOSCRIPT it was flushed", b":3", b":4")
        assert await commands(peer, 1) == [[b"EVAL", SCRIPT.text]]
        await peer.theirs.aclose()
        await peer.ended.wait()
        assert answers == [1, 3, 4, LOST]
