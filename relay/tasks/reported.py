"""Reads the well-known keys of a payload. A value of a wrong type counts as absent.

Each key is checked by itself, so that one wrong value leaves the others in place. Other keys are
passed over without building their values.
"""

import json
import math
import re
from datetime import datetime
from itertools import islice
from typing import Annotated, Any, NamedTuple, TypeVar

import msgspec
from msgspec import UNSET, Meta

from relay.client.plain_text import is_visible
from relay.identifiers import is_identifier

MAX_TEXT = 300  # characters that are kept of a title, and of a message
MAX_UNSEEN_LINES = 50  # that are passed over at the end of a message
MAX_URL = 2_048  # characters; a longer one counts as absent
MAX_METRICS = 32  # numbers by name of one task
MAX_METRIC_NAME = 100  # characters; a longer one is passed over
# Of one event. A payload has room for 7 000, and each would take a microsecond of every stream.
MAX_METRICS_READ = 4 * MAX_METRICS
MIN_LEASE_SECONDS = 10
MAX_LEASE_SECONDS = 604_800  # one week
MAX_INTEGER_DIGITS = 400  # more than any finite number has
MAX_EXACT_INTEGER = 2**53 - 1  # larger ones are not exact in a browser (RFC 8259, section 6)

_URL = re.compile(r"https?://[^\s\x00-\x1f\x7f]+", re.ASCII | re.IGNORECASE)
_LINE_END = re.compile(r"\r\n|\r|\n")


Report = TypeVar("Report", "LogReport", "TaskReport")


class LogReport(msgspec.Struct, gc=False):
    """The well-known keys of a `log` event, unchecked."""

    title: Any = UNSET
    message: Any = UNSET


class TaskReport(msgspec.Struct, gc=False):
    """The well-known keys of a `task_*` event, unchecked."""

    title: Any = UNSET
    message: Any = UNSET
    progress: Any = UNSET
    metrics: Any = UNSET
    parent_id: Any = UNSET
    url: Any = UNSET
    lease_s: Any = UNSET
    stoppable: Any = UNSET
    waiting: Any = UNSET
    exit_code: Any = UNSET
    duration_s: Any = UNSET
    canceled: Any = UNSET


class AskReport(msgspec.Struct, gc=False):
    """What counts of an ask's note, unchecked."""

    ask_id: Any = UNSET
    asked_at: Any = UNSET


class AskNote(NamedTuple):
    """The ask that a note is about, and when it was asked, which only `task_waiting` says."""

    ask_id: str
    asked_at: datetime | None


_log_decoder = msgspec.json.Decoder(LogReport)
_task_decoder = msgspec.json.Decoder(TaskReport)
_ask_decoder = msgspec.json.Decoder(AskReport)
_Moment = Annotated[datetime, Meta(tz=True)]


def read_log(payload: str) -> LogReport:
    """The well-known keys of a `log` event's payload."""
    try:
        return _log_decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return _read_tolerantly(payload, LogReport)


def read_task(payload: str) -> TaskReport:
    """The well-known keys of a `task_*` event's payload."""
    try:
        return _task_decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return _read_tolerantly(payload, TaskReport)


def read_ask(payload: str) -> AskNote | None:
    """The ask that a note is about; None if the payload names none."""
    try:
        report = _ask_decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    ask_id = read_identifier(report.ask_id)
    return None if ask_id is None else AskNote(ask_id, _read_moment(report.asked_at))


def _read_moment(value: Any) -> datetime | None:
    """One of Relay's own times."""
    try:
        return msgspec.convert(value, _Moment)
    except msgspec.ValidationError:
        return None


def _read_tolerantly(payload: str, kind: type[Report]) -> Report:
    """Read a payload that the decoder refuses as a whole, for one number or escape in it."""
    if not payload.lstrip().startswith("{"):
        return kind()
    try:
        values = json.loads(payload, parse_int=_integer)
    except (ValueError, RecursionError):
        return kind()
    known = kind.__struct_fields__
    return kind(**{name: value for name, value in values.items() if name in known})


