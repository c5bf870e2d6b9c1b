"""An EventSource that meets a stop or a replacement comes back by itself: 200 and a pause."""

import json
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx
import psutil
import pytest
import trio

from tests.support.accounts import Account
from tests.support.client.caller import RETRY_INTERVAL
from tests.support.client.connection import ClientConnection, connected
from tests.support.client.protocol import fields_of, head
from tests.support.client.streams import stream
from tests.support.ledger import Ledger
from tests.support.relay_process import Program, running
from tests.support.workers import Workers

EVENT_STREAM = "text/event-stream"
READERS = 4
A_TEST_LONG = 600.0  # seconds that a process which has a stream goes on draining


def processes(program: Program) -> list[psutil.Process]:
    """Those that serve."""
    return program.workers() if isinstance(program, Workers) else [psutil.Process(program.pid)]


@asynccontextmanager
async def watched(program: Program, account: Account) -> AsyncIterator[None]:
    """Streams, at least one of each process that serves."""
    ports: set[int] = set()

    def has_one(process: psutil.Process) -> bool:
        peers = [each.raddr.port for each in process.net_connections("tcp") if each.raddr]
        return bool(ports & set(peers))

    async with AsyncExitStack() as stack:
        while not all(map(has_one, processes(program))):
            opened = await stack.enter_async_context(
                stream(program.port, "sse", account.session, insist=True)
            )
            await opened.hello()
            ports.add(opened.connection.port)
        yield


def request(account: Account, accept: str) -> bytes:
    lines = [f"Authorization: Bearer {account.session}", f"Accept: {accept}"]
    return head("/api/sse", *lines, method="GET")


def close_message(answer: httpx.Response) -> dict[str, object]:
    """The `close` of a short stream, which says the same pause twice."""
    assert answer.headers["Content-Type"] == f"{EVENT_STREAM}; charset=utf-8"
    fields = fields_of(answer.text.rstrip("\n").split("\n"))
    message: dict[str, object] = json.loads(fields["data"])
    assert (fields["event"], fields["retry"]) == ("close", str(message["retry_after_ms"]))
    return message


@pytest.mark.parametrize("kind", [Program, Workers])
async def test_a_request_begun_on_a_kept_connection_before_sigterm_gets_a_retry_time(
    tmp_path: Path, database_url: str, kind: type[Program]
) -> None:
    # a process that ends its streams so slowly has to begin that long before it is blind
    program = kind(tmp_path, database_url, RELAY_STREAM_BLIND=f"{2 * A_TEST_LONG:.0f}")
    program.altered = {"relay.realtime.stream_ends.SPREAD_SECONDS": A_TEST_LONG}
    async with running(program), AsyncExitStack() as stack:
        account = await Ledger(program).enrol("u", [])
        await stack.enter_async_context(watched(program, account))
        begun: list[tuple[ClientConnection, str]] = []
        for number in range(2 * READERS):
            connection = await stack.enter_async_context(
                ClientConnection(await connected(program.port))
            )
            await connection.send(head("/healthz", method="GET"))
            assert (await connection.answer("GET")).status_code == 200
            begun.append((connection, EVENT_STREAM if number % 2 else "*/*"))
            await connection.send(request(account, begun[-1][1])[:-2])
        program.signal(signal.SIGTERM)
        await program.says("draining", len(processes(program)))
        for connection, accept in begun:
            await connection.send(request(account, accept)[-2:])
            answer = await connection.answer("GET")
            assert answer.headers["Connection"] == "close"
            if accept == EVENT_STREAM:
                assert answer.status_code == 200
                message = close_message(answer)
                assert (message["code"], message["reason"]) == (1012, "draining")
            else:
                assert (answer.status_code, answer.json()["code"]) == (503, "draining")
            assert await connection.rest() == b""
        # the log has the true status, of as many as it has lines for in a second
        ended = [line for line in program.logged("request_ended") if line["route"] == "/api/sse"]
        assert {line["status"] for line in ended} - {200} == {503}


async def test_replaced_workers_answer_every_reader_with_a_stream(
    tmp_path: Path, database_url: str
) -> None:
    program = Workers(tmp_path, database_url)
    async with running(program):
        account = await Ledger(program).enrol("u", [])
        before = {worker.pid for worker in program.workers()}
        firsts: Counter[str] = Counter()  # the first message of each stream
        replaced = trio.Event()

        async def come_and_go() -> None:
            headers = {"Accept": EVENT_STREAM}
            while not replaced.is_set():
                # raises Refused for another status, Lost for a connection without an answer
                async with stream(program.port, "sse", account.session, headers=headers) as opened:
                    firsts[str((await opened.next())["type"])] += 1
                await trio.sleep(RETRY_INTERVAL)

        async with trio.open_nursery() as nursery:
            for _ in range(READERS):
                nursery.start_soon(come_and_go)
            program.signal(signal.SIGHUP)
            await program.says("worker_ended", len(before))
            replaced.set()
        assert not before & {worker.pid for worker in program.workers()}
        assert set(firsts) <= {"hello", "close"}
        assert firsts["hello"] > 0
