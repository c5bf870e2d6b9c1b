"""Reads events from stdin: a JSON object per line, as any system writes one."""

import itertools
from collections.abc import Iterator

import msgspec

from relay.cli.exit_codes import Failed
from relay.cli.stdin_batches import LineTooLong, read_batches
from relay.client.text_encoding import other_encoding, without_bom

Event = dict[str, msgspec.Raw]
_MISSING = (b"null", b'""')  # values of a field that count as none


def read_events(descriptor: int) -> Iterator[dict[int, Event]]:
    """The events by line number; those that arrive together are one batch. Raises Failed."""
    numbers = itertools.count(1)
    try:
        for lines in read_batches(descriptor):
            numbered = zip(lines, numbers, strict=False)
            if events := {at: _decode(line, at) for line, at in numbered if line.strip()}:
                yield events
    except LineTooLong as error:
        raise Failed(f"a line of stdin is too long: {error}") from error


def _decode(line: bytes, number: int) -> Event:
    """The fields of an event, byte for byte. Without `ts` and `event_id` if they are empty."""
    if (encoding := other_encoding(line)) is not None:
        raise Failed(f"stdin is {encoding}")
    try:
        # concatenated files have a byte order mark at the beginning of each
        fields = msgspec.json.decode(without_bom(line), type=Event)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Failed(
            f"line {number} of stdin is not a JSON object: {error}."
            " Write one event per line, as `jq -c` does"
        ) from error
    return {
        name: raw
        for name, raw in fields.items()
        if name not in ("ts", "event_id") or bytes(raw) not in _MISSING
    }
