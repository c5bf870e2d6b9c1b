"""More events than the buffers between Relay and a reader hold."""

import json

from tests.support.accounts import Account
from tests.support.client.caller import Caller
from tests.support.relay_process import Program


async def stuff(program: Program, account: Account) -> None:
    """More than the buffers between here and there hold, so that a write to them must wait."""
    async with Caller(program.port) as caller:
        line = json.dumps(
            {"event_type": "log", "ts": "2026-01-31T12:00:00Z", "payload": "x" * 60_000}
        ).encode()
        for _ in range(8):
            answer = await caller.insist(
                *("POST", "/api/webhook/cli", account.hook),
                *(b"\n".join([line] * 16), "application/x-ndjson"),
            )
            assert answer.status == 200
