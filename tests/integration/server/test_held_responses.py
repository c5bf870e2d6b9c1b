"""Held responses: sent late or made anew, in order, and freed whatever ends them."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio
import trio.testing

from relay.server.handle import HANDLE_EXTENSION
from relay.server.limits import ConnectionLimits
from tests.support.certificates import self_signed
from tests.support.client.connection import ClientConnection
from tests.support.server.held_calls import ANEW, READY, Call, Holding, respond
from tests.support.server.raw_answers import problem
from tests.support.server.stage import HOUR, Server, Stage, get, lifespan, serving

CALLS = 64


@pytest.fixture
def app() -> Holding:
    return Holding()


@pytest.fixture
async def holding(app: Holding) -> AsyncIterator[Server]:
    async with serving(app) as running:
        yield running


async def asked(server: Server, count: int = 1) -> list[ClientConnection]:
    clients = []
    for _ in range(count):
        client = await server.connect()
        await client.send(get("/ask"))
        clients.append(client)
    return clients


async def test_a_held_response_is_sent_when_its_wait_ends_and_not_before(
    holding: Server, app: Holding
) -> None:
    (client,) = await asked(holding)
    (call,) = await app.held()
    order: list[str] = []

    async def read() -> None:
        assert (await client.response())[1] == READY
        order.append("sent")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await trio.testing.wait_all_tasks_blocked()
        order.append("ended")
        call.release()
    assert order == ["ended", "sent"]
    assert call.finished == [True]


async def test_nothing_of_its_request_stays_in_memory(holding: Server, app: Holding) -> None:
    await asked(holding)
    (call,) = await app.held()
    assert [weight() for weight in app.weights] == [None]
    call.release()


async def test_a_response_that_does_not_hold_is_made_anew_from_the_same_head(
    holding: Server, app: Holding
) -> None:
    client = await holding.connect()
    body = "Content-Length: 4", "X-Twice: a", "X-Twice: b", "X-Odd: \xff"
    await client.send(get("/ask?n=1", *body).replace(b"GET", b"POST") + b"body")
    (call,) = await app.held()
    call.release(anew=True)
    assert (await client.response("POST"))[1] == ANEW
    assert call.finished == [False]
    (method, path, sent, headers), again = app.requests
    del headers[b"content-length"]
    assert again == (method, path, b"", headers)
    assert (method, path, sent, headers[b"x-odd"]) == ("POST", "/ask", b"body", b"\xff")


@pytest.mark.parametrize("anew", [False, True])
async def test_requests_behind_a_held_one_are_answered_after_it(
    holding: Server, app: Holding, anew: bool
) -> None:
    client = await holding.connect()
    await client.send(get("/first") + get("/second"))
    (first,) = await app.held()
    await client.send(get("/third"))
    first.release(anew=anew)
    answers = [(await client.response())[1]]
    for count in (2, 3):
        (await app.held(count))[-1].release()
        answers.append((await client.response())[1])
    assert answers == [ANEW if anew else READY, READY, READY]
    paths = [path for _, path, *_ in app.requests]
    assert paths == ["/first", *["/first"] * anew, "/second", "/third"]


async def test_more_than_is_buffered_behind_a_held_request_is_read_after_it(
    holding: Server, app: Holding
) -> None:
    client = await holding.connect()
    await client.send(get("/first"))
    (first,) = await app.held()
    many = 400  # requests: several times what is buffered
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.send, get("/next", "X-Filler: " + "x" * 100) * many)
        await trio.testing.wait_all_tasks_blocked()
        first.release()
        assert (await client.response())[1] == READY
        for count in range(2, 2 + many):
            (await app.held(count))[-1].release()
            assert (await client.response())[1] == READY


@pytest.mark.parametrize("anew", [False, True])
async def test_a_client_that_half_closes_gets_its_answer(
    holding: Server, app: Holding, anew: bool
) -> None:
    (client,) = await asked(holding)
    (call,) = await app.held()
    call._anew = anew
    await client.send_eof()
    assert (await client.rest()).endswith(ANEW if anew else READY)
    assert call.left
    assert call.finished == [not anew]


async def end_in_time(server: Server, calls: list[Call], clients: list[ClientConnection]) -> None:
    for call in calls:
        call.release()
    for client in clients:
        assert (await client.response())[1] == READY
        client.drop()


async def end_anew(server: Server, calls: list[Call], clients: list[ClientConnection]) -> None:
    for call in calls:
        call.release(anew=True)
    for client in clients:
        assert (await client.response())[1] == ANEW
        client.drop()


async def leave(server: Server, calls: list[Call], clients: list[ClientConnection]) -> None:
    for client in clients:
        await client.aclose()


async def reset(server: Server, calls: list[Call], clients: list[ClientConnection]) -> None:
    for client in clients:
        client.reset_when_closed()
        client.drop()


async def drain(server: Server, calls: list[Call], clients: list[ClientConnection]) -> None:
    server.stop.set()
    await trio.testing.wait_all_tasks_blocked()
    for call in calls:
        call.release(anew=True)
    for client in clients:
        answer = await client.rest()
        assert answer.endswith(ANEW)
        assert b"connection: close" in answer
        client.drop()


async def cut(server: Server, calls: list[Call], clients: list[ClientConnection]) -> None:
    """The server's time to stop is over."""
    server.stop.set()
    for client in clients:
        assert await client.rest() == b""


