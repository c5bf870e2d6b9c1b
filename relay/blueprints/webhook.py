"""The way of one event begins here: a request's bytes -> a validated NewEvent -> a receipt."""

import time
from typing import Annotated

import msgspec
from msgspec import Meta
from quart import Blueprint, Response, request

from relay.access import Credential
from relay.bodies import JSON, NDJSON, answer, media_type, read_bytes
from relay.described import Link, Parameter, described
from relay.envelope import Envelope, count_lines, parse_batch, parse_event
from relay.errors import DiskFull, Draining, JournalFull
from relay.events import Cursor, Receipt, utc_now
from relay.limited import charge_events, limited_by_handler
from relay.requests import needs_publisher
from relay.services import services
from relay.shapes import CursorText, Seq, Somebody
from relay.signing import BadSignature, verify_signature

webhook = Blueprint("webhook", __name__)


Watchers = Annotated[int, Meta(ge=0, description="Live streams of the user.")]


class Accepted(msgspec.Struct):
    """One event is stored; `watchers` live streams were told."""

    id: str
    seq: Seq
    cursor: CursorText
    duplicate: Annotated[bool, Meta(description="Stored before; nothing is delivered again.")]
    watchers: Watchers
    ok: bool = True


class BatchAccepted(msgspec.Struct):
    """All events are stored: `accepted` new ones, from `first_seq` to `last_seq` (null when none),
    and `duplicates` that were stored before or stand in the batch twice."""

    accepted: int
    duplicates: int
    first_seq: Seq | None
    last_seq: Seq | None
    cursor: CursorText
    watchers: Watchers
    ok: bool = True


_STARTED = Envelope(
    event_type="task_started",
    ts="2026-01-31T12:00:00Z",
    payload=msgspec.Raw(b'{"title":"Build 17"}'),
    event_id="build-17-start",
    task_id="build-17",
)
_DONE = Envelope(
    event_type="task_succeeded",
    ts="2026-01-31T12:01:21+00:00",
    payload=msgspec.Raw(b'{"duration_s":81.4}'),
    event_id="build-17-done",
    task_id="build-17",
)
_SIGNED = (
    Parameter("webhook-id", str, "Of a signed request: its event's id.", "build-17", "header"),
    Parameter("webhook-timestamp", str, "Seconds since 1970.", "1769860800", "header"),
    Parameter("webhook-signature", str, "`v1,` and the signature.", "v1,c2lnbmVk", "header"),
)


@webhook.post("/api/webhook/cli")
@described(
    "events",
    parameters=_SIGNED,
    body={JSON: _STARTED, NDJSON: (_STARTED, _DONE)},
    answers={
        200: (
            Accepted("build-17-start", 41, Somebody.CURSOR, duplicate=False, watchers=1),
            BatchAccepted(
                accepted=1,
                duplicates=1,
                first_seq=42,
                last_seq=42,
                cursor=Somebody.NEXT,
                watchers=1,
            ),
        )
    },
    links=(Link("list_events", parameters={"after": "cursor"}),),
    refuses=(BadSignature, JournalFull, DiskFull, Draining),
)
@limited_by_handler
@needs_publisher
async def ingest(credential: Credential) -> Response:
    """Store one event (JSON) or many (NDJSON, one a line, all or none), then answer."""
    kind = media_type(JSON, NDJSON)
    body = await read_bytes()
    count = count_lines(body) if kind == NDJSON else 1
    charge_events(credential.id, count)
    received_at = utc_now()
    publisher = services().publisher
    async with publisher.turns.turn(credential.user_id, count):
        default_id = _signed_id(credential, body)
        if kind == NDJSON:
            events = await parse_batch(body, received_at, default_id)
        else:
            events = [parse_event(body, received_at, default_id)]
        receipts = await publisher.publish(credential.user_id, events)
    watchers = services().watchers(credential.user_id)
    if kind == NDJSON:
        return answer(_batch_accepted(receipts, watchers))
    (receipt,) = receipts
    cursor = f"{receipt.epoch}.{receipt.seq}"
    return answer(Accepted(receipt.id, receipt.seq, cursor, receipt.duplicate, watchers))


def _signed_id(credential: Credential, body: bytes) -> str | None:
    """The `webhook-id` of a request that must be signed, after its signature was verified."""
    if credential.signing_kid is None:
        return None
    keyring = services().access.keyring
    secret = keyring.signing_secret(credential.id, credential.signing_kid)
    return verify_signature(request.headers, body, secret, time.time())


def _batch_accepted(receipts: list[Receipt], watchers: int) -> BatchAccepted:
    new = [receipt.seq for receipt in receipts if not receipt.duplicate]
    furthest = max(receipts, key=lambda receipt: receipt.seq)
    return BatchAccepted(
        accepted=len(new),
        duplicates=len(receipts) - len(new),
        first_seq=min(new, default=None),
        last_seq=max(new, default=None),
        cursor=str(Cursor(furthest.epoch, furthest.seq)),
        watchers=watchers,
    )
