"""The outbox: makes notifications, hands them to senders, and writes what became of them."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Literal, NamedTuple, Self
from uuid import UUID

import trio

from relay.config.settings import Settings
from relay.db.pool import DATABASE_ERRORS, Database
from relay.db.receivers import NO_INTERVAL, ReceiverBounds, interval_of
from relay.tasks.transitions import Transition

MAX_WAITING = 1_000  # notifications of one channel: more than a person reads after an outage
MAX_DELIVERIES = 50  # of one channel that are kept
MAX_READIED = 500  # notifications that become ready by one statement, in some 20 ms
MAX_LOST = 500  # tasks that are noted as lost by one statement
GIVE_BACK_SECONDS = 1.0  # for what was taken and cannot be read, also at the end of a process


class OutboxBounds(NamedTuple):
    """How fast a channel and a user get notifications, and how many wait and are kept.

    An interval of zero, as here, is no rate.
    """

    channel_interval: timedelta = NO_INTERVAL
    channel_burst: int = 1
    user_interval: timedelta = NO_INTERVAL
    user_burst: int = 1
    max_waiting: int = MAX_WAITING
    max_deliveries: int = MAX_DELIVERIES

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The bounds of the settings."""
        channel, user = settings.rate_channel, settings.rate_notifications
        return cls(
            interval_of(settings, channel), channel.burst, interval_of(settings, user), user.burst
        )


class TakenNotification(NamedTuple):
    """A notification that a sender has taken, with its channel and the ask that it is about.

    `host` is the one that is called, or `@` for the operator's mail server. `ask_is_open` is None
    if it is about no ask. `question` and what follows is of the ask.
    """

    user_id: UUID
    position: int
    notification_id: UUID
    channel_id: UUID
    host: str
    state: str
    made_at: datetime
    task_id: str | None
    run: int | None
    title: str | None
    message: str | None
    exit_code: int | None
    duration_s: float | None
    ask_id: UUID | None
    attempts: int
    kind: str
    kid: str
    sealed: bytes
    with_message: bool
    failures: int
    age: timedelta
    ask_is_open: bool | None
    question: str | None
    options: Sequence[str] | None
    question_hash: str | None
    has_details: bool


Result = Literal["delivered", "failed", "outdated", "retry"]


class Finished(NamedTuple):
    """What became of one that was taken. `retry`: it is due again in `pause_s` seconds, and its
    channel takes others again in `channel_pause_s`.

    `asked_s`: for so many seconds the receiver asks not to be called. `ends_channel`: it wants no
    more. `sealed` are the settings that were used: what they have met says nothing of newer ones.
    """

    user_id: UUID
    position: int
    channel_id: UUID
    result: Result
    status: int | None
    error: str | None
    pause_s: float | None
    channel_pause_s: float | None
    asked_s: float | None
    ends_channel: bool
    sealed: bytes


def making_arguments(
    transitions: Sequence[tuple[UUID, Transition]], bounds: OutboxBounds
) -> list[object]:
    """The arguments of `make_notifications` after the first one, for these users' transitions."""
    noted = [transition for _, transition in transitions]
    return [
        [user_id for user_id, _ in transitions],
        [one.state for one in noted],
        [one.task_id for one in noted],
        [one.run for one in noted],
        [one.title for one in noted],
        [one.message for one in noted],
        [one.exit_code for one in noted],
        [one.duration_s for one in noted],
        [one.ask_id for one in noted],
        *bounds,
    ]


async def note_lost_tasks(database: Database, bounds: OutboxBounds) -> int:
    """Note the tasks that are lost, of users with a channel; returns how many notifications that
    makes."""
    made: int = await database.fetchval(
        "SELECT note_lost_tasks($1, $2, $3, $4, $5, $6, $7)", MAX_LOST, *bounds
    )
    return made


async def ready_notifications(database: Database) -> int:
    """Have notifications looked at that are due by now; returns how many, `MAX_READIED` at most.

    What is made while it is due, or comes next in its task, needs no such look.
    """
    count: int = await database.fetchval("SELECT ready_notifications($1)", MAX_READIED)
    return count


