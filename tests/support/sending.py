"""Senders of one process without a server, and the outbox that they empty."""

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
import trio

from relay.channels import senders
from relay.channels.addresses import host_of
from relay.channels.kinds.base import KindContext
from relay.channels.kinds.webhook import WebhookSettings
from relay.channels.kinds.webpush import WebPushSettings
from relay.channels.sealing import Vault, channel_label
from relay.channels.vapid import Vapid
from relay.config.parsers import SigningKey
from relay.config.settings import Settings
from relay.db.channels import add_channel
from relay.db.notifications import (
    MAX_READIED,
    Finished,
    OutboxBounds,
    Result,
    TakenNotification,
    finish_notifications,
    ready_notifications,
    take_notifications,
)
from relay.db.outbox import Outbox
from relay.db.pool import Database
from relay.db.receivers import ReceiverBounds
from tests.support.channels import new_channel
from tests.support.patience import LOOK_EVERY, PATIENCE
from tests.support.projecting import new_users
from tests.support.receivers import Receiver, calling

OLD, NEW = SigningKey("old", b"o" * 32), SigningKey("new", b"n" * 32)
SECRET = base64.b64encode(b"s" * 32).decode()


@asynccontextmanager
async def sending(
    database: Database, *keys: SigningKey, outbox: Outbox | None = None
) -> AsyncIterator[trio.CancelScope]:
    """One process's senders, for the length of the block."""
    outbound, vault = calling(), Vault(keys or (OLD,))
    context = KindContext(
        settings=Settings.load({}),
        base_url="https://relay.example",
        database=database,
        outbound=outbound,
        vault=vault,
        vapid=Vapid(database, vault),
    )
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(senders.Senders(database, outbox or Outbox(), context).run)
            yield nursery.cancel_scope
            nursery.cancel_scope.cancel()
    finally:
        await outbound.close()


async def new_webhook(database: Database, user_id: UUID, url: str) -> UUID:
    return await _new_channel(database, user_id, "webhook", WebhookSettings(url, SECRET), url)


async def new_device(database: Database, user_id: UUID, device: WebPushSettings) -> UUID:
    return await _new_channel(database, user_id, "webpush", device, device.endpoint)


async def _new_channel(
    database: Database, user_id: UUID, kind: str, settings: msgspec.Struct, url: str
) -> UUID:
    new = new_channel(user_id, kind=kind, events=("failed",), host=host_of(url))
    kid, sealed = Vault([OLD]).seal(msgspec.json.encode(settings), channel_label(new.channel_id))
    new = new._replace(kid=kid, sealed=sealed)
    assert (await add_channel(database, new, at_most=20)).outcome == "added"
    return new.channel_id


async def make(database: Database, user_id: UUID, channel_id: UUID, *task_ids: str) -> None:
    await database.execute(
        """
        INSERT INTO notifications (user_id, channel_id, state, task_id, run, host, due_at)
        SELECT c.user_id, c.channel_id, 'failed', task_id, 1, c.host, now()
        FROM channels c, unnest($3::text[]) AS task_id
        WHERE c.user_id = $1 AND c.channel_id = $2
        """,
        user_id,
        channel_id,
        task_ids,
    )


async def webhook_of(database: Database, there: Receiver) -> tuple[UUID, UUID]:
    (user_id,) = await new_users(database, 1)
    return user_id, await new_webhook(database, user_id, there.url)


async def take(
    database: Database, at_most: int = 64, *, lease: float = 60.0, **bounds: Any
) -> list[TakenNotification]:
    """Take what is due, as senders do; `bounds` are those that differ from none."""
    given: dict[str, Any] = {
        **{"of_user": 1_000, "of_channel": 1_000, "users": {}, "channels": {}},
        **{"receivers": ReceiverBounds(calls=1_000), "after_host": ""},
    }
    duration = timedelta(seconds=lease)
    while await ready_notifications(database) == MAX_READIED:
        pass
    return await take_notifications(database, at_most=at_most, lease=duration, **given | bounds)


async def finish(
    database: Database, taken: TakenNotification, result: Result, *, ends_channel: bool = False
) -> None:
    """Write what became of one that was taken; one that is tried again is due in an hour."""
    pause = 3_600.0 if result == "retry" else None
    done = Finished(
        *(taken.user_id, taken.position, taken.channel_id, result, 500, None),
        *(pause, None, None, ends_channel, taken.sealed),
    )
    await finish_notifications(database, [done], OutboxBounds())


async def over(database: Database, count: int) -> list[dict[str, Any]]:
    """The deliveries, once there are so many and nothing waits."""
    with trio.fail_after(PATIENCE):
        while True:
            rows = await database.fetch("SELECT * FROM deliveries ORDER BY delivery_id")
            waiting = await database.fetchval("SELECT count(*) FROM notifications")
            if len(rows) >= count and not waiting:
                return [dict(row) for row in rows]
            await trio.sleep(LOOK_EVERY)


async def attempted(database: Database, times: int) -> None:
    """Wait until every notification that waits was tried so often, and failed."""
    with trio.fail_after(PATIENCE):
        while not await database.fetchval(  # noqa: ASYNC110 - rows set no Event
            "SELECT bool_and(attempts >= $1 AND last_error IS NOT NULL AND due_at > now())"
            " FROM notifications",
            times,
        ):
            await trio.sleep(LOOK_EVERY)


async def channel_failed(database: Database, times: int) -> None:
    """Wait until the channel has failed so often, and nothing of it is due."""
    with trio.fail_after(PATIENCE):
        while not await database.fetchval(  # noqa: ASYNC110 - rows set no Event
            "SELECT bool_and(failures >= $1 AND paused_until > now()) FROM channels", times
        ):
            await trio.sleep(LOOK_EVERY)
