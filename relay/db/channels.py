"""Reads and writes channels: how notifications reach a user, and what became of them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, NamedTuple
from uuid import UUID

from relay.db.notifications import OutboxBounds
from relay.db.pool import Database
from relay.errors import SessionEnded

RESEALED_TOGETHER = 100  # channels sealed anew in one step


class NewChannel(NamedTuple):
    """A channel that is not stored yet. `shown` is JSON; `kid` and `sealed` are of its settings.

    `host` is the one that is called, if there is one. `device` is the id of a browser's
    subscription, and `replaces` that of the one before it.
    """

    user_id: UUID
    channel_id: UUID
    kind: str
    kid: str
    sealed: bytes
    shown: str
    events: Sequence[str]
    min_duration_s: float
    unless_watched: bool
    with_message: bool
    created_by: UUID
    host: str | None = None
    device: str | None = None
    replaces: str | None = None


class KeptChannel(NamedTuple):
    """What became of a channel that was to be added, and the id that it has.

    `other`: it is there already under this id, for which its settings have to be sealed, and
    nothing was changed. `unknown`: there is none that it could replace. `full`: the user has as
    many as there may be.
    """

    outcome: Literal["added", "replaced", "other", "unknown", "full"]
    channel_id: UUID | None


class MadeTest(NamedTuple):
    """A test that was put into the outbox, or what is in the way, for `wait_s` seconds.

    `blocked`: there is no such channel, it has ended, or too many wait for it. `asked`: its
    receiver asks not to be called. `channel`, `user`: the rate of it is used up.
    """

    outcome: Literal["made", "blocked", "asked", "channel", "user"]
    notification_id: UUID | None
    wait_s: float | None


class StoredChannel(NamedTuple):
    """A channel without its secrets. `waiting` notifications are not delivered yet."""

    channel_id: UUID
    kind: str
    shown: str
    events: Sequence[str]
    min_duration_s: float
    unless_watched: bool
    with_message: bool
    created_by: UUID
    created_at: datetime
    delivered_at: datetime | None
    failed_at: datetime | None
    last_error: str | None
    ended_at: datetime | None
    waiting: int


class StoredDelivery(NamedTuple):
    """A notification of a channel, and what became of it: `waiting` while it is not over."""

    notification_id: UUID
    state: str
    task_id: str | None
    run: int | None
    made_at: datetime
    outcome: str
    attempts: int
    status: int | None
    error: str | None
    ended_at: datetime | None
    due_at: datetime | None


class SealedChannel(NamedTuple):
    """The sealed settings of a channel."""

    user_id: UUID
    channel_id: UUID
    kid: str
    sealed: bytes


async def add_channel(database: Database, new: NewChannel, *, at_most: int) -> KeptChannel:
    """Store a channel, unless the user has `at_most` of them.

    A device has one, which is replaced. Raises SessionEnded when the session that adds its device
    has ended, or the user is gone.
    """
    rows = await database.fetch(
        """
        SELECT outcome, kept
        FROM add_channel($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
        """,
        *new,
        at_most,
    )
    outcome, kept = rows[0]
    if outcome == "gone":
        raise SessionEnded()
    return KeptChannel(outcome, kept)


async def remove_channel(database: Database, user_id: UUID, channel_id: UUID, *, by: UUID) -> bool:
    """Remove a channel and what waits for it; returns whether there was one."""
    removed: bool = await database.fetchval(
        "SELECT remove_channel($1, $2, $3)", user_id, channel_id, by
    )
    return removed


async def select_channels(database: Database, user_id: UUID) -> list[StoredChannel]:
    """The user's channels, in the order in which they were added."""
    rows = await database.fetch(
        """
        SELECT c.channel_id, c.kind, c.shown, c.events, c.min_duration_s, c.unless_watched,
            c.with_message, c.created_by, c.created_at, c.delivered_at, c.failed_at, c.last_error,
            c.ended_at,
            (SELECT count(*) FROM notifications n
             WHERE n.user_id = $1 AND n.channel_id = c.channel_id) AS waiting
        FROM channels c WHERE c.user_id = $1 ORDER BY c.created_at, c.channel_id
        """,
        user_id,
    )
    return [StoredChannel(*row) for row in rows]


async def has_channel(database: Database, user_id: UUID, channel_id: UUID) -> bool:
    """Whether the user has this channel."""
    found: bool = await database.fetchval(
        "SELECT EXISTS (SELECT FROM channels WHERE user_id = $1 AND channel_id = $2)",
        user_id,
        channel_id,
    )
    return found


async def select_deliveries(
    database: Database, user_id: UUID, channel_id: UUID, *, at_most: int
) -> list[StoredDelivery]:
    """The latest notifications of a channel, the newest first: those that wait, and those over."""
    rows = await database.fetch(
        """
        SELECT * FROM (
            (SELECT n.notification_id, n.state, n.task_id, n.run, n.made_at, 'waiting' AS outcome,
                n.attempts, n.last_status, n.last_error, NULL::timestamptz AS ended_at, n.due_at
            FROM notifications n WHERE n.user_id = $1 AND n.channel_id = $2
            ORDER BY n.position DESC LIMIT $3)
            UNION ALL
            (SELECT d.notification_id, d.state, d.task_id, d.run, d.made_at, d.outcome,
                d.attempts, d.status, d.error, d.ended_at, NULL
            FROM deliveries d WHERE d.user_id = $1 AND d.channel_id = $2
                AND d.ended_at > now() - interval '7 days'
            ORDER BY d.delivery_id DESC LIMIT $3)
        ) latest ORDER BY made_at DESC LIMIT $3
        """,
        user_id,
        channel_id,
        at_most,
    )
    return [StoredDelivery(*row) for row in rows]


async def add_test(
    database: Database, user_id: UUID, channel_id: UUID, *, by: UUID, bounds: OutboxBounds
) -> MadeTest:
    """Put a test into the outbox of a channel, to be sent at once.

    It counts for the rates of the channel and of the user.
    """
    rows = await database.fetch(
        """
        SELECT outcome, notification_id, wait_s
        FROM add_test($1, $2, $3, $4, $5, $6, $7, $8)
        """,
        user_id,
        channel_id,
        by,
        bounds.channel_interval,
        bounds.channel_burst,
        bounds.user_interval,
        bounds.user_burst,
        bounds.max_waiting,
    )
    return MadeTest(*rows[0])


async def set_visible(database: Database, user_id: UUID, seconds: float) -> None:
    """Note that a page of the user is looked at for so many seconds; 0: no longer."""
    await database.execute(
        """
        UPDATE notified_users SET visible_until = CASE WHEN $2 > 0
            THEN greatest(visible_until, now() + $2 * interval '1 second') ELSE now() END
        WHERE user_id = $1
        """,
        user_id,
        float(seconds),
    )


async def select_sealed_otherwise(
    database: Database, kids: Sequence[str], after: SealedChannel | None
) -> list[SealedChannel]:
    """The next channels whose settings are sealed with one of these keys; the first ones after
    None."""
    rows = await database.fetch(
        """
        SELECT user_id, channel_id, kid, sealed FROM channels
        WHERE kid = ANY ($1) AND ($2::uuid IS NULL OR (user_id, channel_id) > ($2, $3))
        ORDER BY user_id, channel_id LIMIT $4
        """,
        kids,
        None if after is None else after.user_id,
        None if after is None else after.channel_id,
        RESEALED_TOGETHER,
    )
    return [SealedChannel(*row) for row in rows]


async def replace_sealed(database: Database, old: SealedChannel, kid: str, sealed: bytes) -> None:
    """Store the settings of a channel as they are sealed now, unless that was done meanwhile."""
    await database.execute(
        """
        UPDATE channels SET kid = $4, sealed = $5
        WHERE user_id = $1 AND channel_id = $2 AND sealed = $3
        """,
        old.user_id,
        old.channel_id,
        old.sealed,
        kid,
        sealed,
    )
