"""Calls by what the first of them imports."""

import pytest
import trio

from relay.channels.calls import LateCalls
from relay.channels.outbound_answer import OutboundFailed


async def test_calls_that_come_first_and_together_are_all_made() -> None:
    calls = LateCalls(private=True)
    failed: list[int] = []

    async def post(number: int) -> None:
        with pytest.raises(OutboundFailed, match="the address is not valid"):
            await calls.post("http://host:port", {}, b"")
        failed.append(number)

    async with trio.open_nursery() as nursery:
        for number in range(3):
            nursery.start_soon(post, number)
    assert sorted(failed) == [0, 1, 2]
    await calls.close()


async def test_without_a_call_there_is_nothing_to_close() -> None:
    await LateCalls(private=True).close()
