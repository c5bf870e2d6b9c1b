"""Senders share what is due: in order, tried again for a day, and nothing is lost."""

from uuid import uuid4

import pytest
import trio

from relay.channels import senders, vapid
from relay.channels.kinds.webpush import WebPushSettings
from relay.channels.outbound import Outbound
from relay.channels.sealing import Vault
from relay.channels.upkeep import reseal_channels
from relay.db import channels
from relay.db.notifications import OutboxBounds
from relay.db.outbox import Outbox
from relay.db.pool import Database
from relay.errors import DatabaseAway
from tests.support.channels import pass_time
from tests.support.patience import LOOK_EVERY
from tests.support.projecting import new_users
from tests.support.receivers import receiver, reply
from tests.support.sending import (
    NEW,
    OLD,
    attempted,
    channel_failed,
    make,
    new_device,
    new_webhook,
    over,
    sending,
    webhook_of,
)

pytestmark = pytest.mark.usefixtures("looks_often", "long_pauses", "patient_calls")


async def test_two_processes_send_each_once_and_those_of_a_task_in_order(
    database: Database,
) -> None:
    async with receiver() as there:
        user_id, channel_id = await webhook_of(database, there)
        await make(database, user_id, channel_id, *(["a"] * 20), *(f"t{n}" for n in range(40)))
        order = await database.fetch(
            "SELECT notification_id FROM notifications WHERE task_id = 'a' ORDER BY position"
        )
        async with sending(database), sending(database):
            found = await over(database, 50)
        assert {one["outcome"] for one in found} == {"delivered"}
        assert len(there.ids) == len(set(there.ids)) == 60
        of_a = [post.id for post in there.posts if post.json["data"]["task_id"] == "a"]
        assert of_a == [f"msg_{row['notification_id'].hex}" for row in order]


async def test_a_receiver_that_is_down_for_an_hour_gets_everything_after_it(
    database: Database,
) -> None:
    async with receiver() as there:
        user_id, channel_id = await webhook_of(database, there)
        there.always = reply(503)
        await make(database, user_id, channel_id, "a", "a", "a")  # the first holds up the others
        async with sending(database):
            gone_by, tries = 0.0, 0
            while gone_by < 3_600:
                tries += 1
                await channel_failed(database, tries)
                pause = await database.fetchval(
                    "SELECT extract(epoch FROM max(due_at) - now())::float8 FROM notifications"
                )
                assert pause > 0
                gone_by += pause
                await pass_time(database, pause + 1)
            assert tries < 12  # and not once a second
            await channel_failed(database, tries + 1)
            there.always = reply(204)
            await pass_time(database, 5_000)  # longer than the longest pause
            found = await over(database, 3)
        ids = [f"msg_{one['notification_id'].hex}" for one in found]
        assert [one["outcome"] for one in found] == ["delivered"] * 3
        assert there.ids == [ids[0]] * (tries + 1) + ids


async def test_after_a_day_it_is_given_up_and_that_is_noted(database: Database) -> None:
    async with receiver() as there:
        user_id, channel_id = await webhook_of(database, there)
        there.always = reply(500)
        await make(database, user_id, channel_id, "a")
        async with sending(database):
            await attempted(database, 1)
            await pass_time(database, 86_400)
            (given_up,) = await over(database, 1)
        assert (given_up["outcome"], given_up["status"], given_up["attempts"]) == ("failed", 500, 2)
        assert "after a day" in given_up["error"]


async def test_retry_after_is_heeded(database: Database) -> None:
    async with receiver() as there:
        user_id, channel_id = await webhook_of(database, there)
        there.script.append(reply(429, retry_after="1800"))
        await make(database, user_id, channel_id, "a", "a")
        async with sending(database):
            await channel_failed(database, 1)
            for column, table in (("due_at", "notifications"), ("paused_until", "channels")):
                left = await database.fetchval(
                    f"SELECT extract(epoch FROM min({column}) - now())::float8 FROM {table}"
                )
                assert 1_600 < left <= 1_800
            await pass_time(database, 1_801)
            await over(database, 2)


async def test_a_receiver_that_has_gone_ends_its_channel_and_what_waits_for_it(
    database: Database,
) -> None:
    async with receiver() as there:
        user_id, channel_id = await webhook_of(database, there)
        there.always = reply(410)
        await make(database, user_id, channel_id, "a", "a", "a")
        async with sending(database):
            (failed,) = await over(database, 1)
        assert (failed["outcome"], failed["status"], len(there.posts)) == ("failed", 410, 1)
        assert await database.fetchval("SELECT ended_at IS NOT NULL FROM channels")
        actions = await database.fetch(
            "SELECT action FROM audit_log WHERE subject = $1", channel_id
        )
        assert [row["action"] for row in actions] == ["channel_ended"]


async def test_a_receiver_that_hangs_holds_up_neither_other_users_nor_other_channels(
    database: Database,
) -> None:
    async with receiver() as hanging, receiver() as there:
        hanging.always = reply(None)
        user_id, slow = await webhook_of(database, hanging)
        await make(database, user_id, slow, *(f"t{n}" for n in range(50)))
        other_id, other = await webhook_of(database, there)
        own = await new_webhook(database, user_id, there.url)
        async with sending(database):
            await hanging.has(senders.SENT_AT_ONCE_OF_CHANNEL)
            await make(database, other_id, other, *(f"t{n}" for n in range(20)))
            await make(database, user_id, own, "mine")
            await there.has(21)
            assert len(hanging.posts) == senders.SENT_AT_ONCE_OF_CHANNEL


