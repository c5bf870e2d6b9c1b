"""From the bytes of a request to validated events, in one strict and fast pass.

The good case is one decode in C and a few byte searches. Whatever looks wrong goes through
`_diagnose`, which reads the JSON again, slowly, and names every field that is at fault.
"""

import json
import re
from collections.abc import Callable, Collection, Sequence
from datetime import date, datetime
from itertools import accumulate
from typing import Annotated, Any, Literal

import msgspec
import uuid_utils
from msgspec import UNSET, Meta, Raw, UnsetType

from relay.errors import BadRequest, FieldError, Invalid, PayloadTooLarge, Problem, named
from relay.events import EVENT_TYPES, NewEvent
from relay.media_types import NDJSON
from relay.schema_types import Timestamp

MAX_BODY = 128 * 1024  # bytes of one event's request: a full payload and a generous envelope
MAX_PAYLOAD = 65_536  # bytes of the payload's text as sent
MAX_NESTING = 64  # levels of arrays and objects in a payload; deeper ones break readers
MAX_BATCH_BODY = 1024 * 1024  # bytes of an NDJSON request

MAX_IDENTIFIER = 128
Identifier = Annotated[str, Meta(pattern=r"\A[\x21-\x7e]{1,128}\Z")]
_IDENTIFIER = re.compile(r"[\x21-\x7e]{1,128}")
_IDENTIFIER_MESSAGE = "must be 1 to 128 printable ASCII characters without spaces"

# RFC 3339, section 5.6; the second 60 is a leap second
_TIME = (
    r"[Tt](?:[01]\d|2[0-3]):[0-5]\d:(?:[0-5]\d|60)(?:\.\d{1,64})?"
    r"(?:[Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)"
)
_TS = re.compile(rf"(\d{{4}}-\d\d-\d\d){_TIME}", re.ASCII)
# with days that every year has, a line each
_PLAIN_DAY = (
    r"(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\d|3[01])"
    r"|(?:0[469]|11)-(?:0[1-9]|[12]\d|30)|02-(?:0[1-9]|1\d|2[0-8]))"
)
_PLAIN_TSS = re.compile(rf"(?:[1-9]\d{{3}}-{_PLAIN_DAY}{_TIME}\n)*+", re.ASCII)
_TS_MESSAGE = "must be an RFC 3339 time with `Z` or an offset, like 2026-01-31T12:00:00Z"


TOO_DEEP = FieldError("payload", f"is nested deeper than {MAX_NESTING} levels")


EventId = Annotated[Identifier, Meta(description="Your idempotency key; made when it is missing.")]
TaskId = Annotated[Identifier, Meta(description="Which task this belongs to.")]


EventType = Literal["task_started", "task_progress", "task_succeeded", "task_failed", "log"]


