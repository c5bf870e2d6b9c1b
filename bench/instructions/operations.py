"""The counted operations. Each prepares a number of operations, and what is counted runs them.

What clients send is made while it is prepared.
"""

import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from typing import Any, cast
from uuid import uuid4

import trio

from bench.instructions.clients import Crowd, Passing, Poster, Reader, StillClock, Watcher
from bench.instructions.database import EPOCH
from bench.instructions.driver import StandInConnection
from bench.instructions.stage import Stage
from bench.peer import Endpoint
from bench.shapes import CLIENTS
from relay.db.append import build_statement
from relay.db.append_queue import AppendRequest
from relay.db.pinned_connection import PinnedConnection
from relay.db.pool import Database
from relay.events import Event, NewEvent, utc_now
from relay.realtime.encoding import CommittedEvents
from relay.realtime.wait import TICK_SECONDS
from relay.web.waiting import MAX_WAIT_SECONDS

Run = Callable[[], Awaitable[None]]
Prepare = Callable[[int], Run]
"""Prepares so many operations, and returns what runs them."""
Operation = Callable[[Stage], AbstractAsyncContextManager[Prepare]]

JSON, NDJSON = "application/json", "application/x-ndjson"
CLIENT = CLIENTS["httpx"]
PRODUCERS = 16  # that post at the same time
LINES = 50  # of a batch
READERS = 32  # of one event
PAYLOAD = '{"progress":0.42,"message":"compiled one more of many files"}'
ASKERS = 16  # whose calls wait, and end at the same time
A_WAIT = (0.0, MAX_WAIT_SECONDS - 1.0, 1.0 + TICK_SECONDS)
"""Steps of time: calls arrive, the last look becomes recent, calls end."""
TIMEOUT_SECONDS = 600.0

_numbers = itertools.count(1)


@asynccontextmanager
async def posts(stage: Stage) -> AsyncIterator[Prepare]:
    """One event a POST, each after the answer to the last. Its own request commits it."""
    _, endpoint = stage.new_user()

    def prepare(count: int) -> Run:
        requests = [whole_post(endpoint, JSON, named_event()) for _ in range(count)]
        return Crowd([Poster(stage.port, requests)]).run

    yield prepare


@asynccontextmanager
async def posts_together(stage: Stage) -> AsyncIterator[Prepare]:
    """One event a POST, of `PRODUCERS` users at the same time. One commit has all of them."""
    endpoints = [stage.new_user()[1] for _ in range(PRODUCERS)]

    def prepare(count: int) -> Run:
        rounds = range(count // PRODUCERS)
        return Crowd(
            [
                Poster(stage.port, [whole_post(endpoint, JSON, named_event()) for _ in rounds])
                for endpoint in endpoints
            ]
        ).run

    yield prepare


@asynccontextmanager
async def lines(stage: Stage) -> AsyncIterator[Prepare]:
    """One line of a batch of `LINES`."""
    _, endpoint = stage.new_user()

    def prepare(count: int) -> Run:
        batches = [
            whole_post(endpoint, NDJSON, b"\n".join([named_event() for _ in range(LINES)]))
            for _ in range(count // LINES)
        ]
        return Crowd([Poster(stage.port, batches)]).run

    yield prepare


@asynccontextmanager
async def deliveries(stage: Stage) -> AsyncIterator[Prepare]:
    """One event to one of its `READERS`, all at rest: encoded once, and written to each socket."""
    user_id, endpoint = stage.new_user()
    handshakes = [endpoint.stream_request("ws") for _ in range(READERS)]
    readers = [Reader(stage.port, handshake) for handshake in handshakes]
    await Crowd(readers).run()
    seqs = itertools.count(1)

    def prepare(count: int) -> Run:
        new = [_committed(next(seqs)) for _ in range(count // READERS)]

        async def run() -> None:
            for events in new:
                if not stage.services.hub.publish(user_id, events.encoded):
                    raise RuntimeError("no reader rests")

        return run

    yield prepare
    for reader in readers:
        reader.close()


@asynccontextmanager
async def connections(stage: Stage) -> AsyncIterator[Prepare]:
    """One WebSocket: from the connection over `hello` to its close by the client."""
    _, endpoint = stage.new_user()

    def prepare(count: int) -> Run:
        handshakes = [endpoint.stream_request("ws") for _ in range(count)]
        return Crowd([Watcher(stage.port, handshakes)]).run

    yield prepare


@asynccontextmanager
async def waits(stage: Stage) -> AsyncIterator[Prepare]:
    """One call of an ask that waits, from its request to its answer when its time is over.

    `ASKERS` wait at the same time, each on a connection of its own, and call again when they are
    answered. A part of each is its share of a look at all of them.
    """
    clock = cast("StillClock", trio.lowlevel.current_clock())
    path = f"/api/asks/{{}}?wait_s={MAX_WAIT_SECONDS}"
    calls = [stage.new_user()[1].get_request(path.format(uuid4()), CLIENT) for _ in range(ASKERS)]

    def prepare(count: int) -> Run:
        rounds = count // ASKERS
        posters = [Poster(stage.port, [call] * rounds) for call in calls]
        return Crowd([*posters, Passing(clock, A_WAIT * rounds)]).run

    async with trio.open_nursery() as nursery:
        nursery.start_soon(stage.services.asks.waits.run)
        yield prepare
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def commits(_stage: Stage) -> AsyncIterator[Prepare]:
    """One statement of one event on the connection that is kept, and its answer. No driver."""
    with closing(PinnedConnection(StandInConnection.connect, timeout=TIMEOUT_SECONDS)) as pinned:
        database = Database(cast("Any", None), pinned, cast("Any", None), TIMEOUT_SECONDS)

        def prepare(count: int) -> Run:
            batches = [[AppendRequest(uuid4(), [new_event()])] for _ in range(count)]

            async def run() -> None:
                for batch in batches:
                    await database.fetch_pinned(*build_statement(batch))

            return run

        async with trio.open_nursery() as nursery:
            await nursery.start(database.keep_pinned)
            yield prepare
            nursery.cancel_scope.cancel()


OPERATIONS: dict[str, tuple[Operation, int]] = {
    "post": (posts, 64),
    "post of 16": (posts_together, 128),
    "line of a batch": (lines, 1_000),
    "delivery": (deliveries, 640),
    "connection": (connections, 24),
    "commit's statement": (commits, 100),
    "wait": (waits, 64),
}
"""Each by its name, and how many of it are counted at the least."""


def named_event() -> bytes:
    """A named event, as a client library sends it."""
    number = next(_numbers)
    fields = {
        "event_type": "task_progress",
        "ts": "2026-01-31T12:00:00.123Z",
        "task_id": "build",
        "event_id": f"build:{number:08}",
    }
    head = json.dumps(fields, separators=(",", ":"))[:-1]
    return f'{head},"payload":{PAYLOAD}}}'.encode()


def whole_post(endpoint: Endpoint, media_type: str, body: bytes) -> bytes:
    head = endpoint.post_head(media_type, CLIENT)
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


def new_event() -> NewEvent:
    event_id = f"build:{next(_numbers):08}"
    return NewEvent(event_id, "task_progress", "build", "2026-01-31T12:00:00Z", PAYLOAD, utc_now())


def _committed(seq: int) -> CommittedEvents:
    new = new_event()
    fields = (EPOCH, seq, new.id, new.event_type, new.task_id, new.ts, new.payload)
    return CommittedEvents([Event(*fields, new.received_at)])
