"""Many calls of one user that wait at once, and what they leave behind."""

import gc
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import trio
from prometheus_client import REGISTRY

from relay.app import Relay as RelayApp
from relay.app import create_app
from relay.config.settings import Settings
from relay.server.responses import HeldResponse
from relay.services import Services
from relay.web.waiting import MAX_WAIT_SECONDS, WaitingCall
from tests.support.asks import answered, asked
from tests.support.client.connection import ClientConnection, connected
from tests.support.client.protocol import JSON, head
from tests.support.patience import PATIENCE, eventually
from tests.support.relay_server import Relay, User, bearer, calls_wait

CALLS = 64
ASKS, BEATS = "/api/asks/<ask_id>", "/api/tasks/beat"


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[RelayApp]:
    """The applications of the Relays that run in this process, whose services a test looks at."""
    gc.collect()  # calls that other tests have left are none of this one's
    apps: list[RelayApp] = []

    def create(settings: Settings) -> RelayApp:
        apps.append(create_app(settings))
        return apps[-1]

    monkeypatch.setattr("relay.serving.create_app", create)
    return apps


@pytest.fixture
def long_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that waits as long as a call may does so until the test ends its wait."""
    hold = WaitingCall.hold

    async def held(
        call: WaitingCall, request: Any, answer: Any, seconds: float, *more: Any, **how: Any
    ) -> Any:
        longest = PATIENCE if seconds == MAX_WAIT_SECONDS else seconds
        return await hold(call, request, answer, longest, *more, **how)

    monkeypatch.setattr(WaitingCall, "hold", held)


class LongCall:
    """A call that can wait: a look at an ask, or a beat."""

    def __init__(self, method: str, path: str, body: bytes = b"") -> None:
        self.method, self.path, self.body = method, path, body

    def look_for(self, wait: int) -> "LongCall":
        """The same look at an ask, for so many seconds."""
        path, _, _ = self.path.partition("?")  # an id may have any digits
        return LongCall(self.method, f"{path}?wait_s={wait}")

    async def make(self, relay: Relay, token: str) -> httpx.Response:
        headers = {**bearer(token), "Content-Type": JSON}
        return await relay.http.request(self.method, self.path, content=self.body, headers=headers)

    async def send(self, connection: ClientConnection, token: str) -> None:
        lines = [f"Authorization: Bearer {token}", f"Content-Type: {JSON}"]
        lines += [f"Content-Length: {len(self.body)}"] if self.body else []
        await connection.send(head(self.path, *lines, method=self.method) + self.body)


async def looks(user: User, wait: int = 25, count: int = CALLS) -> list[LongCall]:
    """Looks at as many asks."""
    await user.hook()  # one token for all
    ids: list[str] = []

    async def ask() -> None:
        ids.append((await asked(user))["ask_id"])

    async with trio.open_nursery() as nursery:
        for _ in range(count):
            nursery.start_soon(ask)
    return [LongCall("GET", f"/api/asks/{ask_id}?wait_s={wait}") for ask_id in ids]


async def beats(user: User, wait: int = 25, count: int = CALLS) -> list[LongCall]:
    """Beats of as many tasks, which can be stopped."""
    started = (
        '{"event_type":"task_started","ts":"2026-01-31T12:00:00Z","task_id":"t%d",'
        '"payload":{"stoppable":true,"lease_s":600}}\n'
    )
    lines = "".join([started % number for number in range(count)])
    batch = {**bearer(await user.hook()), "Content-Type": "application/x-ndjson"}
    answer = await user.relay.http.post("/api/webhook/cli", content=lines, headers=batch)
    assert answer.status_code == 200, answer.text
    bodies = [b'{"task_ids":["t%d"],"wait_s":%d}' % (number, wait) for number in range(count)]
    return [LongCall("POST", "/api/tasks/beat", body) for body in bodies]


class Waiting:
    """The answers to calls that wait, each on a connection of its own."""

    def __init__(self) -> None:
        self.answers: list[httpx.Response] = []

    @property
    def statuses(self) -> set[int]:
        return {answer.status_code for answer in self.answers}


@asynccontextmanager
async def waiting(
    relay: Relay, calls: Sequence[LongCall], token: str, *, beside: int = 0
) -> AsyncIterator[Waiting]:
    """All wait when the block begins, `beside` other ones; at its end all are answered."""
    found = Waiting()

    async def wait(call: LongCall) -> None:
        found.answers.append(await call.make(relay, token))

    async with trio.open_nursery() as nursery:
        for call in calls:
            nursery.start_soon(wait, call)
        await calls_wait(relay, beside + len(calls))
        yield found


@asynccontextmanager
async def connections(
    relay: Relay, calls: Sequence[LongCall], token: str, *, beside: int = 0
) -> AsyncIterator[list[ClientConnection]]:
    """The same with connections that the test closes as it likes, and reads itself."""
    opened: list[ClientConnection] = []
    try:
        for call in calls:
            opened.append(ClientConnection(await connected(relay.port, host=relay.host)))
            await call.send(opened[-1], token)
        await calls_wait(relay, beside + len(calls))
        yield opened
    finally:
        for connection in opened:
            connection.drop()


async def end_all(user: User, calls: list[LongCall]) -> None:
    """Answer the asks, and stop the tasks, that calls wait for."""

    async def end(number: int, call: LongCall) -> None:
        if call.method == "GET":
            ask_id = call.path.rpartition("/")[2].partition("?")[0]
            assert (await answered(user, ask_id, "yes")).is_success
        else:
            wanted = {"task_id": f"t{number}"}
            assert (await user.call("POST", "/api/tasks/stop", json=wanted)).is_success

    async with trio.open_nursery() as nursery:
        for number, call in enumerate(calls):
            nursery.start_soon(end, number, call)


def says_the_end(answer: httpx.Response) -> bool:
    body: dict[str, Any] = answer.json()
    return body.get("state") == "answered" or bool(body.get("stop"))


async def nothing_is_left(services: Services) -> None:
    """No place, no wait and no held call is left, without a look of the garbage collector."""
    hub = services.hub
    await eventually(lambda: hub.count == 0)
    assert not hub.attended_users()
    assert not [*hub._waits_by_credential, *hub._by_address]
    for waits in (services.stops, services.asks.waits):
        assert not any(expected.waits for expected in waits._expected.values())
    await eventually(lambda: not held_calls())


def held_calls() -> list[Any]:
    """The calls and responses that are held in this process."""
    return [one for one in gc.get_objects() if isinstance(one, WaitingCall | HeldResponse)]


def counted(route: str, status: int) -> tuple[float, float]:
    """How many answers of a route were counted, and how many of them timed."""
    method = "GET" if route == ASKS else "POST"
    labels = {"route": route, "method": method, "status": str(status)}
    names = "relay_http_requests_total", "relay_http_request_duration_seconds_count"
    found = [REGISTRY.get_sample_value(name, labels) or 0.0 for name in names]
    return found[0], found[1]
