"""What pauses a channel, what ends its pause, and what waits for it meanwhile."""

from datetime import datetime, timedelta
from functools import partial

import pytest

from relay.channels.kinds import webhook
from relay.channels.kinds.answers import outcome_of
from relay.db.notifications import Finished, OutboxBounds, TakenNotification, finish_notifications
from relay.db.pool import Database
from tests.support.channels import pass_time
from tests.support.patience import PATIENCE
from tests.support.receivers import receiver, reply
from tests.support.sending import channel_failed, finish, make, over, sending, take, webhook_of

pytestmark = pytest.mark.usefixtures("looks_often", "long_pauses")

MINUTE = timedelta(minutes=1)


async def failed(database: Database, taken: TakenNotification, seconds: float, asked: bool) -> None:
    """Write that one has failed, and that its channel is paused, as its receiver asked or not."""
    done = Finished(
        *(taken.user_id, taken.position, taken.channel_id, "retry", 503, "away"),
        *(seconds, seconds, seconds if asked else None, False, taken.sealed),
    )
    await finish_notifications(database, [done], OutboxBounds(MINUTE, 1))


async def delivered(database: Database, taken: TakenNotification) -> None:
    done = Finished(
        *(taken.user_id, taken.position, taken.channel_id, "delivered", 200, None),
        *(None, None, None, False, taken.sealed),
    )
    await finish_notifications(database, [done], OutboxBounds(MINUTE, 1))


async def paused(database: Database) -> tuple[int, datetime]:
    """How often the only channel has failed in a row, and until when it is paused."""
    (row,) = await database.fetch("SELECT failures, paused_until FROM channels")
    return row["failures"], row["paused_until"]


async def waits(database: Database) -> list[float]:
    """In how many minutes each that waits is due, in the order in which they were made."""
    rows = await database.fetch(
        "SELECT extract(epoch FROM greatest(due_at, now()) - now())::float8 / 60 AS minutes"
        " FROM notifications ORDER BY position"
    )
    return [round(row["minutes"]) for row in rows]


async def test_a_refusal_pauses_the_channel_so_that_a_mended_receiver_gets_the_rest(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook, "outcome_of", partial(outcome_of, refused=(403,)))
    async with receiver() as there:
        user_id, channel_id = await webhook_of(database, there)
        there.always = reply(403)
        await make(database, user_id, channel_id, "a", "a", "a")
        async with sending(database):
            await channel_failed(database, 1)
            there.always = reply(204)
            await pass_time(database, 3_600)
            found = await over(database, 3)
        assert [one["outcome"] for one in found] == ["failed", "delivered", "delivered"]
        assert (found[0]["status"], found[0]["attempts"]) == (403, 1)


async def test_a_delivery_ends_the_pause_of_what_waits_at_the_rate_of_the_channel(
    database: Database,
) -> None:
    async with receiver() as there:
        user_id, channel_id = await webhook_of(database, there)
    await make(database, user_id, channel_id, *"abcd")
    first, second = await take(database, 2)
    await failed(database, first, 3_600, asked=False)
    assert await waits(database) == [60, 1, 60, 61]  # the second one is still under way
    await delivered(database, second)
    assert await waits(database) == [0, 0, 1]
    assert len(await take(database)) == 2


async def test_a_delivery_leaves_the_pause_for_which_the_receiver_asks(database: Database) -> None:
    async with receiver() as there:
        user_id, channel_id = await webhook_of(database, there)
    await make(database, user_id, channel_id, *"abc")
    first, second = await take(database, 2)
    await failed(database, first, 3_600, asked=True)
    await delivered(database, second)
    left = await database.fetch(
        "SELECT extract(epoch FROM unnest(ARRAY[asked_until, paused_until]) - now())::float8 AS s"
        " FROM channels"
    )
    assert [row["s"] for row in left] == [pytest.approx(3_600, abs=PATIENCE)] * 2
    assert await waits(database) == [60, 60]
    assert await take(database) == []


async def test_the_calls_of_a_channel_that_fail_together_are_one_failure(
    database: Database,
) -> None:
    """Whatever batches they are written in: what follows the first one finds the channel paused."""
    async with receiver() as there:
        user_id, channel_id = await webhook_of(database, there)
    await make(database, user_id, channel_id, *"abcd")
    first, *others = await take(database)
    await failed(database, first, 3_600, asked=False)
    failures, until = await paused(database)
    assert failures == 1
    for one, seconds in zip(others, (60, 3_600, 7_200), strict=True):
        await failed(database, one, seconds, asked=False)
        assert await paused(database) == (1, until)
    await pass_time(database, 3_601)
    first, *others = await take(database, 2)
    assert first.failures == 1
    await failed(database, first, 3_600, asked=False)
    failures, until = await paused(database)
    assert failures == 2
    await failed(database, others[0], 7_200, asked=True)
    failures, longer = await paused(database)
    assert failures == 2
    assert longer > until, "its receiver asks for it"


async def test_a_result_without_a_pause_is_no_failure_of_the_receiver(database: Database) -> None:
    async with receiver() as there:
        user_id, channel_id = await webhook_of(database, there)
    await make(database, user_id, channel_id, "a")
    (taken,) = await take(database)
    await finish(database, taken, "retry")
    (row,) = await database.fetch(
        "SELECT failures, failed_at, last_error, paused_until > now() FROM channels"
    )
    assert tuple(row) == (0, None, None, False)
    assert await waits(database) == [60]
