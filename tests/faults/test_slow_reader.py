"""Clients that read slowly, and clients that do not."""

import json

import psutil
import trio

from tests.faults.ledger import Ledger, load
from tests.faults.program import Program
from tests.faults.test_crowd import live_streams
from tests.faults.test_drain import stuff
from tests.faults.wire import DOORS, Caller, stream

BACKLOG = 20_000  # events stored before the reader comes
PIECE, PAUSE = 8192, 0.003  # bytes it reads at a time, seconds it rests before
NOISE = 3.0  # seconds a busy machine may add to the second that a revoke may take
ROOM = 40 * 2**20  # bytes Relay may grow by meanwhile; the backlog alone is 8 MiB of text


async def test_slow_readers_catch_up_to_the_last_event_while_live_goes_on(
    plain_program: Program,
) -> None:
    account = await Ledger(plain_program).enrol("u", [])
    process = psutil.Process(plain_program.pid)
    last, reading = BACKLOG, len(DOORS)
    line = json.dumps(
        {"event_type": "log", "ts": "2026-01-31T12:00:00Z", "payload": "x" * 200}
    ).encode()

    async def publish() -> None:
        nonlocal last
        async with Caller(plain_program.port) as caller:
            while reading:
                answer = await caller.call("POST", "/api/webhook/cli", account.hook, line)
                assert answer.status == 200
                last = answer.json["seq"]
                await trio.sleep(0.01)

    async def read(door: str) -> None:
        nonlocal reading
        seq = 0
        async with stream(
            *(plain_program.port, door, account.session, "?after=oldest"),
            window=16_384,
            drip=(PIECE, PAUSE),
        ) as opened:
            while seq < last:
                for message in await opened.next():
                    if "event_type" in message:
                        seq += 1
                        assert message["seq"] == seq
        assert seq > BACKLOG
        reading -= 1

    async with load(plain_program, users=1), Caller(plain_program.port) as caller:
        memory = process.memory_info().rss
        for _ in range(BACKLOG // 1000):
            answer = await caller.call(
                *("POST", "/api/webhook/cli", account.hook),
                *(b"\n".join([line] * 1000), "application/x-ndjson"),
            )
            assert answer.status == 200
        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(publish)
                for door in DOORS:
                    nursery.start_soon(read, door)
    assert process.memory_info().rss - memory < ROOM


async def test_a_stalled_reader_is_gone_when_its_token_is_revoked(program: Program) -> None:
    account = await Ledger(program).enrol("u", [])
    await stuff(program, account)
    for door in DOORS:
        async with Caller(program.port) as caller:
            made = (await caller.call("POST", "/api/token", account.session)).json
            async with stream(program.port, door, made["token"], "?after=oldest", window=4096):
                await trio.sleep(0.5)
                assert await live_streams(program) == 1
                answer = await caller.call(
                    "POST",
                    "/api/token/revoke",
                    account.session,
                    json.dumps({"token_id": made["token_id"]}).encode(),
                )
                assert answer.status == 200
                with trio.fail_after(1 + NOISE):
                    while await live_streams(program):  # noqa: ASYNC110
                        await trio.sleep(0.05)
