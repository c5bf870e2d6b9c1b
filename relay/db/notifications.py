"""The outbox: makes notifications, hands them to senders, and writes what became of them."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal, NamedTuple, Self
from uuid import UUID

from relay.config.parsers import Rate
from relay.config.settings import Settings
from relay.db.pool import Database, Row
from relay.tasks.transitions import Transition

MAX_WAITING = 1_000  # notifications of one channel: more than a person reads after an outage
MAX_DELIVERIES = 50  # of one channel that are kept
MAX_LOST = 500  # tasks that are noted as lost by one statement

NO_INTERVAL = timedelta(0)


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
            _interval(settings, channel), channel.burst, _interval(settings, user), user.burst
        )


def _interval(settings: Settings, rate: Rate) -> timedelta:
    return timedelta(seconds=rate.interval) if settings.rate_limits else NO_INTERVAL


class TakenNotification(NamedTuple):
    """A notification that a sender has taken, with its channel and the ask that it is about.

    `ask_is_open` is None if it is about no ask. `question` and what follows is of the ask.
    """

    user_id: UUID
    position: int
    notification_id: UUID
    channel_id: UUID
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

    `ends_channel`: the receiver wants no more.
    """

    user_id: UUID
    position: int
    channel_id: UUID
    result: Result
    status: int | None
    error: str | None
    pause_s: float | None
    channel_pause_s: float | None
    ends_channel: bool


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


async def take_notifications(
    database: Database,
    *,
    at_most: int,
    of_user: int,
    of_channel: int,
    users: Mapping[UUID, int],
    channels: Mapping[UUID, int],
    lease: timedelta,
) -> list[TakenNotification]:
    """Take due notifications, which are due again when the lease is over.

    `users` and `channels` are how many the sender has already, of each: with them there are
    `of_user` and `of_channel` of each at most.
    """
    saturated = [user for user, count in users.items() if count >= of_user]
    saturated += [channel for channel, count in channels.items() if count >= of_channel]
    rows = await database.fetch(
        _TAKE,
        at_most,
        of_user,
        of_channel,
        [*users, *channels],
        [*users.values(), *channels.values()],
        saturated,
        lease,
    )
    return [_taken(row) for row in rows]


async def finish_notifications(
    database: Database, finished: Sequence[Finished], bounds: OutboxBounds
) -> None:
    """Write what became of notifications that were taken."""
    await database.execute(
        "SELECT finish_notifications($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        *([one[number] for one in finished] for number in range(len(Finished._fields))),
        bounds.channel_interval,
        bounds.channel_burst,
        bounds.max_deliveries,
    )


async def give_back(database: Database, taken: Sequence[tuple[UUID, int]]) -> None:
    """Let others take notifications at once that were taken, and not sent to an end."""
    await database.execute(
        """
        UPDATE notifications n SET due_at = now()
        FROM (
            SELECT n.user_id, n.position FROM notifications n
            JOIN unnest($1::uuid[], $2::bigint[]) AS given (user_id, position)
                ON n.user_id = given.user_id AND n.position = given.position
            ORDER BY n.user_id, n.position FOR UPDATE OF n SKIP LOCKED
        ) given
        WHERE n.user_id = given.user_id AND n.position = given.position
        """,
        [user_id for user_id, _ in taken],
        [position for _, position in taken],
    )


async def select_waiting(database: Database) -> tuple[int, float]:
    """How many notifications wait, of all users, and for how many seconds the oldest due one is
    due."""
    rows = await database.fetch(
        """
        SELECT count(*) AS waiting,
            greatest(extract(epoch FROM now() - min(due_at)), 0)::float8 AS oldest
        FROM notifications
        """
    )
    return rows[0]["waiting"], rows[0]["oldest"] or 0.0


def _taken(row: Row) -> TakenNotification:
    return TakenNotification(*(row[name] for name in TakenNotification._fields))


_TAKE = """
    SELECT t.*, c.kind, c.kid, c.sealed, c.with_message, c.failures, now() - t.made_at AS age,
        CASE WHEN t.ask_id IS NOT NULL
            THEN coalesce(a.state = 'open' AND a.expires_at > now(), false) END AS ask_is_open,
        a.question, a.options, a.question_hash, a.details IS NOT NULL AS has_details
    FROM take_notifications($1, $2, $3, $4, $5, $6, $7) t
    JOIN channels c ON c.user_id = t.user_id AND c.channel_id = t.channel_id
    LEFT JOIN asks a ON a.user_id = t.user_id AND a.ask_id = t.ask_id
    ORDER BY t.position
"""