@pytest.mark.parametrize("way", [end_in_time, end_anew, leave, reset, drain, cut])
async def test_each_of_many_held_calls_is_finished_once_whatever_ends_it(
    app: Holding, way: Any
) -> None:
    grace = 0.1 if way is cut else HOUR
    async with serving(app, graceful_timeout=grace) as server:
        clients = await asked(server, CALLS)
        calls = list(await app.held(CALLS))
        await way(server, calls, clients)
        await server.observer.until(lambda: server.observer.live == 0)
        assert [len(call.finished) for call in calls] == [1] * CALLS
        assert [weight() for weight in app.weights if weight() is not None] == []
        if server.stop.is_set():
            await server.stopped.wait()


async def test_a_held_call_is_finished_when_its_application_fails_or_does_not_answer() -> None:
    calls: list[Call] = []

    async def fails(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
            return
        calls.append(Call())
        scope["extensions"][HANDLE_EXTENSION].hold(calls[-1])
        if scope["path"] == "/late":
            await respond(send, READY)
        if scope["path"] != "/silent":
            raise LookupError

    async with serving(fails) as server:
        for path in ("/early", "/late", "/silent"):
            assert problem(await server.ask(get(path)))["code"] == "internal_error"
            assert calls[-1].finished == [False]
    assert len(calls) == 3


async def test_a_connection_that_is_cancelled_while_its_application_runs_frees_its_call(
    stage: Stage,
) -> None:
    call = Call()
    async with serving(stage, graceful_timeout=0.1) as server:
        await asked(server)
        visit = await stage.visit()
        visit.handle.hold(call)
        await visit.respond()
        server.stop.set()
        await server.stopped.wait()
    assert call.finished == [False]


async def test_a_response_without_a_length_is_sent_at_once(server: Server, stage: Stage) -> None:
    client = await server.connect()
    await client.send(get())
    visit = await stage.visit()
    call = Call()
    visit.handle.hold(call)
    with pytest.raises(RuntimeError):
        visit.handle.hold(Call())
    await visit.start()
    await visit.body(b"at once")
    visit.leave()
    assert (await client.response())[1] == b"at once"
    await client.send(get())
    await stage.visit()
    assert call.finished == [False]
    with pytest.raises(RuntimeError):
        visit.handle.hold(Call())


@pytest.mark.parametrize("request_head", [get("/", "Connection: close"), get(version="1.0")])
async def test_the_last_response_of_a_connection_is_held_too(
    holding: Server, app: Holding, request_head: bytes
) -> None:
    client = await holding.connect()
    await client.send(request_head)
    (call,) = await app.held()
    call.release()
    answer = await client.rest()
    assert b"connection: close" in answer
    assert answer.endswith(READY)


async def test_head_gets_the_head_of_a_held_response(holding: Server, app: Holding) -> None:
    client = await holding.connect()
    await client.send(get("/", "Connection: close").replace(b"GET", b"HEAD"))
    (call,) = await app.held()
    call.release()
    answer = await client.rest()
    assert b"content-length: %d\r\n" % len(READY) in answer
    assert answer.endswith(b"\r\n\r\n")


async def test_held_responses_are_sent_under_tls(app: Holding, tmp_path: Any) -> None:
    settings: dict[str, Any] = self_signed(tmp_path)
    async with serving(app, **settings) as server:
        client = await server.connect()
        await client.send(get("/one") + get("/two"))
        for count in (1, 2):
            (await app.held(count))[-1].release(anew=count == 2)
        answers = [(await client.response())[1] for _ in range(2)]
        assert answers == [READY, ANEW]


async def test_a_connection_whose_response_is_held_does_not_make_room_for_others(
    app: Holding,
) -> None:
    async with serving(app, limits=ConnectionLimits(max_connections=1)) as server:
        (client,) = await asked(server)
        (call,) = await app.held()
        assert problem(await server.ask(get()))["code"] == "unavailable"
        call.release()
        assert (await client.response())[1] == READY
