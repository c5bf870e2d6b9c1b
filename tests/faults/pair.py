"""Two Relays on one database, and what is seen of one at the other."""

import json
import statistics
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from tests.faults.ledger import Account, Ledger
from tests.faults.program import Program, running
from tests.faults.wire import DOORS, Answer, Caller, Ended, stream

NOISE = 3.0  # seconds a busy machine may add to any bound
WITHIN_A_LOOK = 1.0 + NOISE  # seconds until the net has whatever fell into it
AT_ONCE = 0.25  # seconds at the median: by looks alone it is half a second


class Pair:
    """Two Relays on one database: what is done `here` must show `there`."""

    def __init__(self, here: Program, there: Program, account: Account) -> None:
        self.here = here
        self.there = there
        self.account = account
        self._caller = Caller(here.port)
        self._posted: list[float] = []
        self._arrived: dict[str, list[float]] = {door: [] for door in DOORS}

    async def call(self, path: str, token: str, **body: object) -> Answer:
        answer = await self._caller.call("POST", path, token, json.dumps(body).encode())
        assert answer.status in (200, 201), answer
        return answer

    async def post(self) -> Answer:
        self._posted.append(0.0)
        answer = await self.call(
            "/api/webhook/cli",
            self.account.hook,
            event_type="log",
            ts="2026-01-31T12:00:00Z",
            payload=len(self._posted),
        )
        self._posted[-1] = trio.current_time()
        return answer

    async def watch(
        self, door: str, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Everything arrives, in order and once, on a stream that stays."""
        arrived = self._arrived[door]
        async with stream(self.there.port, door, self.account.session) as opened:
            await opened.next()
            task_status.started()
            while True:
                for message in await opened.next():
                    assert message["seq"] == len(arrived) + 1, message
                    arrived.append(trio.current_time())

    async def everything_arrived(self, within: float) -> None:
        with trio.fail_after(within):
            while min(len(arrived) for arrived in self._arrived.values()) < len(self._posted):  # noqa: ASYNC110
                await trio.sleep(0.01)

    async def lags(self, posts: int = 8) -> list[float]:
        """Seconds from the answers to some posts to their arrival there."""
        first = len(self._posted)
        for _ in range(posts):
            await self.post()
            await trio.sleep(0.13)  # no divisor of the time between two looks
        await self.everything_arrived(within=WITHIN_A_LOOK)
        return [
            at - posted
            for arrived in self._arrived.values()
            for at, posted in zip(arrived[first:], self._posted[first:], strict=True)
        ]

    async def is_quick_within(self, seconds: float) -> None:
        with trio.fail_after(seconds):
            while statistics.median(await self.lags(3)) > AT_ONCE:
                pass

    async def revoked(self) -> float:
        """Seconds from a revoke here to the end of what it had opened there."""
        token = (await self.call("/api/token", self.account.session)).json["token"]
        async with stream(self.there.port, "websocket", token) as opened:
            await opened.next()
            await self.call("/api/token/revoke", token)
            asked = trio.current_time()
            with trio.fail_after(WITHIN_A_LOOK):
                (close,) = await opened.next()
                assert (close["code"], close["reason"]) == (4401, "revoked")
                with pytest.raises(Ended):
                    await opened.next()
        return trio.current_time() - asked

    async def metric(self, name: str, at: Program | None = None) -> float:
        """One of the process there, unless another is given."""
        text = (await (at or self.there).ask("/metrics")).body.decode()
        (line,) = [line for line in text.splitlines() if line.startswith(f"{name} ")]
        return float(line.split()[1])

    async def shows(
        self, name: str, value: float, within: float, at: Program | None = None
    ) -> None:
        with trio.fail_after(within):
            while await self.metric(name, at) != value:  # noqa: ASYNC110
                await trio.sleep(0.05)


@asynccontextmanager
async def pair_of(folder: Path, url: str, **there: str) -> AsyncIterator[Pair]:
    """`there` are the settings of the process there beyond those both have."""
    programs = [Program(folder / name, url) for name in ("here", "there")]
    for program in programs:
        program.folder.mkdir()
        program.settings["BASE_URL"] = programs[0].url
    programs[1].settings |= there
    async with running(*programs), trio.open_nursery() as nursery:
        pair = Pair(programs[0], programs[1], await Ledger(programs[0]).enrol("u", []))
        for door in DOORS:
            await nursery.start(pair.watch, door)
        async with pair._caller:
            yield pair
        nursery.cancel_scope.cancel()
