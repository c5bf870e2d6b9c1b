"""The SQL that appends events: its arguments from requests, and receipts from its rows."""

from collections.abc import Sequence
from uuid import UUID

from relay.db.append_queue import AppendRequest
from relay.db.pool import Row
from relay.errors import UserGone
from relay.events import Event, NewEvent, Receipt

_APPEND_REQUESTS = """
    SELECT epoch, first_seq, seqs, fresh
    FROM append_requests($1, $2, $3, $4, $5, $6, $7, $8, $9)
"""
_APPEND_EVENT = """
    SELECT epoch, first_seq, seqs, fresh
    FROM append_event($1, $2, $3, $4, $5, $6, $7, $8)
"""


def build_statement(batch: Sequence[AppendRequest]) -> tuple[str, *tuple[object, ...]]:
    """The SQL that appends this batch, and its arguments; it returns one row for each request."""
    if len(batch) == 1 and len(batch[0].events) == 1:
        return _APPEND_EVENT, *_event_arguments(batch[0].user_id, batch[0].events[0])
    return _APPEND_REQUESTS, *_request_arguments(batch)


def _event_arguments(user_id: UUID, event: NewEvent) -> tuple[object, ...]:
    return (
        user_id,
        not event.has_generated_id,
        event.received_at,
        event.id,
        event.event_type,
        event.task_id,
        event.ts,
        event.payload,
    )


def _request_arguments(batch: Sequence[AppendRequest]) -> tuple[object, ...]:
    """Arrays with one element for each request, and texts with one line for each event."""
    events = [event for request in batch for event in request.events]
    return (
        [request.user_id for request in batch],
        [len(request.events) for request in batch],
        [not all([event.has_generated_id for event in request.events]) for request in batch],
        [request.events[0].received_at for request in batch],
        "\n".join([event.id for event in events]),
        "\n".join([event.event_type for event in events]),
        "\n".join([event.task_id or " " for event in events]),
        "\n".join([event.ts for event in events]),
        "\n".join([event.payload for event in events]),
    )


def record_outcome(request: AppendRequest, row: Row) -> list[Event]:
    """Set a request's receipts or its problem from its row; returns its newly stored events."""
    epoch, first_seq, seqs, fresh = row
    if epoch is None:
        request.problem = UserGone()
        return []
    if seqs is None:
        numbered = list(enumerate(request.events, first_seq))
        request.receipts = [Receipt(event.id, epoch, seq, False) for seq, event in numbered]
        return [_stored_event(event, epoch, seq) for seq, event in numbered]
    new: list[Event] = []
    for event, seq, is_fresh in zip(request.events, seqs, fresh, strict=True):
        request.receipts.append(Receipt(event.id, epoch, seq, not is_fresh))
        if is_fresh:
            new.append(_stored_event(event, epoch, seq))
    return new


def _stored_event(event: NewEvent, epoch: str, seq: int) -> Event:
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
