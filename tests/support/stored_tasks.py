"""Tasks as they are stored, without the events that made them."""

from typing import Any
from uuid import UUID, uuid4

from relay.db.pool import Database


async def store_tasks(database: Database, count: int, **columns: Any) -> UUID:
    """A user with the running tasks `t00`, `t01`, … , of which the last is the latest.

    `columns` are SQL, of the task's number `n`.
    """
    user_id = uuid4()
    await database.execute(
        "INSERT INTO users (user_id, epoch, last_seq) VALUES ($1, 'e', $2)", user_id, count
    )
    await database.execute(
        "INSERT INTO projections (user_id, seq, revision, tasks) VALUES ($1, $2, 1, $2)",
        user_id,
        count,
    )
    given = {"state": "'running'", "last_at": "now()", **columns}
    await database.execute(
        f"""
        INSERT INTO tasks (user_id, task_id, revision, run, first_seq, last_seq, events, started_at,
            started_ts, {", ".join(given)})
        SELECT $1, 't' || lpad((n - 1)::text, 2, '0'), 1, 1, n, n, 1, now(), '',
            {", ".join(given.values())}
        FROM generate_series(1, $2::integer) n
        """,
        user_id,
        count,
    )
    return user_id
