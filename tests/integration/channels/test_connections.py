"""Connections to receivers serve one call at a time, and some are kept for the next one."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import trio

from relay.channels import connections
from relay.channels.outbound import Outbound
from tests.support.patience import eventually
from tests.support.receivers import Receiver, receiver, reply


@pytest.fixture
async def calls() -> AsyncIterator[Outbound]:
    opened = Outbound(private=True)
    yield opened
    await opened.close()


async def test_calls_that_follow_one_another_share_a_connection(calls: Outbound) -> None:
    async with receiver() as there:
        for status in (204, 500, 302):
            there.always = reply(status, b"" if status == 204 else b"text")
            assert (await calls.post(there.url, {}, b"")).status == status
        assert there.accepted == 1
        await calls.close()
        await eventually(lambda: there.open == 0)
        await calls.post(there.url, {}, b"")
        assert there.accepted == 2


async def test_a_connection_that_has_ended_is_not_used_again(
    calls: Outbound, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with receiver() as there:
        there.always = reply(200, connection="close")
        for _ in range(2):
            await calls.post(there.url, {}, b"")
        assert there.accepted == 2
        await eventually(lambda: there.open == 0)
        there.always = reply(204)
        monkeypatch.setattr(connections, "IDLE_SECONDS", 0.0)
        for _ in range(2):
            await calls.post(there.url, {}, b"")
        assert there.accepted == 4


async def test_a_call_that_is_left_leaves_no_connection(calls: Outbound) -> None:
    async with receiver() as there, trio.open_nursery() as nursery:
        there.always = reply(None)
        nursery.start_soon(calls.post, there.url, {}, b"")
        await there.has(1)
        nursery.cancel_scope.cancel()
    assert there.accepted == 1
    async with receiver() as other:
        await calls.post(other.url, {}, b"")
        assert (other.accepted, there.open) == (1, 0)


async def test_calls_at_the_same_moment_have_a_connection_each_and_few_are_kept(
    calls: Outbound, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "MAX_IDLE_CONNECTIONS", 2)
    async with AsyncExitStack() as stack:
        there: list[Receiver] = [await stack.enter_async_context(receiver()) for _ in range(5)]
        for one in there:
            await calls.post(one.url, {}, b"")
        await eventually(lambda: [one.open for one in there] == [0, 0, 0, 1, 1])
        hanging = there[4]
        hanging.script.append(reply(None))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(calls.post, hanging.url, {}, b"")
            await hanging.has(2)
            await calls.post(hanging.url, {}, b"")  # while the other one waits
            assert hanging.accepted == 2
            nursery.cancel_scope.cancel()