async def take_notifications(
    database: Database,
    *,
    at_most: int,
    of_user: int,
    of_channel: int,
    users: Mapping[UUID, int],
    channels: Mapping[UUID, int],
    lease: timedelta,
    receivers: ReceiverBounds,
    after_host: str,
) -> list[TakenNotification]:
    """Take notifications that are ready, in their order. They are due again when the lease is over.

    `users` and `channels` are how many the sender has already, of each: with them there are
    `of_user` and `of_channel` of each at most. The bounds of `receivers` hold for all processes
    together; what is over them stays due. The turn is that of the host after `after_host`.
    """
    saturated = [user for user, count in users.items() if count >= of_user]
    saturated += [channel for channel, count in channels.items() if count >= of_channel]
    keys = await database.fetch(
        "SELECT user_id, position"
        " FROM take_notifications($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        at_most,
        of_user,
        of_channel,
        [*users, *channels],
        [*users.values(), *channels.values()],
        saturated,
        lease,
        *receivers,
        after_host,
    )
    if not keys:
        return []
    try:
        rows = await database.fetch(
            _READ_TAKEN, [user_id for user_id, _ in keys], [position for _, position in keys]
        )
    except BaseException:  # a cancellation, too: nothing is sent of what is taken now
        with trio.move_on_after(GIVE_BACK_SECONDS, shield=True), suppress(*DATABASE_ERRORS):
            await give_back(database, [(user_id, position) for user_id, position in keys])
        raise
    return [TakenNotification(*(row[name] for name in TakenNotification._fields)) for row in rows]


async def finish_notifications(
    database: Database, finished: Sequence[Finished], bounds: OutboxBounds
) -> None:
    """Write what became of notifications that were taken."""
    await database.execute(
        "SELECT finish_notifications($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
        *([one[number] for one in finished] for number in range(len(Finished._fields))),
        bounds.channel_interval,
        bounds.channel_burst,
        bounds.max_deliveries,
    )


async def give_back(database: Database, taken: Sequence[tuple[UUID, int]]) -> None:
    """Let others take notifications at once that were taken, and not sent to an end."""
    await database.execute(
        """
        UPDATE notifications n SET due_at = now(), stage = 'ready'
        FROM (
            SELECT n.user_id, n.position FROM notifications n
            JOIN unnest($1::uuid[], $2::bigint[]) AS given (user_id, position)
                ON n.user_id = given.user_id AND n.position = given.position
            WHERE n.stage = 'taken'
            ORDER BY n.user_id, n.position FOR UPDATE OF n SKIP LOCKED
        ) given
        WHERE n.user_id = given.user_id AND n.position = given.position
        """,
        [user_id for user_id, _ in taken],
        [position for _, position in taken],
    )


class Waiting(NamedTuple):
    """How many notifications wait, of all users, and for how many seconds the oldest one is due.

    `held` are due, and wait for their receiver's bounds; the oldest is none of these.
    """

    waiting: int
    oldest_s: float
    held: int


async def select_waiting(database: Database, receivers: ReceiverBounds) -> Waiting:
    """Count what waits."""
    rows = await database.fetch(
        """
        SELECT count(*), coalesce(greatest(
                extract(epoch FROM now() - min(n.due_at) FILTER (WHERE c.host IS NULL)), 0
            ), 0)::float8, count(*) FILTER (WHERE c.host IS NOT NULL AND n.due_at <= now())
        FROM notifications n LEFT JOIN closed_receivers($1, $2, $3) AS c (host) ON c.host = n.host
        """,
        *receivers,
    )
    return Waiting(*rows[0])


# A statement of its own: `take_notifications` also takes what was committed since the statement
# that calls it began, and that one would find neither its ask nor its channel.
_READ_TAKEN = """
    SELECT n.*, c.kind, c.kid, c.sealed, c.with_message, c.failures, now() - n.made_at AS age,
        CASE WHEN n.ask_id IS NOT NULL
            THEN coalesce(a.state = 'open' AND a.expires_at > now(), false) END AS ask_is_open,
        a.question, a.options, a.question_hash, a.details IS NOT NULL AS has_details
    FROM unnest($1::uuid[], $2::bigint[]) AS taken (user_id, position)
    JOIN notifications n ON n.user_id = taken.user_id AND n.position = taken.position
    JOIN channels c ON c.user_id = n.user_id AND c.channel_id = n.channel_id
    LEFT JOIN asks a ON a.user_id = n.user_id AND a.ask_id = n.ask_id
    ORDER BY n.position
"""
