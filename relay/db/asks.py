"""Reads and writes asks. What is decided of an ask is decided in its row, by one statement."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Literal, NamedTuple
from uuid import UUID

import msgspec

from relay.db.notifications import OutboxBounds
from relay.db.pool import Database, Row
from relay.errors import UserGone

SETTLE_PATIENCE = timedelta(seconds=15)  # longer than a live process takes to write an event
MAX_SETTLED = 500  # asks in one statement
MAX_ENDED_ASKS = 10_000  # of one user, the latest: a program could ask without end


# what the table's checks allow
AskKind = Literal["choice", "text"]
AskState = Literal["open", "answered", "expired", "withdrawn"]


class NewAsk(NamedTuple):
    """An ask that is not stored yet. `hash` is of the request, `question_hash` of what is shown."""

    ask_id: UUID
    user_id: UUID
    token_id: UUID
    event_id: str | None
    hash: bytes
    task_id: str | None
    question: str
    kind: str
    options: Sequence[str]
    details: str | None
    question_hash: str
    expires_in: int


class Ask(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """An ask as of now. `asked_by` is the hook token that asked; `details` is JSON as sent.

    `written` is the state that the stream has, which is the column `noted`; `waiting_id` and
    `answered_id` are the ids of the two events that say so.
    """

    ask_id: UUID
    user_id: UUID
    asked_by: UUID
    task_id: str | None
    question: str
    kind: AskKind
    options: Sequence[str]
    details: str | None
    question_hash: str
    asked_at: datetime
    expires_at: datetime
    state: AskState
    answer: str | None
    ended_at: datetime | None
    written: str | None
    waiting_id: UUID
    answered_id: UUID


class Opened(NamedTuple):
    """`outcome`: opened, found, other_request or too_many; without an ask for the last one.

    `notified`: notifications of it are to be sent.
    """

    outcome: str
    ask: Ask | None
    notified: bool = False


async def open_ask(
    database: Database, new: NewAsk, *, at_most: int, bounds: OutboxBounds
) -> Opened:
    """Store a new ask, or find the one that the same request opened within a day.

    At most `at_most` of a user are open. A new one without a task makes the user's notifications in
    the same transaction; of one with a task they are made by the fold of its event.
    Raises UserGone.
    """
    rows = await database.fetch(
        """
        WITH opened AS MATERIALIZED (
            SELECT opened.outcome, (opened.found).*
            FROM open_ask($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) AS opened
        ), made AS MATERIALIZED (
            SELECT sum(notify_of_ask($2, o.ask_id, $15, $16, $17, $18, $19, $20)) AS made
            FROM opened o WHERE o.outcome = 'opened' AND o.task_id IS NULL
        )
        SELECT opened.*, coalesce(made.made, 0) AS made FROM opened, made
        """,
        *new,
        at_most,
        MAX_ENDED_ASKS,
        *bounds,
    )
    if not rows:
        raise UserGone()
    row = rows[0]
    ask = _ask(row) if row["ask_id"] is not None else None
    return Opened(row["outcome"], ask, notified=row["made"] > 0)


async def end_ask(
    database: Database,
    ask: Ask,
    state: str,
    *,
    by: UUID,
    answer: str | None = None,
) -> tuple[bool, Ask | None]:
    """End an ask, if it is open; returns whether this call did, and the ask as it is then.

    `by` is the credential that does it, which the audit log names.
    """
    rows = await database.fetch(
        "SELECT ended.ended, (ended.found).* FROM end_ask($1, $2, $3, $4, $5) AS ended",
        ask.ask_id,
        ask.user_id,
        state,
        answer,
        by,
    )
    return (rows[0]["ended"], _ask(rows[0])) if rows else (False, None)


async def select_ask(database: Database, user_id: UUID, ask_id: UUID) -> Ask | None:
    """One ask of this user. One whose time is over has expired, or was answered just before."""
    statement = """
        SELECT a.*, a.state = 'open' AND a.expires_at <= now() AS is_over FROM asks a
        WHERE a.user_id = $1 AND a.ask_id = $2
    """
    rows = await database.fetch(statement, user_id, ask_id)
    if rows and rows[0]["is_over"]:
        await database.execute("SELECT expire_ask($1, $2)", user_id, ask_id)
        rows = await database.fetch(statement, user_id, ask_id)
    return _ask(rows[0]) if rows else None


async def select_open_asks(database: Database, user_id: UUID) -> list[Ask]:
    """The user's open asks, the oldest first."""
    rows = await database.fetch(
        """
        SELECT * FROM asks WHERE user_id = $1 AND state = 'open' AND expires_at > now()
        ORDER BY asked_at, ask_id
        """,
        user_id,
    )
    return [_ask(row) for row in rows]


async def select_ended(
    database: Database, asks: Collection[tuple[UUID, UUID]]
) -> list[tuple[UUID, UUID]]:
    """Those of the asks that are not open, or no longer stored; each is a user and an ask's id."""
    rows = await database.fetch(
        """
        SELECT asked.user_id, asked.ask_id
        FROM unnest($1::uuid[], $2::uuid[]) AS asked (user_id, ask_id)
        LEFT JOIN asks a ON a.user_id = asked.user_id AND a.ask_id = asked.ask_id
        WHERE a.ask_id IS NULL OR a.state <> 'open' OR a.expires_at <= now()
        """,
        [user_id for user_id, _ in asks],
        [ask_id for _, ask_id in asks],
    )
    return [(row["user_id"], row["ask_id"]) for row in rows]


async def settle_asks(database: Database) -> list[Ask]:
    """Write down which asks have expired; returns those whose event is still to be written."""
    rows = await database.fetch("SELECT * FROM settle_asks($1, $2)", SETTLE_PATIENCE, MAX_SETTLED)
    return [_ask(row) for row in rows]


async def mark_written(database: Database, ask: Ask) -> bool:
    """Note that the stream has the events up to this state of the ask; returns whether it is new.

    Of several processes that write the same events, it is new for one.
    """
    status = await database.execute(
        """
        UPDATE asks SET noted = $3
        WHERE user_id = $2 AND ask_id = $1 AND noted IS DISTINCT FROM $3
            AND (noted IS NULL OR $3 <> 'open')
        """,
        ask.ask_id,
        ask.user_id,
        ask.state,
    )
    return status == "UPDATE 1"


def _ask(row: Row) -> Ask:
    return Ask(
        ask_id=row["ask_id"],
        user_id=row["user_id"],
        asked_by=row["token_id"],
        task_id=row["task_id"],
        question=row["question"],
        kind=row["kind"],
        options=row["options"],
        details=row["details"],
        question_hash=row["question_hash"],
        asked_at=row["asked_at"],
        expires_at=row["expires_at"],
        state=row["state"],
        answer=row["answer"],
        ended_at=row["ended_at"],
        written=row["noted"],
        waiting_id=row["waiting_id"],
        answered_id=row["answered_id"],
    )