def _integer(digits: str) -> float:
    """An integer of any length. Python refuses to read thousands of digits."""
    return int(digits) if len(digits) <= MAX_INTEGER_DIGITS else math.inf


# -- one value each; None means absent


def storable(text: str) -> str:
    """The text with what a database cannot store replaced: U+0000 and lone surrogates."""
    if "\0" in text:
        text = text.replace("\0", "\ufffd")
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def read_title(value: Any) -> str | None:
    """A title of which something is seen, cut at `MAX_TEXT` characters."""
    if not isinstance(value, str):
        return None
    title = storable(value[:MAX_TEXT])
    return title if is_visible(title) else None


def read_message(value: Any) -> str | None:
    """The last line of a message of which something is seen, cut at `MAX_TEXT` characters.

    A program may end with codes that are not seen, such as one that ends colours. Past
    `MAX_UNSEEN_LINES` of such lines the message counts as absent.
    """
    if not isinstance(value, str):
        return None
    end = len(value)
    for _ in range(MAX_UNSEEN_LINES):
        end = len(value[:end].rstrip())
        if not end:
            return None
        start = max(value.rfind("\n", 0, end), value.rfind("\r", 0, end)) + 1
        line = storable(_LINE_END.split(value[start : start + MAX_TEXT], maxsplit=1)[0])
        if is_visible(line):
            return line
        end = start
    return None


def read_number(value: Any) -> float | None:
    """A finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def read_integer(value: Any) -> int | None:
    """A whole number that every JSON reader reads exactly; `3.0` is one."""
    number = read_number(value)
    if number is None or abs(number) > MAX_EXACT_INTEGER or not number.is_integer():
        return None
    return int(value)


def read_progress(value: Any) -> float | None:
    """A share from 0 to 1."""
    number = read_number(value)
    return number if number is not None and 0 <= number <= 1 else None


def read_duration(value: Any) -> float | None:
    """A number of seconds, at least 0."""
    number = read_number(value)
    return number if number is not None and number >= 0 else None


def read_lease(value: Any) -> int | None:
    """A whole number of seconds within the bounds of a lease."""
    seconds = read_integer(value)
    if seconds is None or not MIN_LEASE_SECONDS <= seconds <= MAX_LEASE_SECONDS:
        return None
    return seconds


def read_identifier(value: Any) -> str | None:
    """A task's id, as in an event's `task_id`."""
    return value if isinstance(value, str) and is_identifier(value) else None


def read_url(value: Any) -> str | None:
    """An address with http or https."""
    if not isinstance(value, str) or len(value) > MAX_URL or not _URL.fullmatch(value):
        return None
    return storable(value)


def read_metrics(value: Any) -> dict[str, float] | None:
    """The valid numbers among the first `MAX_METRICS_READ` of an object; one that is not is passed
    over."""
    if not isinstance(value, dict):
        return None
    metrics: dict[str, float] = {}
    for name, given in islice(value.items(), MAX_METRICS_READ):
        number = read_number(given)
        if number is None or not name or len(name) > MAX_METRIC_NAME:
            continue
        metrics[name if name.isascii() and "\0" not in name else storable(name)] = number
    return metrics


def merge_metrics(
    present: dict[str, float] | None, added: dict[str, float] | None
) -> dict[str, float] | None:
    """Set metrics of a task. New ones past `MAX_METRICS` are passed over.

    Changes `present`, and returns it; None while there are none.
    """
    if not added:
        return present
    merged = {} if present is None else present
    for name, number in added.items():
        if name in merged or len(merged) < MAX_METRICS:
            merged[name] = number
    return merged


def printed_message(payload: str) -> str | None:
    """The whole message of a `log` event's payload; None if it has none."""
    message = read_log(payload).message
    return message if isinstance(message, str) else None
