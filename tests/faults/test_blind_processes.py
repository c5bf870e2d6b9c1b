"""A process that cannot learn of revocations delivers nothing, and then ends its streams.

What a poll would have found is on the other side of a cut, or in a table that is locked away.
"""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import trio

from relay.db.append import build_statement
from relay.db.append_queue import AppendRequest
from relay.db.pool import connect
from relay.events import NewEvent, utc_now
from tests.support.accounts import Account
from tests.support.client.caller import Caller
from tests.support.client.streams import TRANSPORTS, Ended, Refused, Stream, stream
from tests.support.database_proxy import Line, line_to
from tests.support.ledger import Ledger
from tests.support.patience import PATIENCE
from tests.support.relay_process import Program, running

TRUST_SECONDS = 1.0
POLLS_OFTEN = {
    "relay.auth.revocations.TRUST_SECONDS": TRUST_SECONDS,
    "relay.auth.credentials.REVOCATION_POLL_INTERVAL": 0.2,
}


@pytest.fixture
async def line(database_url: str) -> AsyncIterator[Line]:
    async with line_to(database_url) as line:
        yield line


async def call(program: Program, path: str, token: str, **body: object) -> dict[str, Any]:
    async with Caller(program.port) as caller:
        answer = await caller.insist("POST", path, token, json.dumps(body).encode())
    assert answer.status in (200, 201), answer
    found: dict[str, Any] = answer.json
    return found


async def post(program: Program, account: Account, number: int) -> None:
    event = {"event_type": "log", "ts": "2026-01-31T12:00:00Z", "payload": number}
    await call(program, "/api/webhook/cli", account.hook, **event)


@asynccontextmanager
async def opened(program: Program, *tokens: str) -> AsyncIterator[list[list[Stream]]]:
    """For each token a stream on each transport, which has its hello."""
    async with AsyncExitStack() as stack:
        found = []
        for token in tokens:
            streams = [
                await stack.enter_async_context(stream(program.port, transport, token, insist=True))
                for transport in TRANSPORTS
            ]
            for one in streams:
                assert (await one.read())[0]["type"] == "hello"
            found.append(streams)
        yield found


async def ends(opened: Stream) -> tuple[int, str]:
    """Its close code and reason; nothing else may come before."""
    with trio.fail_after(PATIENCE):
        (close,) = await opened.read()
        assert close["type"] == "close", close
        with pytest.raises(Ended) as ended:
            await opened.read()
    assert ended.value.code in (close["code"], None)  # SSE has none
    return close["code"], close["reason"]


async def test_a_process_without_its_database_delivers_nothing_and_ends_its_streams(
    tmp_path: Path, database_url: str, line: Line
) -> None:
    here, there = (Program(tmp_path / name, database_url) for name in ("here", "there"))
    there.settings |= {
        "DATABASE_URL": line.dsn,
        "RELAY_DATABASE_TIMEOUT": "2",
        "RELAY_STREAM_BLIND": "5",
    }
    for program in (here, there):
        program.folder.mkdir()
        program.settings["BASE_URL"] = here.url
    async with running(here, there):
        account = await Ledger(here).enrol("u", [])
        revoked = (await call(here, "/api/token", account.session))["token"]
        async with opened(there, revoked, account.session) as streams:
            line.stall()
            await call(here, "/api/token/revoke", revoked)
            for number in range(3):
                await post(here, account, number)
            for one in [*streams[0], *streams[1]]:
                assert await ends(one) == (1013, "blind")
            assert [line["streams"] for line in there.logged("streams_blind")] == [4]
            line.flow()
        for transport in TRANSPORTS:  # where the database answers they come back
            async with stream(here.port, transport, account.session, "?after=oldest") as again:
                seen = [message["seq"] for message in await again.read() if "seq" in message]
                while len(seen) < 3:
                    seen += [message["seq"] for message in await again.read()]
                assert seen == [1, 2, 3]
            with pytest.raises(Refused):
                async with stream(here.port, transport, revoked):
                    pass


async def test_what_is_stored_while_revocations_are_unknown_waits_until_they_are_known(
    tmp_path: Path, database_url: str
) -> None:
    """Events can be read all the while: the tables of credentials are away, and no other."""
    program = Program(tmp_path, database_url)
    program.altered = POLLS_OFTEN
    async with (
        running(program),
        connect(database_url, timeout=PATIENCE) as database,
    ):
        account = await Ledger(program).enrol("u", [])
        made = await call(program, "/api/token", account.session)
        async with opened(program, made["token"], account.session) as (revoked, live):
            for table in ("tokens", "sessions"):
                await database.execute(f"ALTER TABLE {table} RENAME TO away_{table}")
            await program.says("database_away")
            await trio.sleep(TRUST_SECONDS)
            stored_at = utc_now()
            event = NewEvent("late", "log", None, "2026-01-31T12:00:00Z", "1", stored_at)
            await database.fetch(*build_statement([AppendRequest(UUID(account.user_id), [event])]))
            await database.execute(
                f"UPDATE away_tokens SET revoked_at = now() WHERE token_id = '{made['token_id']}'"
            )
            # the process has read the event
            await program.shows("relay_backplane_lag_seconds_count", lambda count: count >= 1)
            for table in ("tokens", "sessions"):
                await database.execute(f"ALTER TABLE away_{table} RENAME TO {table}")
            for one in revoked:
                assert await ends(one) == (4401, "revoked")
            for one in live:
                with trio.fail_after(PATIENCE):
                    assert [message["id"] for message in await one.read()] == ["late"]