class Envelope(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """What a producer sends. The payload stays as it is."""

    event_type: EventType
    ts: Annotated[Timestamp, Meta(description="When it happened, for you; passed on as given.")]
    payload: Annotated[Raw, Meta(description=f"Any JSON, at most {MAX_PAYLOAD} bytes as sent.")]
    event_id: EventId | UnsetType = UNSET
    task_id: TaskId | UnsetType = UNSET


_FIELDS = ("event_type", "ts", "payload", "event_id", "task_id")
_REQUIRED = ("event_type", "ts", "payload")
_QUOTED = tuple(f'"{name}"'.encode() for name in _FIELDS)
_decoder = msgspec.json.Decoder(Envelope)


def most_bytes(content_type: str) -> int:
    """What a request's body may have, by what it says it is."""
    batch = content_type.partition(";")[0].strip().lower() == NDJSON
    return MAX_BATCH_BODY if batch else MAX_BODY


def parse_event(body: bytes, received_at: datetime, default_id: str | None = None) -> NewEvent:
    """One JSON object -> a NewEvent; `default_id` serves where the body names none.

    Raises BadRequest (not JSON), Invalid (each field at fault named), PayloadTooLarge.
    """
    text = _decode_text(body)
    try:
        envelope = _decoder.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise _refusal(text, error) from None
    named, of_task = envelope.event_id is not UNSET, envelope.task_id is not UNSET
    if looks_doubled(body, 1, named, of_task):
        try:
            errors = _diagnose(text)
        except RecursionError:
            errors = [TOO_DEEP]
        if errors:
            raise Invalid(errors=errors)
    return _new_event(envelope, received_at, default_id)


def _new_event(envelope: Envelope, received_at: datetime, default_id: str | None) -> NewEvent:
    raw = bytes(envelope.payload)
    if len(raw) > MAX_PAYLOAD:
        raise PayloadTooLarge(f"The payload has {len(raw)} bytes; {MAX_PAYLOAD} are allowed.")
    errors = [] if _is_rfc3339(envelope.ts) else [FieldError("ts", _TS_MESSAGE)]
    if nests_too_deep(raw):
        errors.append(TOO_DEEP)
    if errors:
        raise Invalid(errors=errors)
    # Inside strings JSON has no raw line ends, so these stand between tokens only.
    payload = raw.decode().replace("\r", " ").replace("\n", " ")
    named = default_id if envelope.event_id is UNSET else envelope.event_id
    return NewEvent(
        id=named or str(uuid_utils.uuid7()),
        event_type=envelope.event_type,
        task_id=None if envelope.task_id is UNSET else envelope.task_id,
        ts=envelope.ts,
        payload=payload,
        received_at=received_at,
        made=named is None,
    )


def _decode_text(body: bytes) -> str:
    """UTF-8 without NUL, or Invalid. msgspec.Raw would let broken bytes through."""
    if b"\0" in body:
        raise Invalid("The body holds a raw NUL byte.")
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise Invalid(f"The body is not UTF-8 at byte {error.start}.") from None


def looks_doubled(body: bytes, events: int, event_ids: int, task_ids: int) -> bool:
    """Might a field of some envelope stand twice? Cheap, and never wrong when it says no.

    So many envelopes were read, and so many of the fields that need not stand. A name spelled with
    escapes needs a backslash-u; any other doubling shows as one more `"name"`. A payload that
    holds the same name only costs the slow look.
    """
    if b"\\" in body and b"\\u" in body:
        return True
    event_type, ts, payload, event_id, task_id = _QUOTED
    return (
        body.count(event_type) != events
        or body.count(ts) != events
        or body.count(payload) != events
        or body.count(event_id) != event_ids
        or body.count(task_id) != task_ids
    )


def _refusal(text: str, error: Exception) -> Problem:
    """Why the decoder refused: not JSON at all, or which fields."""
    too_deep = nests_too_deep(text.encode(), allowed=MAX_NESTING + 1)
    try:
        errors = _diagnose(text)
    except ValueError:
        return BadRequest("The body is not JSON.")
    except RecursionError:
        errors = []
    if too_deep:
        errors.append(TOO_DEEP)
    return Invalid(errors=errors) if errors else Invalid(str(error))


def _diagnose(text: str) -> list[FieldError]:
    """Everything wrong with the envelope, field by field. Raises ValueError if not JSON,
    RecursionError if it is nested beyond all reason."""
    document = json.loads(
        text,
        object_pairs_hook=_Pairs,
        parse_int=_zero,  # the digits do not matter here, and thousands of them are slow
        parse_constant=_refuse_constant,
    )
    if not isinstance(document, _Pairs):
        return [FieldError("body", "must be a JSON object")]
    names = [name for name, _ in document]
    fields: dict[str, Any] = dict(document)
    errors = [FieldError(name, "is missing") for name in _REQUIRED if name not in fields]
    errors += [
        FieldError(named(name), "is not a field of an event")
        for name in fields
        if name not in _FIELDS
    ]
    errors += [
        FieldError(name, "stands more than once") for name in _FIELDS if names.count(name) > 1
    ]
    errors += [
        FieldError(name, message)
        for name, check, message in _CHECKS
        if name in fields and not check(fields[name])
    ]
    if _has_lone_surrogate(text):
        errors.append(FieldError("body", "holds a lone surrogate, which is no character"))
    return errors


class _Pairs(list[tuple[str, Any]]):
    """A JSON object with its doubled names kept."""


def _zero(_digits: str) -> int:
    return 0


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _is_identifier(value: object) -> bool:
    return isinstance(value, str) and _IDENTIFIER.fullmatch(value) is not None


def _is_rfc3339(value: object) -> bool:
    if not isinstance(value, str) or (match := _TS.fullmatch(value)) is None:
        return False
    try:
        date.fromisoformat(match[1])
    except ValueError:
        return False
    return True


def are_plain_times(texts: Sequence[str]) -> bool:
    """Whether they are RFC 3339, if that is plain to see; no means: look at each."""
    lines = "\n".join([*texts, ""])
    return _PLAIN_TSS.fullmatch(lines) is not None and lines.count("\n") == len(texts)


def are_identifiers(texts: Collection[str]) -> bool:
    """Whether each of them is one."""
    lengths = [len(text) for text in texts]
    together = "".join(texts)
    return (
        all(lengths)
        and max(lengths, default=0) <= MAX_IDENTIFIER
        and together.isascii()
        and together.isprintable()
        and " " not in together
    )


def _is_event_type(value: object) -> bool:
    return isinstance(value, str) and value in EVENT_TYPES


_CHECKS: Sequence[tuple[str, Callable[[object], bool], str]] = (
    ("event_type", _is_event_type, "must be one of " + ", ".join(EVENT_TYPES)),
    ("ts", _is_rfc3339, _TS_MESSAGE),
    ("event_id", _is_identifier, _IDENTIFIER_MESSAGE),
    ("task_id", _is_identifier, _IDENTIFIER_MESSAGE),
)

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_STEP = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}


def nests_too_deep(raw: bytes, allowed: int = MAX_NESTING) -> bool:
    """Whether arrays and objects nest deeper than allowed; strings do not count."""
    if raw.count(b"[") + raw.count(b"{") <= allowed:
        return False
    brackets = _STRING.sub(b"", raw).translate(None, _NOT_BRACKETS)
    return max(accumulate(map(_STEP.__getitem__, brackets)), default=0) > allowed


_SURROGATE = re.compile(r"[\ud800-\udfff]")


def _has_lone_surrogate(text: str) -> bool:
    """json.loads pairs surrogate escapes where it can and keeps the others as they are."""
    return any(
        _SURROGATE.search(json.loads(literal)) is not None
        for literal in re.findall(r'"(?:[^"\\]|\\.)*"', text)
        if "\\u" in literal
    )
