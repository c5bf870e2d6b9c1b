"""Ingests a request's body: parse, validate, store, publish; returns the response's model."""

from collections.abc import Callable
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

from relay.events import Cursor, Receipt
from relay.ingest.ndjson import parse_batch
from relay.ingest.parsing import parse_event
from relay.ingest.publisher import Publisher
from relay.schema_types import CursorText, Seq

CountWatchers = Callable[[UUID], int]
"""Returns the number of a user's live streams."""

Watchers = Annotated[int, Meta(ge=0, description="Live streams of the user.")]


class Accepted(msgspec.Struct):
    """One event is stored; the user has `watchers` live streams."""

    id: str
    seq: Seq
    cursor: CursorText
    duplicate: Annotated[bool, Meta(description="Stored before; nothing is delivered again.")]
    watchers: Watchers
    ok: bool = True


class BatchAccepted(msgspec.Struct):
    """All events are stored: `accepted` new ones, from `first_seq` to `last_seq` (null when none),
    and `duplicates` that were stored before or are in the batch twice."""

    accepted: int
    duplicates: int
    first_seq: Seq | None
    last_seq: Seq | None
    cursor: CursorText
    watchers: Watchers
    ok: bool = True


async def ingest_event(
    publisher: Publisher,
    watchers: CountWatchers,
    user_id: UUID,
    body: bytes,
    default_id: str | None = None,
) -> Accepted:
    """Parse, store and publish one event.

    `default_id` is the event's id if the body has none. Raises BadRequest, Invalid,
    PayloadTooLarge, and what `UserConcurrencyLimit.slot` and `Publisher.publish` raise.
    """
    received_at = publisher.journal.now()
    async with publisher.user_limit.slot(user_id, 1, len(body)):
        event = parse_event(body, received_at, default_id)
        (receipt,) = await publisher.publish(user_id, (event,))
    cursor = f"{receipt.epoch}.{receipt.seq}"
    return Accepted(receipt.id, receipt.seq, cursor, receipt.duplicate, watchers(user_id))


async def ingest_batch(
    publisher: Publisher,
    watchers: CountWatchers,
    user_id: UUID,
    body: bytes,
    lines: int,
    default_id: str | None = None,
) -> BatchAccepted:
    """Parse, store and publish an NDJSON batch, all events or none. Raises like `ingest_event`."""
    received_at = publisher.journal.now()
    async with publisher.user_limit.slot(user_id, lines, len(body)):
        await publisher.parse_budget.spend(lines)
        events = await parse_batch(body, received_at, default_id)
        receipts = await publisher.publish(user_id, events)
    return _batch_accepted(receipts, watchers(user_id))


def _batch_accepted(receipts: list[Receipt], watchers: int) -> BatchAccepted:
    """Summarise receipts of one commit: they have one epoch, and new seqs are in order."""
    new = [receipt.seq for receipt in receipts if not receipt.duplicate]
    furthest = max([receipt.seq for receipt in receipts])
    return BatchAccepted(
        accepted=len(new),
        duplicates=len(receipts) - len(new),
        first_seq=new[0] if new else None,
        last_seq=new[-1] if new else None,
        cursor=str(Cursor(receipts[0].epoch, furthest)),
        watchers=watchers,
    )
