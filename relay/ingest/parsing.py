"""Parses the bytes of one event into a validated NewEvent, in one strict pass.

It refuses exactly the bodies in which `diagnosis` finds a fault.
"""

from datetime import datetime

import msgspec
import uuid_utils
from msgspec import UNSET

from relay.errors import Invalid, Problem
from relay.events import NewEvent
from relay.identifiers import is_identifier
from relay.ingest.diagnosis import diagnose
from relay.ingest.envelope import MAX_NESTING, MAX_PAYLOAD_BYTES, Envelope, decode
from relay.ingest.structure import (
    has_doubled_fields,
    nests_too_deep,
    shortest_length,
    without_payload,
)
from relay.ingest.text_encoding import without_bom
from relay.ingest.values import is_time

DECODE_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_SHORT_PAYLOAD = 2 * MAX_NESTING  # characters; such a payload is neither too deep nor too large


def parse_event(body: bytes, received_at: datetime, default_id: str | None = None) -> NewEvent:
    """Parse one JSON object; `default_id` is the event's id if the body has none.

    A byte order mark before it is passed over.

    Raises BadRequest (not JSON), Invalid (names each invalid field), PayloadTooLarge.
    """
    try:
        envelope = decode(body)
        payload = str(envelope.payload, "utf-8")
    except DECODE_ERRORS:
        if (rest := without_bom(body)) is not None:
            return parse_event(rest, received_at, default_id)
        raise _diagnose(body) from None
    event_id, task_id = envelope.event_id, envelope.task_id
    identifiers = [text for text in (event_id, task_id) if text is not UNSET]
    values = "".join((envelope.event_type, envelope.ts, *identifiers))
    shortest = shortest_length(1, event_id is not UNSET, task_id is not UNSET, values)
    if (
        not is_time(envelope.ts)
        or not all(map(is_identifier, identifiers))
        or exceeds_payload_limits(payload)
        or has_doubled_fields(*without_payload(body, payload.encode()), shortest)
    ):
        raise _diagnose(body)
    return new_event(envelope, payload, received_at, default_id)


def new_event(
    envelope: Envelope, payload: str, received_at: datetime, default_id: str | None
) -> NewEvent:
    """Build the event from an envelope and its payload's text, both validated."""
    if "\r" in payload or "\n" in payload:
        # JSON strings contain no raw line ends, so these are between tokens.
        payload = payload.replace("\r", " ").replace("\n", " ")
    event_id = default_id if envelope.event_id is UNSET else envelope.event_id
    return NewEvent(
        event_id or str(uuid_utils.uuid7()),
        envelope.event_type,
        None if envelope.task_id is UNSET else envelope.task_id,
        envelope.ts,
        payload,
        received_at,
        event_id is None,
    )


def exceeds_payload_limits(payload: str) -> bool:
    """Whether a payload is too large or nested too deep."""
    if len(payload) <= _SHORT_PAYLOAD:
        return False
    raw = payload.encode()
    return len(raw) > MAX_PAYLOAD_BYTES or nests_too_deep(raw, MAX_NESTING)


def _diagnose(body: bytes) -> Problem:
    return diagnose(body) or Invalid.of("body", "is not an event")
