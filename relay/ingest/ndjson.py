"""Parses NDJSON batches: many events in one request, all valid or all refused.

Each line is decoded by itself, then the values of all lines are checked together, which is exact.
If that fails, each line is parsed by itself to name its faults.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import repeat

import trio
import uuid_utils
from msgspec import UNSET

from relay.errors import BadRequest, FieldError, Invalid, PayloadTooLarge, Problem
from relay.events import NewEvent
from relay.ingest.envelope import decode
from relay.ingest.parsing import DECODE_ERRORS, exceeds_payload_limits, new_event, parse_event
from relay.ingest.structure import has_doubled_fields, shortest_length, without_payloads
from relay.ingest.text_encoding import foreign_encoding, without_bom
from relay.ingest.values import are_identifiers, are_times

MAX_BATCH_EVENTS = 1_000
LINES_PER_CHECKPOINT = 100  # diagnosed before other tasks run

_LINE_NAMESPACE = uuid_utils.UUID("6f1c1c1e-5d0a-4b57-9d3b-0f4d6c1d2a11")  # for version 5 UUIDs


def count_lines(body: bytes) -> int:
    """Count the lines of a batch, blank ones too, up to `MAX_BATCH_EVENTS`.

    The rate limits charge a batch by this number before it is parsed.
    """
    return min(body.count(b"\n") + (not body.endswith(b"\n")), MAX_BATCH_EVENTS)


async def parse_batch(
    body: bytes, received_at: datetime, batch_id: str | None = None
) -> list[NewEvent]:
    """Parse one JSON object a line, skipping blank lines; all events or none.

    A byte order mark before the first line is passed over.

    With a `batch_id`, a line without an `event_id` gets one that is the same each time the batch
    is sent. Raises Invalid naming each bad line (`where` is `line 3: ts`), PayloadTooLarge,
    BadRequest.
    """
    lines = [line for line in body.split(b"\n") if line.strip()]
    if not lines:
        raise BadRequest("The batch contains no event; send one JSON object a line.")
    if len(lines) > MAX_BATCH_EVENTS:
        raise PayloadTooLarge(f"A batch may contain at most {MAX_BATCH_EVENTS} events.")
    default_ids = repeat(None) if batch_id is None else _line_ids(batch_id, body)
    events = parse_lines(lines, received_at, default_ids)
    if events is not None:
        return events
    if (rest := without_bom(body)) is not None:
        return await parse_batch(rest, received_at, batch_id)
    if (encoding := foreign_encoding(body)) is not None:
        detail = f"Nothing was stored: the body is {encoding}. Send UTF-8."
        raise Invalid(detail, errors=[FieldError("body", f"is {encoding}")])
    raise await _diagnose_lines(body, received_at)


def parse_lines(
    lines: Sequence[bytes], received_at: datetime, default_ids: Iterable[str | None]
) -> list[NewEvent] | None:
    """Parse lines into events, in order; None if `parse_event` would refuse any of them.

    `default_ids` has at least one item a line; it is the event's id if the line has none.
    """
    try:
        envelopes = [decode(line) for line in lines]
        payloads = [str(envelope.payload, "utf-8") for envelope in envelopes]
    except DECODE_ERRORS:
        return None
    event_types = [envelope.event_type for envelope in envelopes]
    times = [envelope.ts for envelope in envelopes]
    event_ids = [text for envelope in envelopes if (text := envelope.event_id) is not UNSET]
    task_ids = [text for envelope in envelopes if (text := envelope.task_id) is not UNSET]
    values = "".join([*event_types, *times, *event_ids, *task_ids])
    shortest = shortest_length(len(envelopes), len(event_ids), len(task_ids), values)
    if (
        not are_times(times)
        or not are_identifiers([*event_ids, *set(task_ids)])
        or any(map(exceeds_payload_limits, payloads))
        or has_doubled_fields(*without_payloads(lines, payloads), shortest)
    ):
        return None
    return [
        new_event(envelope, payload, received_at, default_id)
        for envelope, payload, default_id in zip(envelopes, payloads, default_ids, strict=False)
    ]


def _number_lines(body: bytes) -> list[tuple[int, bytes]]:
    """The lines that are not blank, each with its number among all lines, from 1."""
    return [line for line in enumerate(body.split(b"\n"), 1) if line[1].strip()]


def _line_ids(batch_id: str, body: bytes) -> list[str]:
    """UUIDs from the batch's id and the line numbers, so that a repeated batch is a duplicate."""
    return [
        str(uuid_utils.uuid5(_LINE_NAMESPACE, f"{batch_id}:{number}"))
        for number, _ in _number_lines(body)
    ]


async def _diagnose_lines(body: bytes, received_at: datetime) -> Invalid:
    """Name the faults of each bad line, with a checkpoint after every `LINES_PER_CHECKPOINT`."""
    errors: list[FieldError] = []
    for index, (number, line) in enumerate(_number_lines(body), 1):
        if not index % LINES_PER_CHECKPOINT:
            await trio.lowlevel.checkpoint()
        if without_bom(line) is not None:  # passed over before the first line only
            errors.append(FieldError(f"line {number}", "starts with a byte order mark"))
            continue
        try:
            parse_event(line, received_at)
        except Problem as problem:
            found = problem.errors or (FieldError("body", problem.detail),)
            errors.extend(
                FieldError(f"line {number}: {error.where}".rstrip(": "), error.message)
                for error in found
            )
    return Invalid("Nothing was stored: some lines are not valid events.", errors=errors)
