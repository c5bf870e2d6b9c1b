"""Two Relays on one database, and what one shows of the other."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from tests.support.accounts import Account
from tests.support.client.caller import Caller
from tests.support.client.protocol import Answer
from tests.support.client.streams import TRANSPORTS, Ended, stream
from tests.support.ledger import Ledger
from tests.support.patience import PATIENCE, eventually
from tests.support.relay_process import Program, running

HOUR = 3600.0  # seconds: as good as never
BY_WORD_ALONE = {
    # no process polls for what others stored and revoked
    "relay.services.POLL_INTERVAL": HOUR,
    "relay.auth.credentials.REVOCATION_POLL_INTERVAL": HOUR,
    "relay.auth.revocations.TRUST_SECONDS": HOUR,
    # and a slow process is neither gone nor dead
    "relay.db.presence.ALIVE_SECONDS": int(HOUR),
    "relay.realtime.presence.ALIVE_SECONDS": int(HOUR),
    "relay.db.listener.PROBE_INTERVAL": HOUR,
    "relay.db.listener.ANSWER_TIMEOUT_SECONDS": HOUR,
    "relay.realtime.valkey.processes.ALIVE_SECONDS": HOUR,
    "relay.realtime.valkey.stream_counts.FRESH_SECONDS": HOUR,
    "relay.realtime.valkey.connection.ANSWER_SECONDS": HOUR,
    # and calls that wait do not look by themselves
    "relay.realtime.shared_waits.POLL_INTERVAL_SECONDS": HOUR,
}
"""Constants with which nothing is known of another process but its notifications."""

SHORT_LEASE = {
    "relay.background.housekeeping.LEASE_SECONDS": 2.0,
    "relay.background.housekeeping.ASK_SECONDS": 0.3,
}
"""Constants with which another process soon does the housekeeping of one that was killed."""


class Pair:
    """Two Relays on one database: what is done `here` must show `there`."""

    def __init__(self, here: Program, there: Program, account: Account) -> None:
        self.here = here
        self.there = there
        self.account = account
        self._posted = 0
        self._arrived = dict.fromkeys(TRANSPORTS, 0)

    async def call(self, path: str, token: str, **body: object) -> Answer:
        async with Caller(self.here.port) as caller:
            answer = await caller.insist("POST", path, token, json.dumps(body).encode())
        assert answer.status in (200, 201), answer
        return answer

    async def post(self) -> Answer:
        self._posted += 1
        return await self.call(
            "/api/webhook/cli",
            self.account.hook,
            event_type="log",
            ts="2026-01-31T12:00:00Z",
            payload=self._posted,
        )

    async def watch(
        self, transport: str, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Everything arrives, in order and once, on a stream that stays."""
        async with stream(self.there.port, transport, self.account.session, insist=True) as opened:
            await opened.read()
            task_status.started()
            while True:
                for message in await opened.read():
                    assert message["seq"] == self._arrived[transport] + 1, message
                    self._arrived[transport] += 1

    async def everything_arrived(self) -> None:
        await eventually(lambda: set(self._arrived.values()) == {self._posted})

    async def events_arrive(self, posts: int = 8) -> None:
        """Each before the next is posted: one notification, or one look, brings no two of them."""
        for _ in range(posts):
            await self.post()
            await self.everything_arrived()

    async def a_revoke_arrives(self) -> None:
        """A token revoked here: what it had opened there ends, and says why."""
        token = (await self.call("/api/token", self.account.session)).json["token"]
        async with stream(self.there.port, "websocket", token, insist=True) as opened:
            await opened.read()
            await self.call("/api/token/revoke", token)
            with trio.fail_after(PATIENCE):
                (close,) = await opened.read()
                assert (close["code"], close["reason"]) == (4401, "revoked")
                with pytest.raises(Ended):
                    await opened.read()

    async def received(self) -> float:
        """How many notifications there have come from here."""
        return await self.there.metric("relay_backplane_received_total")

    async def are_in_touch(self) -> None:
        """Wait until each knows of the other, and notifications from here arrive there."""
        for program in (self.here, self.there):
            await program.shows("relay_backplane_processes", lambda processes: processes == 2)
            await program.shows("relay_backplane_up", lambda up: up == 1)
        before = await self.received()
        with trio.fail_after(PATIENCE):
            while await self.received() == before:
                await self.post()
        await self.everything_arrived()


@asynccontextmanager
async def pair_of(
    folder: Path,
    url: str,
    altered: Mapping[str, object] | None = None,
    both: Mapping[str, str] | None = None,
    /,
    **there: str,
) -> AsyncIterator[Pair]:
    """`both` are settings of both processes, `there` of the one there beyond those."""
    programs = [Program(folder / name, url) for name in ("here", "there")]
    for program in programs:
        program.folder.mkdir()
        program.settings["BASE_URL"] = programs[0].url
        program.settings |= both or {}
        program.altered = altered or {}
    programs[1].settings |= there
    async with running(*programs), trio.open_nursery() as nursery:
        pair = Pair(programs[0], programs[1], await Ledger(programs[0]).enrol("u", []))
        for transport in TRANSPORTS:
            await nursery.start(pair.watch, transport)
        yield pair
        nursery.cancel_scope.cancel()
