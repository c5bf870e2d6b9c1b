"""The way of one event begins here: a request's bytes -> a validated NewEvent -> a receipt."""

import time

import msgspec
from quart import Blueprint, Response, request
from quart_schema import document_request, document_response, tag

from relay.access import Credential
from relay.bodies import JSON, NDJSON, answer, media_type, read_bytes
from relay.envelope import Envelope, parse_batch, parse_event
from relay.events import Cursor, Receipt, utc_now
from relay.requests import needs_publisher
from relay.services import services
from relay.signing import verify_signature

webhook = Blueprint("webhook", __name__)


class Accepted(msgspec.Struct):
    """One event is stored; `watchers` live streams were told."""

    id: str
    seq: int
    cursor: str
    duplicate: bool
    watchers: int
    ok: bool = True


class BatchAccepted(msgspec.Struct):
    """All events are stored: `accepted` new ones, from `first_seq` to `last_seq` (null when none),
    and `duplicates` that were stored before or stand in the batch twice."""

    accepted: int
    duplicates: int
    first_seq: int | None
    last_seq: int | None
    cursor: str
    watchers: int
    ok: bool = True


@webhook.post("/api/webhook/cli")
@tag(["events"])
@document_request(Envelope)
@document_response(Accepted, 200)
@needs_publisher
async def ingest(credential: Credential) -> Response:
    """Store one event (JSON) or many (NDJSON, one a line, all or none), then answer."""
    kind = media_type(JSON, NDJSON)
    body = await read_bytes()
    received_at = utc_now()
    default_id = _signed_id(credential, body)
    if kind == NDJSON:
        events = parse_batch(body, received_at)
    else:
        events = [parse_event(body, received_at, default_id)]
    receipts = await services().publisher.publish(credential.user_id, events)
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
