"""The SQL that appends events: its arguments from requests, and receipts from its rows."""

from collections.abc import Sequence
from uuid import UUID

from relay.db.append_queue import Waiting
from relay.db.pool import Row
from relay.errors import InvalidToken
from relay.events import Event, NewEvent, Receipt

_REQUESTS = """
    SELECT epoch, first_seq, seqs, fresh
    FROM append_requests($1, $2, $3, $4, $5, $6, $7, $8, $9)
"""
_EVENT = """
    SELECT epoch, first_seq, seqs, fresh
    FROM append_event($1, $2, $3, $4, $5, $6, $7, $8)
"""


def statement(batch: Sequence[Waiting]) -> tuple[str, *tuple[object, ...]]:
    """The SQL that appends this batch, and its arguments; it returns one row for each request."""
    if len(batch) == 1 and len(batch[0].events) == 1:
        return _EVENT, *_of_event(batch[0].user_id, batch[0].events[0])
    return _REQUESTS, *_of_requests(batch)


def _of_event(user_id: UUID, event: NewEvent) -> tuple[object, ...]:
    return (
        user_id,
        not event.made,
        event.received_at,
        event.id,
        event.event_type,
        event.task_id,
        event.ts,
        event.payload,
    )


def _of_requests(batch: Sequence[Waiting]) -> tuple[object, ...]:
    """Arrays with one element for each request, and texts with one line for each event."""
    events = [event for waiting in batch for event in waiting.events]
    return (
        [waiting.user_id for waiting in batch],
        [len(waiting.events) for waiting in batch],
        [not all([event.made for event in waiting.events]) for waiting in batch],
        [waiting.events[0].received_at for waiting in batch],
        "\n".join([event.id for event in events]),
        "\n".join([event.event_type for event in events]),
        "\n".join([event.task_id or " " for event in events]),
        "\n".join([event.ts for event in events]),
        "\n".join([event.payload for event in events]),
    )


def settle(waiting: Waiting, row: Row) -> list[Event]:
    """Set a request's receipts or its problem from its row; returns its newly stored events."""
    epoch, first_seq, seqs, fresh = row
    if epoch is None:
        waiting.problem = InvalidToken("The user is gone.", reason="revoked")
        return []
    if seqs is None:
        numbered = list(enumerate(waiting.events, first_seq))
        waiting.receipts = [Receipt(event.id, epoch, seq, False) for seq, event in numbered]
        return [_committed(event, epoch, seq) for seq, event in numbered]
    new: list[Event] = []
    for event, seq, is_fresh in zip(waiting.events, seqs, fresh, strict=True):
        waiting.receipts.append(Receipt(event.id, epoch, seq, not is_fresh))
        if is_fresh:
            new.append(_committed(event, epoch, seq))
    return new


def _committed(event: NewEvent, epoch: str, seq: int) -> Event:
    return Event(
        epoch,
        seq,
        event.id,
        event.event_type,
        event.task_id,
        event.ts,
        event.payload,
        event.received_at,
    )
