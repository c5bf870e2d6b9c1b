"""Clients that read slowly, and clients that do not."""

import json
from functools import partial

import psutil
import trio

from tests.support.backlog import stuff
from tests.support.client.caller import Caller
from tests.support.client.streams import TRANSPORTS, stream
from tests.support.ledger import Ledger, load
from tests.support.patience import PATIENCE, eventually
from tests.support.relay_process import Program

BACKLOG = 20_000  # events stored before the reader comes
PIECE, PAUSE = 8192, 0.003  # bytes it reads at a time, seconds it rests before
ROOM = 40 * 2**20  # bytes Relay may grow by meanwhile; the backlog alone is 8 MiB of text


async def test_slow_readers_catch_up_to_the_last_event_while_live_goes_on(
    plain_program: Program,
) -> None:
    account = await Ledger(plain_program).enrol("u", [])
    process = psutil.Process(plain_program.pid)
    last, reading = BACKLOG, len(TRANSPORTS)
    line = json.dumps(
        {"event_type": "log", "ts": "2026-01-31T12:00:00Z", "payload": "x" * 200}
    ).encode()

    async def publish() -> None:
        nonlocal last
        async with Caller(plain_program.port) as caller:
            while reading:
                answer = await caller.insist("POST", "/api/webhook/cli", account.hook, line)
                assert answer.status == 200
                last = answer.json["seq"]
                await trio.sleep(0.01)

    async def read(transport: str) -> None:
        nonlocal reading
        seq = 0
        async with stream(
            *(plain_program.port, transport, account.session, "?after=oldest"),
            window=16_384,
            drip=(PIECE, PAUSE),
            insist=True,
        ) as opened:
            while seq < last:
                for message in await opened.read():
                    if "event_type" in message:
                        seq += 1
                        assert message["seq"] == seq
        assert seq > BACKLOG
        reading -= 1

    async with load(plain_program, users=1), Caller(plain_program.port) as caller:
        memory = process.memory_info().rss
        for _ in range(BACKLOG // 1000):
            answer = await caller.insist(
                *("POST", "/api/webhook/cli", account.hook),
                *(b"\n".join([line] * 1000), "application/x-ndjson"),
            )
            assert answer.status == 200
        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(publish)
                for transport in TRANSPORTS:
                    nursery.start_soon(read, transport)
    assert process.memory_info().rss - memory < ROOM


async def test_a_stalled_reader_ends_when_its_token_is_revoked(program: Program) -> None:
    account = await Ledger(program).enrol("u", [])
    await stuff(program, account)
    for transport in TRANSPORTS:
        async with Caller(program.port) as caller:
            made = (await caller.insist("POST", "/api/token", account.session)).json
            async with stream(
                *(program.port, transport, made["token"], "?after=oldest"), window=4096, insist=True
            ) as opened:
                client = opened.connection.port
                await eventually(partial(is_stuck, program.port, client))
                assert await program.metric("relay_connected_sockets") == 1
                answer = await caller.insist(
                    "POST",
                    "/api/token/revoke",
                    account.session,
                    json.dumps({"token_id": made["token_id"]}).encode(),
                )
                assert answer.status == 200
                await program.shows("relay_connected_sockets", lambda streams: streams == 0)


def is_stuck(server: int, client: int) -> bool:
    """Whether the kernel holds bytes of the server's for this client, which does not take them.

    Both ports say which connection it is: elsewhere on the machine others use the same one.
    """
    ends = (f":{server:04X}", f":{client:04X}")
    with open("/proc/net/tcp") as connections:
        for line in connections:
            _, local, remote, _, queues, *_ = line.split()
            if (local[-5:], remote[-5:]) == ends:
                return int(queues.partition(":")[0], 16) > 0
    return False
