"""Background work that the database refuses is an error in the log, once; an outage is not."""

import json
from collections import Counter
from pathlib import Path

import trio

from tests.support.client.caller import Caller
from tests.support.client.streams import stream
from tests.support.databases import statement
from tests.support.ledger import Ledger
from tests.support.patience import LOOK_EVERY, PATIENCE
from tests.support.relay_process import Program, running
from tests.support.two_relays import HOUR

# of what each work needs; a table that is away takes several with it
AWAY = (
    "ALTER TABLE asks RENAME TO asks_away",
    "ALTER FUNCTION note_ready RENAME TO note_ready_away",
    "ALTER TABLE tasks RENAME TO tasks_away",
    "ALTER TABLE processes RENAME TO processes_away",
    "ALTER TABLE housekeeping RENAME TO housekeeping_away",
)
REFUSED = {
    "asks_refused": "UndefinedTableError",
    "waits_refused": "UndefinedTableError",
    "task_feeds_refused": "UndefinedTableError",
    "projection_refused": "UndefinedTableError",
    "readiness_refused": "UndefinedFunctionError",
    "housekeeping_refused": "UndefinedTableError",
    "housekeeping_lease_refused": "UndefinedTableError",
    "presence_refused": "UndefinedTableError",
}


def refusals(program: Program, *levels: str) -> Counter[tuple[str, str]]:
    return Counter(
        (line["event"], line["error"])
        for line in program.log
        if line["event"] in REFUSED and (not levels or line["level"] in levels)
    )


async def test_each_work_that_is_refused_again_and_again_is_one_error(
    tmp_path: Path, database_url: str
) -> None:
    program = Program(tmp_path, database_url, LOG_LEVEL="debug", RELAY_HOUSEKEEPING_EVERY="0.2")
    program.altered = {
        "relay.projection.projector.REFUSED_SECONDS": 0.2,
        "relay.background.housekeeping.ASK_SECONDS": 0.2,
        "relay.background.housekeeping.LEASE_SECONDS": HOUR,  # the work goes on without it
        "relay.realtime.shared_waits.POLL_INTERVAL_SECONDS": 0.2,  # often while a call may wait
    }
    async with running(program), trio.open_nursery() as nursery, Caller(program.port) as caller:
        account = await Ledger(program).enrol("u", [])
        ask = {"question": "Which?", "kind": "text", "expires_in": 3_600}
        made = await caller.insist("POST", "/api/asks", account.hook, json.dumps(ask).encode())

        async def wait() -> None:
            async with Caller(program.port) as waiting:
                await waiting.call(
                    "GET", f"/api/asks/{made.json['ask_id']}?wait_s=25", account.hook
                )

        nursery.start_soon(wait)
        await program.shows("relay_waiting_calls", lambda count: count == 1)
        async with stream(program.port, "websocket", account.session, "?tasks=1") as watching:
            await watching.hello()
            for one in AWAY:  # each by itself: work that needs two of them would be a deadlock
                await statement(database_url, one)
            event = {"event_type": "task_started", "ts": "2026-01-31T12:00:00Z", "payload": {}}
            path, body = "/api/webhook/cli", json.dumps(event).encode()
            assert (await caller.call("POST", path, account.hook, body)).status == 200
            with trio.fail_after(PATIENCE):
                while not all(refusals(program)[one] >= 3 for one in REFUSED.items()):  # noqa: ASYNC110
                    await trio.sleep(LOOK_EVERY)
            assert refusals(program, "error") == dict.fromkeys(REFUSED.items(), 1)
        nursery.cancel_scope.cancel()
