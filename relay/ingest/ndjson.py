"""NDJSON: many events in one request, all or none.

A batch as programs write it, an object a line and nothing between, is read in one pass in C and
checked as a whole. Where that does not say that all is well, each line is read by itself, which
names what is wrong with it.
"""

from datetime import datetime

import msgspec
import trio
import uuid_utils
from msgspec import UNSET, Raw, UnsetType

from relay.errors import BadRequest, FieldError, Invalid, PayloadTooLarge, Problem
from relay.events import NewEvent
from relay.ingest.envelope import (
    MAX_NESTING,
    MAX_PAYLOAD,
    EventType,
    are_identifiers,
    are_plain_times,
    looks_doubled,
    nests_too_deep,
    parse_event,
)

MAX_BATCH_EVENTS = 1_000
LINES_AT_ONCE = 100  # read one by one, without a pause: less than a millisecond
FLAT = 2 * MAX_NESTING  # characters: what is too deep has more brackets than these

_LINES = uuid_utils.UUID("6f1c1c1e-5d0a-4b57-9d3b-0f4d6c1d2a11")  # names lines of signed batches


class _Line(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """An Envelope whose texts are not looked at yet."""

    event_type: EventType
    ts: str
    payload: Raw
    event_id: str | UnsetType = UNSET
    task_id: str | UnsetType = UNSET


_decoder = msgspec.json.Decoder(_Line)


def count_lines(body: bytes) -> int:
    """What a batch may hold, for who charges it before reading it: its lines, blank ones too."""
    return min(body.count(b"\n") + (not body.endswith(b"\n")), MAX_BATCH_EVENTS)


async def parse_batch(
    body: bytes, received_at: datetime, batch_id: str | None = None
) -> list[NewEvent]:
    """One object a line, blank lines passed over -> NewEvents, all or none.

    With a `batch_id`, lines that name no id get one that is the same whenever the batch is.
    Raises Invalid naming each bad line (`where` is `line 3: ts`), PayloadTooLarge, BadRequest.
    """
    together = parse_together(body, received_at, batch_id)
    if together is not None:
        return together
    return await parse_each(body, received_at, batch_id)


def parse_together(
    body: bytes, received_at: datetime, batch_id: str | None
) -> list[NewEvent] | None:
    """What `parse_each` returns, if it is plain to see that nothing is wrong; else None."""
    lines = _read_plainly(body)
    if lines is None:
        return None
    named = [line.event_id for line in lines if line.event_id is not UNSET]
    tasks = [line.task_id for line in lines if line.task_id is not UNSET]
    payloads = [str(line.payload, "utf-8") for line in lines]
    if (
        looks_doubled(body, len(lines), len(named), len(tasks))
        or not are_identifiers(named)
        or not are_identifiers(set(tasks))
        or not are_plain_times([line.ts for line in lines])
        or any([len(text) > FLAT and _is_too_much(text) for text in payloads])
    ):
        return None
    events = []
    for number, (line, payload) in enumerate(zip(lines, payloads, strict=True), 1):
        default_id = None if batch_id is None else _line_id(batch_id, number)
        name = default_id if line.event_id is UNSET else line.event_id
        events.append(
            NewEvent(
                name or str(uuid_utils.uuid7()),
                line.event_type,
                None if line.task_id is UNSET else line.task_id,
                line.ts,
                payload,
                received_at,
                name is None,
            )
        )
    return events


def _read_plainly(body: bytes) -> list[_Line] | None:
    """The objects of a body that has one on each of its lines, and nothing that is unusual."""
    ends = body.count(b"\n") - body.endswith(b"\n")
    if (
        ends >= MAX_BATCH_EVENTS
        or not body.startswith(b"{")
        or not body.endswith((b"}", b"}\n"))
        # so no object goes on on the next line: after a brace there would come a comma, or another
        or body.count(b"}\n{") != ends
        or b"\r" in body
        or b"\0" in body
    ):
        return None
    try:
        body.decode()
        lines = _decoder.decode_lines(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    # each line holds a whole object at least, so none holds two
    return lines if len(lines) == ends + 1 else None


def _is_too_much(payload: str) -> bool:
    raw = payload.encode()
    return len(raw) > MAX_PAYLOAD or nests_too_deep(raw)


async def parse_each(
    body: bytes, received_at: datetime, batch_id: str | None = None
) -> list[NewEvent]:
    """Like `parse_batch`. Others get their turn every LINES_AT_ONCE lines."""
    lines = [line for line in enumerate(body.split(b"\n"), 1) if line[1].strip()]
    if not lines:
        raise BadRequest("The batch holds no event; send one JSON object a line.")
    if len(lines) > MAX_BATCH_EVENTS:
        raise PayloadTooLarge(f"A batch holds at most {MAX_BATCH_EVENTS} events.")
    events: list[NewEvent] = []
    errors: list[FieldError] = []
    for index, (number, line) in enumerate(lines, 1):
        if not index % LINES_AT_ONCE:
            await trio.lowlevel.checkpoint()
        try:
            default_id = None if batch_id is None else _line_id(batch_id, number)
            events.append(parse_event(line, received_at, default_id))
        except Problem as problem:
            found = problem.errors or (FieldError("body", problem.detail),)
            errors.extend(
                FieldError(f"line {number}: {error.where}".rstrip(": "), error.message)
                for error in found
            )
    if errors:
        raise Invalid("Nothing was stored: some lines are not valid events.", errors=errors)
    return events


def _line_id(batch_id: str, number: int) -> str:
    """A UUID of both: a replayed batch is a duplicate, however long its id."""
    return str(uuid_utils.uuid5(_LINES, f"{batch_id}:{number}"))
