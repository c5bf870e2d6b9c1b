"""Hundreds of one user's reads under way leave the database to other users."""

from contextlib import AsyncExitStack

import pytest

from relay.db.pool import connect
from relay.db.reader_turns import MAX_CALLS_OF_USER
from tests.support.bounds.callers import value
from tests.support.client.protocol import head
from tests.support.databases import begin
from tests.support.patience import PATIENCE, eventually
from tests.support.relay_server import bearer, raw_http, running_relay

CROWD = 200


@pytest.mark.parametrize("path", ["/api/tasks", "/api/tasks/groups?by=title", "/api/asks"])
async def test_others_are_served_while_hundreds_of_reads_of_one_user_wait(
    database_url: str, path: str
) -> None:
    async with (
        running_relay(database_url) as relay,
        connect(database_url, timeout=PATIENCE) as holder,
        AsyncExitStack() as crowd,
    ):
        eager, other = await relay.user(), await relay.user()
        await other.posted()
        (authorization,) = bearer(eager.session).items()
        await begin(holder, "LOCK TABLE tasks, asks IN ACCESS EXCLUSIVE MODE")
        readers = [await crowd.enter_async_context(raw_http(relay)) for _ in range(CROWD)]
        for reader in readers:
            await reader.send(head(path, ": ".join(authorization), method="HEAD"))
        waiting = CROWD - MAX_CALLS_OF_USER
        await eventually(lambda: value("relay_journal_waiting_readers") == waiting)
        assert (await other.call("GET", "/api/me")).status_code == 200
        assert len((await other.call("GET", "/api/events")).json()["events"]) == 1
        assert (await relay.user()).user_id
        await holder.execute("ROLLBACK")  # until here none of the crowd had its answer
        assert {(await reader.answer("HEAD")).status_code for reader in readers} == {200}
