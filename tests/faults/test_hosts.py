"""Several hosts on one Postgres: whatever way between them breaks, nothing is lost or doubled.

Each host is a network namespace, and a wire between them delays packets, and loses some or all.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import trio

from tests.support.accounts import Account
from tests.support.client.caller import Caller
from tests.support.client.streams import TRANSPORTS, Ended, Stream, stream
from tests.support.hosts.machines import RelayHost, relay_hosts, running_database
from tests.support.hosts.network import Network, network
from tests.support.ledger import Ledger, load
from tests.support.patience import PATIENCE

SOON = {"RELAY_DATABASE_TIMEOUT": "2", "RELAY_STREAM_BLIND": "5"}
SECRET = "stored after the revoke"
TO_THE_DATABASE, FROM_THE_DATABASE = ("a", "db"), ("db", "a")


@asynccontextmanager
async def hosts(folder: Path, made: Path) -> AsyncIterator[tuple[Network, RelayHost, RelayHost]]:
    """Two Relays and a Postgres, each on a host of its own."""
    async with (
        network("a", "b", "db") as wires,
        running_database(wires, "db", folder, made) as address,
        relay_hosts(wires, folder, address, "a", "b", **SOON) as (a, b),
    ):
        yield wires, a, b


async def call(host: RelayHost, path: str, token: str, **body: object) -> Any:
    async with Caller(host.port) as caller:
        answer = await caller.insist("POST", path, token, json.dumps(body).encode())
    assert answer.status in (200, 201), answer
    return answer.json


def an_event(payload: object, **fields: object) -> dict[str, object]:
    return {"event_type": "log", "ts": "2026-01-31T12:00:00Z", "payload": payload, **fields}


async def until_refused(host: RelayHost, account: Account) -> None:
    """Wait until a post on that host is refused, because the database is away."""
    body = json.dumps(an_event("again", event_id="again")).encode()
    with trio.fail_after(PATIENCE):
        async with Caller(host.port) as caller:
            while True:
                answer = await caller.call("POST", "/api/webhook/cli", account.hook, body)
                if answer.status == 503:
                    assert answer.json["code"] == "database_away"
                    return


async def to_its_end(opened: Stream) -> tuple[list[Any], int | None]:
    """The payloads that still come, and the close code."""
    messages: list[dict[str, Any]] = []
    with trio.fail_after(PATIENCE), suppress(Ended):
        while True:
            messages += await opened.read()
    codes = [one["code"] for one in messages if one.get("type") == "close"]
    return [one["payload"] for one in messages if "payload" in one], codes[0] if codes else None


async def test_a_host_that_is_cut_off_serves_no_revoked_reader_and_comes_back(
    tmp_path: Path, made_data: Path
) -> None:
    async with hosts(tmp_path, made_data) as (wires, a, b), load(a, b, users=2) as ledger:
        for lost in ([TO_THE_DATABASE, FROM_THE_DATABASE], [TO_THE_DATABASE], [FROM_THE_DATABASE]):
            watched = await Ledger(b).enrol("watched", [])
            revoked = (await call(b, "/api/token", watched.session))["token"]
            async with (
                stream(a.port, TRANSPORTS[0], revoked, insist=True) as one,
                stream(a.port, TRANSPORTS[1], revoked, insist=True) as other,
            ):
                for opened in (one, other):
                    assert (await opened.read())[0]["type"] == "hello"
                for source, to in lost:
                    await wires.one_way(source, to, loss=1)
                await until_refused(a, watched)
                await call(b, "/api/token/revoke", revoked)
                await call(b, "/api/webhook/cli", watched.hook, **an_event(SECRET))
                await ledger.goes_on()  # the other host serves all the while
                for opened in (one, other):
                    payloads, code = await to_its_end(opened)
                    assert SECRET not in payloads
                    assert code in (1013, 4401)
            await wires.heal()
            await a.ready()
            await ledger.answers(200)


async def test_a_bad_way_to_the_database_delays_and_loses_nothing(
    tmp_path: Path, made_data: Path
) -> None:
    async with hosts(tmp_path, made_data) as (wires, a, b), load(a, b, users=2) as ledger:
        for way in ({"delay": 0.1}, {"loss": 0.05}):  # seconds; a share
            watched = await Ledger(b).enrol("watched", [])
            async with stream(a.port, TRANSPORTS[0], watched.hook, insist=True) as opened:
                assert (await opened.read())[0]["type"] == "hello"
                for host in ("a", "b"):
                    await wires.between(host, "db", **way)
                await ledger.goes_on(60)
                await call(b, "/api/token/revoke", watched.hook)
                assert (await to_its_end(opened))[1] == 4401
            await wires.heal()
