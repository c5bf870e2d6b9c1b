"""Finds why a body is not a valid event, and names every invalid field.

It parses the JSON again, slowly, and only for bodies that were refused.
"""

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from relay.errors import BadRequest, FieldError, Invalid, PayloadTooLarge, Problem, safe_name
from relay.events import EVENT_TYPES
from relay.identifiers import IDENTIFIER_FAULT, is_identifier
from relay.ingest.envelope import MAX_NESTING, MAX_PAYLOAD_BYTES, Envelope, decode
from relay.ingest.structure import nests_too_deep
from relay.ingest.text_encoding import foreign_encoding
from relay.ingest.values import is_time

_FIELDS = Envelope.__struct_fields__
_REQUIRED = _FIELDS[: -len(Envelope.__struct_defaults__)]
_TOO_DEEP = FieldError("payload", f"is nested deeper than {MAX_NESTING} levels")


def diagnose(body: bytes) -> Problem | None:
    """Return BadRequest (not JSON), Invalid (names each fault), PayloadTooLarge or None (valid)."""
    if (encoding := foreign_encoding(body)) is not None:
        return _unreadable(f"is {encoding}", "Send UTF-8.")
    if b"\0" in body:
        return _unreadable("contains a raw NUL byte")
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        return _unreadable(f"is not UTF-8 at byte {error.start}")
    try:
        errors = _find_faults(text)
    except ValueError:
        return BadRequest("The body is not JSON.")
    except RecursionError:  # nested deeper than the parser can follow
        errors = []
    if nests_too_deep(body, MAX_NESTING + 1):  # the envelope is one more level
        errors.append(_TOO_DEEP)
    if errors:
        return Invalid(errors=errors)
    try:
        size = len(bytes(decode(body).payload))
    except msgspec.DecodeError as error:
        return Invalid.of("body", str(error))
    if size > MAX_PAYLOAD_BYTES:
        return PayloadTooLarge(f"The payload has {size} bytes; {MAX_PAYLOAD_BYTES} are allowed.")
    return None


def _unreadable(message: str, advice: str = "") -> Invalid:
    """The problem of a body of which no field can be read."""
    detail = f"The body {message}. {advice}".rstrip()
    return Invalid(detail, errors=[FieldError("body", message)])


def _find_faults(text: str) -> list[FieldError]:
    """Check every field of the envelope. Raises ValueError if it is not JSON, RecursionError."""
    document = json.loads(
        text,
        object_pairs_hook=_Pairs,
        parse_int=_zero,  # the value is not needed, and parsing thousands of digits is slow
        parse_constant=_refuse_constant,
    )
    if not isinstance(document, _Pairs):
        return [FieldError("body", "must be a JSON object")]
    names = [name for name, _ in document]
    fields: dict[str, Any] = dict(document)
    errors = [FieldError(name, "is missing") for name in _REQUIRED if name not in fields]
    errors += [
        FieldError(safe_name(name), "is not a field of an event")
        for name in fields
        if name not in _FIELDS
    ]
    errors += [
        FieldError(name, "is given more than once") for name in _FIELDS if names.count(name) > 1
    ]
    errors += [
        FieldError(name, message)
        for name, check, message in _CHECKS
        if name in fields and not check(fields[name])
    ]
    if _has_lone_surrogate(text):
        errors.append(FieldError("body", "contains a lone surrogate, which is not a character"))
    return errors


class _Pairs(list[tuple[str, Any]]):
    """A JSON object that keeps duplicate names."""


def _zero(_digits: str) -> int:
    return 0


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _is_event_type(value: object) -> bool:
    return isinstance(value, str) and value in EVENT_TYPES


def _is_time(value: object) -> bool:
    return isinstance(value, str) and is_time(value)


def _is_identifier(value: object) -> bool:
    return isinstance(value, str) and is_identifier(value)


_TIME = "must be an RFC 3339 time with `Z` or an offset, like 2026-01-31T12:00:00Z"
_CHECKS: Sequence[tuple[str, Callable[[object], bool], str]] = (
    ("event_type", _is_event_type, "must be one of " + ", ".join(EVENT_TYPES)),
    ("ts", _is_time, _TIME),
    ("event_id", _is_identifier, IDENTIFIER_FAULT),
    ("task_id", _is_identifier, IDENTIFIER_FAULT),
)

_SURROGATE = re.compile(r"[\ud800-\udfff]")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')


def _has_lone_surrogate(text: str) -> bool:
    """Whether a string has an unpaired surrogate escape; `json.loads` keeps those as they are."""
    return any(
        _SURROGATE.search(json.loads(literal)) is not None
        for literal in _STRING.findall(text)
        if "\\u" in literal
    )
