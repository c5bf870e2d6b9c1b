"""Processes that count their limits together, in this one."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import trio

from relay.realtime.valkey.limits import ValkeyLimits
from tests.support.backplanes import Join
from tests.support.patience import eventually


@asynccontextmanager
async def processes(join: Join, count: int = 4) -> AsyncIterator[list[ValkeyLimits]]:
    """The limits of some that know of each other."""
    async with AsyncExitStack() as stack:
        members = [await stack.enter_async_context(join()) for _ in range(count)]
        limits: list[ValkeyLimits] = [member.backplane.limits for member in members]  # type: ignore[attr-defined]
        for one in limits:
            await eventually(lambda: one._leases._processes == count)  # noqa: B023
            await eventually(lambda: one._shared)  # noqa: B023
        yield limits


async def at_once(calls: Sequence[Callable[[], Any]]) -> list[Any]:
    """What each returns, when all run together."""
    results: list[Any] = []

    async def run(call: Callable[[], Any]) -> None:
        results.append(await call())

    async with trio.open_nursery() as nursery:
        for call in calls:
            nursery.start_soon(run, call)
    return results
