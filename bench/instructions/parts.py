"""The parts of one post, each by itself, on what `operations.posts` sends.

Together they are less than the whole: what connects them is in no part.
"""

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import trio

from bench.instructions.database import EPOCH
from bench.instructions.operations import (
    JSON,
    NDJSON,
    Operation,
    Prepare,
    Run,
    new_event,
)
from bench.instructions.scene import Scene, answer_at_once, no_receive, no_send
from bench.instructions.stage import Stage
from relay.db.append import build_statement
from relay.db.append_queue import AppendRequest
from relay.events import utc_now
from relay.ingest.ingest import Accepted
from relay.ingest.parsing import parse_event
from relay.server.framing import body_reader
from relay.server.heads import parse_head
from relay.server.http_exchange import HTTPExchange
from relay.server.repeated_heads import LastHead
from relay.server.responses import ResponseWriter
from relay.server.screening import screen, wants_websocket
from relay.web.answers import json_answer
from relay.web.auth import credential_for
from relay.web.hooks import run_hooks
from relay.web.json import media_type
from relay.web.middleware.access_log import AccessLog
from relay.web.middleware.security_headers import SecurityHeaders
from relay.web.needs import PUBLISHER
from relay.web.rate_limits import charge_events
from relay.web.request import HTTPRequest

Call = Callable[[], Awaitable[object]]
Part = Callable[[Scene], Call]

COUNT = 40  # of each part at the least: a socket holds as many answers unread


def turn_of_the_scheduler(_scene: Scene) -> Call:
    return trio.lowlevel.checkpoint


def wait_and_read(scene: Scene) -> Call:
    """A turn of the scheduler, too, and the client's own write."""

    async def call() -> None:
        scene.client.send(scene.whole)
        head = await scene.reader.take_head(16_384, scene.server.limits)
        assert head is not None
        scene.reader.take_body(body_reader(scene.head))

    return call


def parse_the_head(scene: Scene) -> Call:
    async def call() -> None:
        head = parse_head(scene.raw_head)
        screen(head, scene.server.config, scene.server.limits)
        wants_websocket(head)

    return call


def recognize_the_head(scene: Scene) -> Call:
    """The head again, with another Content-Length."""
    last, known = LastHead(), b"Content-Length: %d\r\n" % len(scene.body)
    last.remember(scene.raw_head, scene.head)
    repeated = scene.raw_head.replace(known, b"Content-Length: 99\r\n")

    async def call() -> None:
        if last.recall(repeated) is None:
            raise RuntimeError("the head is not recognized")

    return call


def make_the_exchange(scene: Scene) -> Call:
    """The scope and the objects of one request and its response."""

    async def call() -> None:
        HTTPExchange(scene.server, scene.head, scene.scopes, scene.reader, scene.wire, last=False)

    return call


def middleware(scene: Scene) -> Call:
    """The access log with its metrics, and the headers of every answer."""
    app = AccessLog(SecurityHeaders(answer_at_once, secure=False))
    scope: Any = scene.scopes.http(scene.head, scene.handle)
    return partial(app, scope, no_receive, no_send)


def route_and_hooks(scene: Scene) -> Call:
    """The request's object, its route, and the checks before every handler."""
    app: Any = scene.stage.app
    scope = scene.scopes.http(scene.head, scene.handle)
    budgets = app.body_budget, app.answer_budget

    async def call() -> None:
        request = HTTPRequest(scope, no_receive, no_send, scene.stage.services, *budgets)
        route = app.direct_routes.find("POST", request)
        run_hooks(request, route.rule)

    return call


def credential(scene: Scene) -> Call:
    request = scene.new_request()

    async def call() -> None:
        request.found_credential = None
        await credential_for(request, PUBLISHER)

    return call


def media_type_and_limits(scene: Scene) -> Call:
    request = scene.new_request()

    async def call() -> None:
        if request.found_credential is None:
            await credential_for(request, PUBLISHER)
        media_type(request, JSON, NDJSON)
        await charge_events(request, 1)

    return call


def parse_the_event(scene: Scene) -> Call:
    now = utc_now()

    async def call() -> None:
        parse_event(scene.body, now)

    return call


def place_of_the_user(scene: Scene) -> Call:
    limit = scene.stage.services.publisher.user_limit

    async def call() -> None:
        async with limit.slot(scene.user_id, 1, len(scene.body)):
            pass

    return call


def arguments_of_the_commit(scene: Scene) -> Call:
    event = new_event()

    async def call() -> None:
        build_statement([AppendRequest(scene.user_id, [event])])

    return call


def journal_and_delivery(scene: Scene) -> Call:
    """A commit by the request itself, a turn for the database, and no reader."""
    publisher, events = scene.stage.services.publisher, (new_event(),)

    async def call() -> None:
        await publisher.publish(scene.user_id, events)

    return call


def receipt(_scene: Scene) -> Call:
    numbers = itertools.count(1)

    async def call() -> None:
        number = next(numbers)
        json_answer(Accepted("build:00000001", number, f"{EPOCH}.{number}", False, 0))

    return call


def write_the_answer(scene: Scene) -> Call:
    async def call() -> None:
        response = ResponseWriter(scene.server, scene.head, scene.wire, scene.handle, last=False)
        await response.start(200, scene.answer.headers)
        await response.body(scene.answer.body, more=False)

    return call


_PARTS: dict[str, Part] = {
    "a turn of trio's scheduler": turn_of_the_scheduler,
    "wait for the request and read it": wait_and_read,
    "parse and screen a new head": parse_the_head,
    "or recognize a repeated one": recognize_the_head,
    "make scope and response": make_the_exchange,
    "access log, metrics, security headers": middleware,
    "find route, check origin and path": route_and_hooks,
    "credential": credential,
    "media type and rate limits": media_type_and_limits,
    "parse and check the event": parse_the_event,
    "place of the user": place_of_the_user,
    "arguments of the statement": arguments_of_the_commit,
    "journal and delivery": journal_and_delivery,
    "receipt": receipt,
    "write the answer": write_the_answer,
}


def _operation(part: Part) -> Operation:
    """The part as an operation that is counted."""

    @asynccontextmanager
    async def operation(stage: Stage) -> AsyncIterator[Prepare]:
        async with trio.open_nursery() as nursery:
            scene = Scene(stage, nursery)
            call = part(scene)

            def prepare(count: int) -> Run:
                scene.drain()

                async def run() -> None:
                    for _ in range(count):
                        await call()

                return run

            yield prepare
            scene.close()

    return operation


PARTS: dict[str, tuple[Operation, int]] = {
    name: (_operation(part), COUNT) for name, part in _PARTS.items()
}
"""Each by its name, and how many of it are counted at the least."""
