"""Producers that disconnect within a post, and commits that finish out of order."""

import json
import random
import socket
import struct
from typing import Any
from uuid import UUID

import trio

from relay.db.append import build_statement, record_outcome
from relay.db.append_queue import AppendRequest
from relay.db.pool import DatabaseConnection, connect
from relay.events import NewEvent, utc_now
from tests.support.accounts import Account
from tests.support.client.caller import Caller
from tests.support.client.connection import connected
from tests.support.client.streams import TRANSPORTS, Stream, stream
from tests.support.ledger import Ledger, load
from tests.support.patience import PATIENCE, eventually
from tests.support.relay_process import Program

CUTS = 40  # posts that are cut, at a random byte each
WAITS_FOR_A_LOCK = """
    SELECT FROM pg_stat_activity
    WHERE wait_event_type = 'Lock' AND datname = current_database()
"""
RESET = struct.pack("ii", 1, 0)


def event(event_id: str) -> bytes:
    body = {"event_type": "log", "event_id": event_id, "ts": "2026-01-31T12:00:00Z", "payload": 1}
    return json.dumps(body).encode()


async def test_a_post_cut_half_way_is_all_or_nothing_and_its_retry_shows_which(
    plain_program: Program,
) -> None:
    rng = random.Random(7)
    outcomes = []
    async with load(plain_program) as ledger:
        account = await ledger.enrol("cut", [])
        async with Caller(plain_program.port) as caller:
            for n in range(CUTS):
                body = event(f"cut:{n}")
                head = (
                    f"POST /api/webhook/cli HTTP/1.1\r\nHost: x\r\n"
                    f"Authorization: Bearer {account.hook}\r\n"
                    f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
                ).encode()
                whole = head + body
                at = len(whole) if n % 2 else rng.randrange(len(whole))
                tcp = await connected(plain_program.port)
                await tcp.send_all(whole[:at])
                await trio.sleep(rng.choice((0, 0.001, 0.003, 0.01)))
                if rng.random() < 0.5:
                    tcp.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                await tcp.aclose()
                retry = await caller.insist("POST", "/api/webhook/cli", account.hook, body)
                assert retry.status == 200
                if at < len(whole):
                    assert retry.json["duplicate"] is False
                else:
                    outcomes.append(retry.json["duplicate"])
                again = await caller.insist("POST", "/api/webhook/cli", account.hook, body)
                assert again.json == {**retry.json, "duplicate": True}
        stored = [found["id"] for found in await ledger.stored(account)]
        assert stored == [f"cut:{n}" for n in range(CUTS)]
        ledger.accounts.remove(account)
    assert len(outcomes) == CUTS // 2


async def append(connection: DatabaseConnection, user_ids: list[str], ids: list[str]) -> list[int]:
    """What the journal does, on a connection of the test's own: a request an event; their seqs."""
    batch = [
        AppendRequest(
            UUID(user_id), [NewEvent(id, "log", None, "2026-01-31T12:00:00Z", "1", utc_now())]
        )
        for user_id, id in zip(user_ids, ids, strict=True)
    ]
    rows = await connection.fetch(*build_statement(batch))
    for waiting, row in zip(batch, rows, strict=True):
        record_outcome(waiting, row)
    return [waiting.receipts[0].seq for waiting in batch]


async def received(opened: Stream, count: int) -> list[dict[str, Any]]:
    """The next events of a stream."""
    events: list[dict[str, Any]] = []
    with trio.fail_after(PATIENCE):
        while len(events) < count:
            events += [message for message in await opened.read() if "event_type" in message]
    return events


async def test_a_late_commit_never_makes_a_reader_skip_a_seq(
    plain_program: Program, database_url: str
) -> None:
    ledger = Ledger(plain_program)
    account, other = await ledger.enrol("one", []), await ledger.enrol("other", [])
    seen: dict[str, list[int]] = {transport: [] for transport in TRANSPORTS}

    async def watch(transport: str, task_status: trio.TaskStatus[None]) -> None:
        async with stream(
            plain_program.port, transport, account.session, "?after=oldest", insist=True
        ) as opened:
            await opened.read()
            task_status.started()
            while len(seen[transport]) < 4:
                seen[transport] += [m["seq"] for m in await opened.read() if "seq" in m]

    async with (
        connect(database_url, timeout=PATIENCE) as slow,
        connect(database_url, timeout=PATIENCE) as quick,
        connect(database_url, timeout=PATIENCE) as aside,
        stream(plain_program.port, "sse", other.session, insist=True) as others,
        trio.open_nursery() as nursery,
    ):
        await others.read()
        for transport in TRANSPORTS:
            await nursery.start(watch, transport)
        await slow.execute("BEGIN")
        assert (await append(slow, [account.user_id], ["first"]))[0] == 1
        second: list[int] = []
        async with trio.open_nursery() as writers:

            async def overtake() -> None:
                second.append((await append(quick, [account.user_id], ["second"]))[0])

            writers.start_soon(overtake)
            with trio.fail_after(PATIENCE):
                while not await aside.fetch(WAITS_FOR_A_LOCK):  # noqa: ASYNC110 - another process
                    await trio.sleep(0.01)
            async with Caller(plain_program.port) as caller:
                # another user's stream does not wait for this one's
                elsewhere = await caller.insist(
                    "POST", "/api/webhook/cli", other.hook, event("elsewhere")
                )
                assert elsewhere.status == 200
            # what is not announced is found by the program's look at all streams, these included
            await append(aside, [other.user_id], ["untold"])
            assert [message["id"] for message in await received(others, 2)] == [
                "elsewhere",
                "untold",
            ]
            assert not second
            assert seen == {transport: [] for transport in TRANSPORTS}
            await slow.execute("COMMIT")
        assert second == [2]
        # one that is rolled back leaves no hole
        await slow.execute("BEGIN")
        assert (await append(slow, [account.user_id], ["never"]))[0] == 3
        await slow.execute("ROLLBACK")
        assert (await append(quick, [account.user_id], ["third"]))[0] == 3
        assert await append(slow, [account.user_id] * 2, ["first", "fourth"]) == [1, 4]
        await eventually(lambda: all(len(seqs) == 4 for seqs in seen.values()))
    assert seen == {transport: [1, 2, 3, 4] for transport in TRANSPORTS}


async def test_concurrent_batches_never_deadlock(plain_program: Program, database_url: str) -> None:
    ledger = Ledger(plain_program)
    accounts: list[Account] = [await ledger.enrol(f"u{n}", []) for n in range(4)]
    users = [account.user_id for account in accounts]

    async def write(order: list[str], name: str) -> None:
        async with connect(database_url, timeout=PATIENCE) as connection:
            for n in range(50):
                await append(connection, order, [f"{name}:{n}"] * len(order))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(write, users, "a")
        nursery.start_soon(write, users[::-1], "b")
        nursery.start_soon(write, users[1:] + users[:1], "c")
    for account in accounts:
        assert [found["seq"] for found in await ledger.stored(account)] == list(range(1, 151))
