"""Limits that two Relays count together in a Valkey: exact, and never a reason for a 503."""

import json
import signal
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import cycle
from pathlib import Path

import pytest
import trio

from tests.support.client.caller import Caller
from tests.support.client.streams import TRANSPORTS, Refused, stream
from tests.support.patience import PATIENCE, eventually
from tests.support.relay_process import Program, running
from tests.support.valkey_servers import Cluster, own_channels, started

SIGNUPS, EVENTS, STREAMS = 10, 1_200, 6
SETTINGS = {
    "RELAY_RATE_LIMITS": "on",
    "RELAY_RATE_SIGNUPS": f"{SIGNUPS}/h",
    "RELAY_RATE_EVENTS_PER_TOKEN": f"1/h burst {EVENTS}",
    "RELAY_RATE_HANDSHAKES": "100000/min",
    "RELAY_RATE_PAGES": "100000/min",
    "RELAY_MAX_CONNECTIONS_PER_USER": str(STREAMS),
}
PLACES = "relay.realtime.valkey.shared_places"
SLOW_ANSWERS = {
    "relay.realtime.valkey.scripts.ANSWER_SECONDS": PATIENCE,
    "relay.realtime.valkey.connection.ANSWER_SECONDS": PATIENCE,
    "relay.realtime.valkey.topology.LOOK_TIMEOUT_SECONDS": PATIENCE,
}
SOON_BACK = {f"{PLACES}.EXPIRY_SECONDS": 6.0, f"{PLACES}.RENEWAL_SECONDS": 0.25}


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    cluster = Cluster("valkey", tmp_path)
    with started(cluster):
        yield cluster


@asynccontextmanager
async def two(
    folder: Path, database_url: str, valkey_url: str, **altered: float
) -> AsyncIterator[list[Program]]:
    """Two Relays that know of each other, and count together."""
    shared = own_channels(valkey_url)
    programs = [
        Program(folder / name, database_url, **SETTINGS, **shared) for name in ("here", "there")
    ]
    for program in programs:
        program.folder.mkdir()
        program.settings["BASE_URL"] = programs[0].url
        program.altered = altered
    async with running(*programs):
        for program in programs:
            await program.shows("relay_backplane_processes", lambda count: count == 2)
            await program.shows("relay_limits_shared", lambda shared: shared == 1)
        yield programs


async def sign_up(program: Program) -> tuple[int, str]:
    """The status, and the new user's session."""
    async with Caller(program.port) as caller:
        answer = await caller.insist("POST", "/api/user")
    return answer.status, answer.json.get("session_token", "")


async def hook_of(program: Program, session: str) -> str:
    async with Caller(program.port) as caller:
        return str((await caller.insist("POST", "/api/token", session)).json["token"])


async def post(program: Program, hook: str, lines: int) -> int:
    event = {"event_type": "log", "ts": "2026-01-31T12:00:00Z", "payload": 1}
    body = (json.dumps(event) + "\n").encode() * lines
    async with Caller(program.port) as caller:
        kind = "application/x-ndjson"
        return (await caller.insist("POST", "/api/webhook/cli", hook, body, kind)).status


async def test_two_processes_count_as_one(
    tmp_path: Path, database_url: str, valkey_cluster_url: str
) -> None:
    async with two(
        tmp_path, database_url, valkey_cluster_url, **SLOW_ANSWERS, **SOON_BACK
    ) as programs:
        statuses: Counter[int] = Counter()
        sessions: list[str] = []

        async def one(program: Program) -> None:
            status, session = await sign_up(program)
            statuses[status] += 1
            sessions.extend([session] * (status == 201))

        async with trio.open_nursery() as nursery:
            for _ in range(20):
                for program in programs:
                    nursery.start_soon(one, program)
        assert statuses == {201: SIGNUPS, 429: 40 - SIGNUPS}

        hook, taken = await hook_of(programs[0], sessions[0]), 0

        async def some(program: Program, lines: int) -> None:
            nonlocal taken
            status = await post(program, hook, lines)
            assert status in (200, 429)
            taken += lines if status == 200 else 0

        async with trio.open_nursery() as nursery:
            for lines in [1] * 20 + [30] * 20 + [300] * 2:
                for program in programs:
                    nursery.start_soon(some, program, lines)
        assert EVENTS * 3 // 4 < taken <= EVENTS

        here, there = programs
        async with AsyncExitStack() as stack:
            opened = zip(cycle(programs), cycle(TRANSPORTS), range(STREAMS), strict=False)
            for program, transport, _ in opened:
                await stack.enter_async_context(stream(program.port, transport, sessions[1]))
            for program in programs:
                for transport in TRANSPORTS:
                    with pytest.raises(Refused) as refused:
                        await stack.enter_async_context(
                            stream(program.port, transport, sessions[1])
                        )
                    assert refused.value.answer.status == 429
            await there.kill()
            places = STREAMS // 2
            with trio.fail_after(PATIENCE):
                while places:  # those of the process that died come back, one for each
                    try:
                        again = stream(here.port, "websocket", sessions[1])
                        await stack.enter_async_context(again)
                        places -= 1
                    except Refused:
                        await trio.sleep(0.1)
            with pytest.raises(Refused):
                await stack.enter_async_context(stream(here.port, "sse", sessions[1]))


async def test_without_its_valkey_each_counts_alone_and_refuses_nothing_for_it(
    tmp_path: Path, database_url: str, cluster: Cluster
) -> None:
    async with two(tmp_path, database_url, cluster.url) as programs:
        here, _ = programs
        sessions = [(await sign_up(program))[1] for program in programs]
        hooks = [await hook_of(here, session) for session in sessions]
        for stop, again in ((signal.SIGSTOP, signal.SIGCONT), (None, None)):
            for server in cluster.servers:
                if stop is None:
                    await trio.to_thread.run_sync(server.end)
                else:
                    server.signal(stop)
            for program in programs:
                for hook in hooks:
                    assert await post(program, hook, 50) == 200
                async with stream(program.port, "websocket", sessions[0]):
                    pass
                async with Caller(program.port) as caller:
                    answer = await caller.call("GET", "/api/me", sessions[1])
                    assert (answer.status, "ratelimit-remaining" in answer.headers) == (200, True)
                await program.shows("relay_limits_shared", lambda shared: shared == 0)
            for server in cluster.servers:
                if again is None:
                    server.start()
                else:
                    server.signal(again)
            for program in programs:
                await program.shows("relay_limits_shared", lambda shared: shared == 1)
        for program in programs:
            logged = Counter(line["event"] for line in program.log)
            # one warning for an outage, of which a starved node may make some more
            assert 0 < logged["limits_not_shared"] <= logged["limits_shared_again"] + 1
            assert await program.metric("relay_limits_alone_total") > 0
        await eventually(lambda: bool(here.logged("limits_shared_again")))