async def test_what_a_process_leaves_is_sent_by_another_under_the_same_id(
    database: Database,
) -> None:
    async with receiver() as there:
        user_id, channel_id = await webhook_of(database, there)
        there.script.append(reply(None))
        await make(database, user_id, channel_id, "a", "a")
        async with sending(database):
            await there.has(1)  # and it is stopped while the receiver holds it
        async with sending(database):
            await over(database, 2)
        first, again, second = there.ids
        assert first == again != second


async def test_a_process_that_dies_with_a_notification_leaves_it_until_its_lease_is_over(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def leave(_: object) -> None:
        """What a killed process does."""

    monkeypatch.setattr(senders.Senders, "_leave", leave)
    async with receiver() as there:
        user_id, channel_id = await webhook_of(database, there)
        there.script.append(reply(None))
        await make(database, user_id, channel_id, "a", "a")
        async with sending(database):
            await there.has(1)
        async with sending(database):
            await trio.sleep(LOOK_EVERY * 10)
            assert len(there.posts) == 1
            await pass_time(database, senders.LEASE_SECONDS)
            await over(database, 2)
        first, again, second = there.ids
        assert first == again != second


async def test_settings_are_sealed_anew_while_both_keys_are_there(database: Database) -> None:
    async with receiver() as there:
        user_id, channel_id = await webhook_of(database, there)
        await make(database, user_id, channel_id, "a")
        async with sending(database, NEW):  # rotated too early: it says so, and waits
            await attempted(database, 1)
        assert "old, which is not here" in await database.fetchval(
            "SELECT last_error FROM channels"
        )
        await reseal_channels(database, Vault([NEW]))
        assert await database.fetchval("SELECT kid FROM channels") == "old"
        await reseal_channels(database, Vault([NEW, OLD]))
        assert await database.fetchval("SELECT kid FROM channels") == "new"
        await pass_time(database, 3_600)
        async with sending(database, NEW):
            await over(database, 1)
        assert there.posts[0].headers["webhook-signature"].startswith("v1,")


async def test_a_row_that_no_key_opens_stays_and_holds_up_no_other(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channels, "RESEALED_TOGETHER", 2)
    users = sorted(await new_users(database, 5))
    for user_id in users:
        await new_webhook(database, user_id, "https://hooks.example/hook")
    for user_id in users[:3]:  # more than one step looks at, and the first ones
        await database.execute(
            "UPDATE channels SET sealed = $2 WHERE user_id = $1", user_id, b"of another key" * 4
        )
    await reseal_channels(database, Vault([NEW, OLD]))
    rows = await database.fetch("SELECT kid FROM channels ORDER BY user_id")
    assert [row["kid"] for row in rows] == ["old"] * 3 + ["new"] * 2


async def test_a_question_that_is_over_is_not_sent(database: Database) -> None:
    async with receiver() as there:
        user_id, channel_id = await webhook_of(database, there)
        await make(database, user_id, channel_id, "a")
        await database.execute("UPDATE notifications SET ask_id = $1", uuid4())
        async with sending(database):
            (found,) = await over(database, 1)
        assert (found["outcome"], there.posts) == ("outdated", [])


async def test_a_fault_of_a_kind_is_tried_again_and_ends_nothing(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    async with receiver() as there:
        user_id, channel_id = await webhook_of(database, there)
        await make(database, user_id, channel_id, "a")
        with monkeypatch.context() as patch:
            patch.setattr(Outbound, "post", broken)
            async with sending(database):
                await attempted(database, 1)
        await pass_time(database, 3_600)
        async with sending(database):
            await over(database, 1)


async def test_a_database_that_is_away_during_an_attempt_is_no_failure_of_the_receiver(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(_: Database) -> None:
        raise DatabaseAway

    async with receiver() as there:
        (user_id,) = await new_users(database, 1)
        device = WebPushSettings(there.url, b"", b"", "of other keys", always=False)
        channel_id = await new_device(database, user_id, device)
        await make(database, user_id, channel_id, "a")
        with monkeypatch.context() as patch:
            patch.setattr(vapid, "select_vapid_keys", away)
            async with sending(database):
                await attempted(database, 1)
        (row,) = await database.fetch(
            "SELECT n.last_error, c.last_error, c.failed_at, c.failures, c.paused_until < now()"
            " FROM notifications n JOIN channels c USING (channel_id)"
        )
        assert tuple(row) == ("Relay's database did not answer", None, None, 0, True)
        await pass_time(database, 3_600)
        async with sending(database):
            (ended,) = await over(database, 1)
        assert "new VAPID keys" in ended["error"], "the keys are looked up"


async def test_the_latest_deliveries_are_kept(database: Database) -> None:
    async with receiver() as there:
        user_id, channel_id = await webhook_of(database, there)
        await make(database, user_id, channel_id, *(f"t{n}" for n in range(12)))
        async with sending(database, outbox=Outbox(OutboxBounds(max_deliveries=5))):
            await there.has(12)
            await over(database, 5)
        assert await database.fetchval("SELECT count(*) FROM deliveries") == 5
