"""When the nodes of a cluster are looked up."""

import pytest
import trio

from relay.config.valkey_address import Node, ValkeyAddress
from relay.realtime.valkey import nodes as nodes_module
from relay.realtime.valkey.names import Names
from relay.realtime.valkey.nodes import LOOK_INTERVAL, LOOK_INTERVAL_REFUSED, Nodes
from relay.realtime.valkey.subscriptions import Subscriptions
from relay.realtime.valkey.topology import Topology

LOOK_SECONDS = 0.5  # that a look takes
ADDRESS = ValkeyAddress((Node("127.0.0.1", 6379),))


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch, autojump_clock: object) -> list[float]:
    """When each look began, on a clock that jumps. What they find is that all is well."""
    began: list[float] = []

    async def look_up(*_: object) -> Topology:
        began.append(trio.current_time())
        await trio.sleep(LOOK_SECONDS)
        return Topology({})

    monkeypatch.setattr(nodes_module, "look_up", look_up)
    monkeypatch.setattr(Nodes, "all_up", True)
    return began


@pytest.mark.parametrize("refused_after", [1.0, LOOK_INTERVAL + 1.0, LOOK_INTERVAL + 0.3])
async def test_a_refused_command_brings_the_next_look_forward(
    looks: list[float], refused_after: float, autojump_clock: object
) -> None:
    """Also one that is refused while a look is under way, which may have come too early."""
    nodes = Subscriptions(ADDRESS, Names("relay"), lambda *_: None, lambda *_: None).nodes
    async with trio.open_nursery() as nursery:
        await nursery.start(nodes.run)
        started = trio.current_time()
        await trio.sleep_until(started + refused_after)
        before = len(looks)
        nodes.look_again()
        nodes.look_again()
        await trio.sleep(LOOK_INTERVAL_REFUSED + 2 * LOOK_SECONDS)
        assert len(looks) == before + 1
        await trio.sleep(LOOK_INTERVAL - 1)  # and no sooner from then on
        assert len(looks) == before + 1
        nursery.cancel_scope.cancel()
