"""Callers that come at the same moment, and what became of them."""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field

import httpx
import trio
from prometheus_client import REGISTRY

from tests.support.client.streams import TRANSPORTS, Refused
from tests.support.problems import PROBLEMS, check
from tests.support.relay_server import Relay, open_stream

CALLERS = 64
FREE = 5  # places that are left before the callers come

Caller = Callable[[int], AbstractAsyncContextManager[int]]
"""Makes call number so and so; the block has its status, and what it holds it holds until then."""

Callers = Callable[[Relay, str], AbstractAsyncContextManager[Caller]]
"""Prepares a Relay, whose database's address is given, for callers."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """A bound: a setting, or a constant with its module; and what happens to 64 callers at it.

    `code` is the error code of the refused ones. `metric` is a series that counts them, too, or
    `counted` of them. `patches` are constants that make the bound a small one.
    """

    bound: str
    callers: Callers
    name: str = ""  # of what is counted, where one bound has several rows
    settings: Mapping[str, str] = field(default_factory=dict)
    patches: Mapping[str, object] = field(default_factory=dict)
    accepted: int = FREE
    success: int = 200
    code: str = "rate_limited"
    metric: str = ""
    counted: int | None = None

    def __str__(self) -> str:
        return f"{self.bound} {self.name}".strip()

    @property
    def statuses(self) -> dict[int, int]:
        """How many callers get which status."""
        refused = CALLERS - self.accepted
        return {self.success: self.accepted, **({self.status: refused} if refused else {})}

    @property
    def status(self) -> int:
        return PROBLEMS[self.code].status

    @property
    def series(self) -> dict[str, int]:
        """How far each series that counts the refused grows."""
        refused = CALLERS - self.accepted
        counted = refused if self.counted is None else self.counted
        problems = f'relay_problems_total{{code="{self.code}"}}'
        return {problems: refused, self.metric or problems: counted}


async def at_once(caller: Caller) -> Counter[int]:
    """The statuses of 64 callers that start together; each holds what it got until all have."""
    statuses: Counter[int] = Counter()
    answered = trio.Event()

    async def one(number: int) -> None:
        async with caller(number) as status:
            statuses[status] += 1
            if statuses.total() == CALLERS:
                answered.set()
            await answered.wait()

    async with trio.open_nursery() as nursery:
        for number in range(CALLERS):
            nursery.start_soon(one, number)
    return statuses


def requests(ask: Callable[[int], Awaitable[httpx.Response]]) -> Caller:
    """Callers that make a request each; a refusal has the one shape of refusals."""

    @asynccontextmanager
    async def call(number: int) -> AsyncIterator[int]:
        answer = await ask(number)
        if answer.is_error:
            check(answer, answer.status_code)
        yield answer.status_code

    return call


def streams(relay: Relay, how: Callable[[int], tuple[str | None, str, dict[str, str]]]) -> Caller:
    """Callers that open a stream each, by turns over WebSocket and SSE, and keep it open.

    `how` gives the token, the query and the headers of each.
    """

    @asynccontextmanager
    async def call(number: int) -> AsyncIterator[int]:
        token, query, headers = how(number)
        transport = TRANSPORTS[number % len(TRANSPORTS)]
        try:
            async with open_stream(relay, transport, token, query, headers=headers) as stream:
                await stream.hello()
                yield 200
        except Refused as refused:
            yield refused.answer.status

    return call


def value(series: str) -> float:
    """The value of a series, which is named as in the text of /metrics; 0 if it has none yet."""
    name, _, labels = series.rstrip("}").partition("{")
    pairs = dict(label.split("=") for label in labels.split(",") if label)
    return REGISTRY.get_sample_value(name, {k: v.strip('"') for k, v in pairs.items()}) or 0.0
