"""Reads what is stored of one user, for an export: table by table, each page in its own statement.

A page is a short statement, so an export holds neither a transaction nor a connection while its
client reads.
"""

from typing import Any, NamedTuple
from uuid import UUID

from relay.db.pool import Database, Row

PAGE_ROWS = 500  # of 2 KiB at most; a table with larger ones says so: a page takes 1 MiB


class ExportedTable(NamedTuple):
    """A table with a column `user_id`, and how its rows are exported.

    `kind` is the `type` of the lines. `key` is unique among a user's rows, and orders them.
    `left_out` are columns that are not exported: secrets, sealed or as hashes.
    """

    kind: str
    name: str
    key: str
    left_out: frozenset[str] = frozenset()
    most_rows: int = PAGE_ROWS  # of a page


TABLES = (
    ExportedTable("user", "users", "user_id"),
    ExportedTable("session", "sessions", "session_id"),
    ExportedTable("token", "tokens", "token_id"),
    ExportedTable("link", "links", "session_id", frozenset({"link_hash"})),
    ExportedTable("ticket", "tickets", "ticket_hash", frozenset({"ticket_hash"})),
    ExportedTable("live_streams", "watching", "process_id"),
    ExportedTable("audit", "audit_log", "audit_id"),
    ExportedTable("projection", "projections", "user_id"),
    ExportedTable("task", "tasks", "task_id", most_rows=30),  # 31 KiB at most
    ExportedTable("ask", "asks", "ask_id", frozenset({"request_hash"}), 25),  # 36 KiB at most
    ExportedTable("notified_user", "notified_users", "user_id"),
    ExportedTable("channel", "channels", "channel_id", frozenset({"sealed"})),
    ExportedTable("notification", "notifications", "position"),
    ExportedTable("delivery", "deliveries", "delivery_id"),
    ExportedTable("trimmed_event", "trimmed_events", "event_id"),
)
"""All tables that have rows of users, but for events, which are read as readers get them."""


def page_rows(table: ExportedTable) -> int:
    """How many rows of a table are read at once."""
    return min(table.most_rows, PAGE_ROWS)


async def select_rows(
    database: Database, table: ExportedTable, user_id: UUID, after: Any
) -> list[Row]:
    """The user's next rows, after the one with this key; the first ones if it is None."""
    if after is None:
        return await database.fetch(
            f"SELECT * FROM {table.name} WHERE user_id = $1 ORDER BY {table.key} LIMIT $2",
            user_id,
            page_rows(table),
        )
    return await database.fetch(
        f"""
        SELECT * FROM {table.name} WHERE user_id = $1 AND {table.key} > $2
        ORDER BY {table.key} LIMIT $3
        """,
        user_id,
        after,
        page_rows(table),
    )


async def note_export(database: Database, user_id: UUID, session_id: UUID) -> None:
    """Record in the audit log that a session exports what is stored of its user."""
    await database.execute(
        "INSERT INTO audit_log (user_id, action, subject) VALUES ($1, 'exported', $2)",
        user_id,
        session_id,
    )
