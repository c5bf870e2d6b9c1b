"""Every acknowledged end reaches its receiver, whatever becomes of the processes."""

import json
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.support.accounts import Account
from tests.support.channels import pass_time_at
from tests.support.client.caller import Caller
from tests.support.client.connection import Lost
from tests.support.ledger import Ledger
from tests.support.patience import PATIENCE, eventually
from tests.support.receivers import Receiver, receiver, reply
from tests.support.relay_process import Program, running

Pair = tuple[Program, Program]
LEASE = "relay.channels.senders.LEASE_SECONDS"
SENT_AT_ONCE = "relay.channels.senders.SENT_AT_ONCE"
ROUND = "relay.projection.projector.INTERVAL_SECONDS"


@pytest.fixture
def pair(tmp_path: Path, database_url: str) -> Pair:
    """Two Relays on one database, which are not started yet."""
    settings = {"RELAY_HOUSEKEEPING_EVERY": "0.5", "RELAY_OUTBOUND_PRIVATE": "on"}
    here, there = (Program(tmp_path / name, database_url, **settings) for name in ("here", "there"))
    for program in (here, there):
        program.folder.mkdir()
        program.settings["BASE_URL"] = here.url
    return here, there


async def add_webhook(program: Program, account: Account, to: Receiver) -> None:
    wanted = {"kind": "webhook", "url": to.url, "unless_watched": False}
    async with Caller(program.port) as caller:
        body = json.dumps(wanted).encode()
        answer = await caller.insist("POST", "/api/channels", account.session, body)
    assert answer.status == 201, answer


async def end_task(program: Program, account: Account, task_id: str) -> None:
    """Post that a task has failed, until that is acknowledged."""
    event: dict[str, Any] = {"event_type": "task_failed", "task_id": task_id, "payload": {}}
    event |= {"ts": "2026-11-29T10:00:00Z", "event_id": f"end-{task_id}"}
    async with Caller(program.port) as caller:
        body = json.dumps(event).encode()
        answer = await caller.insist("POST", "/api/webhook/cli", account.hook, body)
    assert answer.status == 200, answer


async def test_an_end_whose_process_is_killed_before_it_is_folded_is_sent_by_another(
    pair: Pair,
) -> None:
    here, there = pair
    here.altered = {ROUND: 3_600.0}
    async with receiver() as phone, running(here, there):
        account = await Ledger(there).enrol("u", [])
        await add_webhook(there, account, phone)
        await end_task(here, account, "first")  # its round comes at once, and the next in an hour
        await phone.has(1)
        await end_task(here, account, "second")
        await here.kill()
        await phone.has(2)
        assert [post.json["data"]["task_id"] for post in phone.posts] == ["first", "second"]


async def test_a_notification_whose_process_is_killed_before_it_is_taken_is_sent_by_another(
    pair: Pair,
) -> None:
    here, there = pair
    here.altered = {SENT_AT_ONCE: 0}
    async with receiver() as phone, running(here):
        account = await Ledger(here).enrol("u", [])
        await add_webhook(here, account, phone)
        await end_task(here, account, "t")
        async with Caller(here.port) as caller:
            await caller.insist("GET", "/api/tasks", account.session, b"")  # it is folded
        await here.kill()
        assert phone.posts == []
        async with running(there):
            await phone.has(1)


async def test_what_was_under_way_in_a_killed_process_is_sent_again_under_the_same_id(
    pair: Pair, database_url: str
) -> None:
    here, there = pair
    async with receiver() as phone, running(here):
        account = await Ledger(here).enrol("u", [])
        await add_webhook(here, account, phone)
        phone.script.append(reply(None))
        await end_task(here, account, "t")
        await phone.has(1)
        await here.kill()
        async with running(there):
            await pass_time_at(database_url, 60)
            await phone.has(2)
            assert phone.ids[0] == phone.ids[1]
            await there.shows(
                'relay_notifications_total{kind="webhook",outcome="delivered"}',
                lambda count: count == 1,
            )


async def test_kills_at_any_moment_lose_no_end_and_make_none_twice(pair: Pair) -> None:
    here, there = pair
    for program in pair:
        program.altered = {LEASE: 1.0}
    ends = [f"t{number}" for number in range(60)]
    async with receiver() as phone, running(here, there):
        account = await Ledger(here).enrol("u", [])
        await add_webhook(here, account, phone)

        async def load(program: Program, task_ids: list[str]) -> None:
            for task_id in task_ids:
                with trio.fail_after(PATIENCE):
                    while True:
                        try:
                            await end_task(program, account, task_id)
                            break
                        except Lost:  # it is killed: the event_id makes it the same event again
                            await trio.sleep(0.05)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(load, here, ends[::2])
            nursery.start_soon(load, there, ends[1::2])
            for number, program in enumerate((here, there, here)):
                await phone.has(5 * (number + 1))
                await program.kill()
                await program.start()

        def arrived() -> set[str]:
            return {post.json["data"]["task_id"] for post in phone.posts}

        await eventually(lambda: arrived() == set(ends))
        ids = {(post.json["data"]["task_id"], post.id) for post in phone.posts}
        assert len(ids) == len(ends)
