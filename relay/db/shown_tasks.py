"""Which stored tasks pass a filter, and what all answers about them have in common.

Parts of statements in which `t` is a task and $1 its user.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec

from relay.db.pool import Row
from relay.db.task_rows import SHOWN_STATE
from relay.errors import UserGone
from relay.events import Cursor

_decode_counts = msgspec.json.Decoder(dict[str, int]).decode


class StoredTaskFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which tasks a page has. A field that is None lets every task pass.

    `before` is a seq: only tasks, or groups, whose last event is older than it. `part` is a part
    of a title, `title` a whole one.
    """

    states: Sequence[str] | None = None
    parent_id: str | None = None
    task_ids: Sequence[str] | None = None
    part: str | None = None
    title: str | None = None
    hidden: bool | None = False
    before: int | None = None

    @property
    def values(self) -> tuple[object, ...]:
        """The parameters of PASSES."""
        return (
            self.states,
            self.parent_id,
            self.task_ids,
            self.part,
            self.hidden,
            self.title,
        )


class Present(NamedTuple):
    """Where a user's tasks hold, at which time, and how many there are in each state."""

    at: datetime
    cursor: Cursor
    revision: int
    counts: dict[str, int]


def present(rows: Sequence[Row]) -> Present:
    """What the rows of a statement with PRESENT have in common.

    Raises UserGone.
    """
    if not rows:
        raise UserGone()
    first = rows[0]
    return Present(
        first["at"],
        Cursor(first["epoch"], first["projected"]),
        first["at_revision"],
        {} if first["counts"] is None else _decode_counts(first["counts"]),
    )


# The position, the counts and the tasks belong together, so they are read in one statement.
PRESENT = f"""
    present AS MATERIALIZED (
        SELECT now() AS at, u.epoch, coalesce(p.seq, u.oldest_seq - 1) AS projected,
            coalesce(p.revision, 0) AS at_revision,
            (
                SELECT json_object_agg(c.shown_state, c.tasks)::text FROM (
                    SELECT {SHOWN_STATE} AS shown_state, count(*) AS tasks FROM tasks t
                    WHERE t.user_id = $1 AND NOT t.forgotten AND NOT t.hidden
                    GROUP BY 1
                ) c
            ) AS counts
        FROM users u LEFT JOIN projections p ON p.user_id = u.user_id
        WHERE u.user_id = $1
    )
"""

# Of a StoredTaskFilter's `values`, which are $2 to $7.
PASSES = f"""
    ($2::text[] IS NULL OR {SHOWN_STATE} = ANY ($2))
    AND ($3::text IS NULL OR t.parent_id = $3)
    AND ($4::text[] IS NULL OR t.task_id = ANY ($4))
    AND ($5::text IS NULL OR strpos(lower(t.title), lower($5)) > 0)
    AND ($6::boolean IS NULL OR t.hidden = $6)
    AND ($7::text IS NULL OR t.title = $7)
"""
