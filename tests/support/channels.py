"""Channels of users in tests, and time that goes by for the outbox."""

from typing import Any
from uuid import UUID, uuid4

import trio

from relay.channels.notification import EVENTS
from relay.db.channels import NewChannel
from relay.db.pool import Database
from tests.support.databases import statement
from tests.support.patience import LOOK_EVERY, PATIENCE
from tests.support.receivers import Receiver
from tests.support.relay_server import User

PASS_TIME = """
    WITH passed AS (
        UPDATE channels SET paused_until = paused_until - $1 * interval '1 second',
            paced_until = paced_until - $1 * interval '1 second',
            asked_until = asked_until - $1 * interval '1 second'
        RETURNING 1
    ), called AS (
        UPDATE receivers SET paced_until = paced_until - $1 * interval '1 second'
    ), first AS (SELECT count(*) FROM passed) -- the channels are locked before what waits for them
    UPDATE notifications SET due_at = due_at - $1 * interval '1 second',
        made_at = made_at - $1 * interval '1 second'
    FROM first
"""


def new_channel(user_id: UUID, **rules: Any) -> NewChannel:
    """A channel of a user that is not stored yet; it takes everything unless the rules are
    others."""
    new = NewChannel(
        user_id=user_id,
        channel_id=uuid4(),
        kind="webhook",
        kid="k",
        sealed=b"",
        shown="{}",
        events=EVENTS,
        min_duration_s=0.0,
        unless_watched=False,
        with_message=True,
        created_by=uuid4(),
    )
    return new._replace(**rules)


async def add_webhook(user: User, receiver: Receiver, **rules: Any) -> dict[str, Any]:
    """A webhook to a receiver, which takes them also while a page is looked at."""
    wanted = {"kind": "webhook", "url": receiver.url, "unless_watched": False, **rules}
    answer = await user.call("POST", "/api/channels", json=wanted)
    assert answer.status_code == 201, answer.text
    added: dict[str, Any] = answer.json()
    return added


async def deliveries(user: User, channel: dict[str, Any]) -> list[dict[str, Any]]:
    """The notifications of a channel, the oldest first."""
    path = f"/api/channels/{channel['channel_id']}/deliveries"
    found: list[dict[str, Any]] = (await user.call("GET", path)).json()["deliveries"]
    return found[::-1]


async def outcomes(user: User, channel: dict[str, Any], *wanted: str) -> list[dict[str, Any]]:
    """The notifications of a channel, once these have become of them."""
    with trio.fail_after(PATIENCE):
        while True:
            found = await deliveries(user, channel)
            if [one["outcome"] for one in found] == list(wanted):
                return found
            await trio.sleep(LOOK_EVERY)


async def eventually_failed(user: User, channel: dict[str, Any]) -> dict[str, Any]:
    """A notification that waits, once an attempt has failed."""
    with trio.fail_after(PATIENCE):
        while True:
            found = await deliveries(user, channel)
            if found and found[0]["error"] is not None:
                return found[0]
            await trio.sleep(LOOK_EVERY)


async def pass_time(database: Database, seconds: float) -> None:
    """Let time go by for all that waits in the outbox."""
    await database.execute(PASS_TIME, float(seconds))


async def pass_time_at(database_url: str, seconds: float) -> None:
    """The same from outside of the process."""
    await statement(database_url, PASS_TIME.replace("$1", str(float(seconds))))
