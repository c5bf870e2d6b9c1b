"""The schema of an event as producers send it, and its limits.

Single events, batches and the API reference use this one schema. Its decoder is strict about JSON,
names and types. It does not check the text of identifiers and times (`values` does), duplicate
fields (`structure` does) or the encoding of the payload.
"""

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from relay.events import EventType
from relay.schema_types import Identifier, Timestamp

MAX_BODY_BYTES = 128 * 1024  # a request with one event: the largest payload and a large envelope
MAX_PAYLOAD_BYTES = 65_536  # of the payload's text as sent
MAX_NESTING = 64  # levels of arrays and objects in a payload; many parsers fail on deeper ones
MAX_BATCH_BODY_BYTES = 1024 * 1024  # an NDJSON request

EventId = Annotated[Identifier, Meta(description="Your idempotency key; made when it is missing.")]
TaskId = Annotated[Identifier, Meta(description="Which task this belongs to.")]


class Envelope(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """One event as a producer sends it. The payload is not parsed."""

    event_type: EventType
    ts: Annotated[Timestamp, Meta(description="When it happened, for you; passed on as given.")]
    payload: Annotated[
        Raw, Meta(description=f"Any JSON, at most {MAX_PAYLOAD_BYTES} bytes as sent.")
    ]
    event_id: EventId | UnsetType = UNSET
    task_id: TaskId | UnsetType = UNSET


decode = msgspec.json.Decoder(Envelope).decode
"""Raises msgspec.DecodeError, UnicodeDecodeError, RecursionError."""
