"""Events as producers may write them: any order, blanks, escapes and doubled fields."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from relay.events import EVENT_TYPES

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
FIELDS = ("event_type", "ts", "payload", "event_id", "task_id")
HEAD = b'{"event_type":"log","ts":"2026-01-31T12:00:00Z","payload":'


def event(payload: bytes) -> bytes:
    """The text of an event; whatever follows the payload may follow it here as well."""
    return HEAD + payload + b"}"


# surrogates cannot be encoded, and a raw NUL is a fault of its own
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
NAMES = st.sampled_from(FIELDS) | TEXTS
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | NUMBERS | TEXTS | st.sampled_from(FIELDS),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=20,
)
BETWEEN = st.text(" \t\r\n", max_size=3)
ON_A_LINE = st.text(" \t\r", max_size=3)

Spelling = Callable[[str], str]


def _plain(letter: str) -> str:
    return json.dumps(letter, ensure_ascii=False)[1:-1]


def _short(letter: str) -> str:
    return "\\/" if letter == "/" else json.dumps(letter)[1:-1]


def _lower(letter: str) -> str:
    return f"\\u{ord(letter):04x}" if letter <= "\uffff" else _short(letter)


def _upper(letter: str) -> str:
    return f"\\u{ord(letter):04X}" if letter <= "\uffff" else _plain(letter)


@st.composite
def quoted(draw: st.DrawFn, text: str) -> str:
    """A JSON string, its letters as they are or escaped in any way."""
    plain: list[Spelling] = [_plain] * len(text)
    any_way = st.sampled_from((_plain, _short, _lower, _upper))
    ways = draw(st.just(plain) | st.lists(any_way, min_size=len(text), max_size=len(text)))
    return '"' + "".join(way(letter) for way, letter in zip(ways, text, strict=True)) + '"'


@st.composite
def spelled(draw: st.DrawFn, value: Any, between: st.SearchStrategy[str] = BETWEEN) -> str:
    """A JSON text of this value: blanks anywhere, escapes or not, members twice."""
    before, after = draw(between), draw(between)
    if isinstance(value, list):
        inner = ",".join([draw(spelled(item, between)) for item in value])
        return f"{before}[{inner}{draw(between)}]{after}"
    if isinstance(value, dict):
        pairs = [
            f"{draw(spelled(name, between))}:{draw(spelled(item, between))}"
            for name, item in value.items()
        ]
        doubled = pairs + pairs[:1] if draw(st.booleans()) else pairs  # allowed inside a payload
        return f"{before}{{{','.join(doubled)}{draw(between)}}}{after}"
    text = draw(quoted(value)) if isinstance(value, str) else json.dumps(value)
    return f"{before}{text}{after}"


# what looks like structure, and what escapes are made of
_LETTERS = st.sampled_from('\\"/u05cCts_,:{}[] ') | st.characters(codec="ascii")
_IDENTIFIERS = st.text(_LETTERS.filter(lambda letter: "!" <= letter <= "~"), min_size=1, max_size=9)
_ANYTHING = st.text(_LETTERS, max_size=9) | TEXTS
_TIMES = st.sampled_from(["2026-01-31T12:00:00Z", "2024-02-29t23:59:60.5+05:30"])
_GOOD: dict[str, st.SearchStrategy[Any]] = {
    "event_type": st.sampled_from(EVENT_TYPES),
    "ts": _TIMES,
    "payload": VALUES,
    "event_id": _IDENTIFIERS,
    "task_id": _IDENTIFIERS,
}
# what the decoder takes, too, so that only others can see it
_ODD: dict[str, st.SearchStrategy[Any]] = {
    "event_type": _GOOD["event_type"],
    "ts": _ANYTHING,
    "payload": VALUES,
    "event_id": _ANYTHING,
    "task_id": _ANYTHING,
}


@st.composite
def envelopes(draw: st.DrawFn, between: st.SearchStrategy[str] = BETWEEN) -> bytes:
    """An object of an event's fields: all that must stand, at times some twice, in any order."""
    names = ["event_type", "ts", "payload"]
    names += draw(st.lists(st.sampled_from(FIELDS[3:]), unique=True))
    names += draw(st.just([]) | st.lists(st.sampled_from(FIELDS), min_size=1, max_size=2))
    order: Sequence[str] = draw(st.permutations(names))
    tight = st.just("")
    between = draw(st.sampled_from((tight, between)))
    members = []
    for place, name in enumerate(order):
        dropped = name in order[place + 1 :]
        odd = dropped or draw(st.integers(0, 19)) == 0
        value = draw((_ODD if odd else _GOOD)[name])
        text = draw(spelled(value, between) if name == "payload" else quoted(value))
        members.append(f"{draw(between)}{draw(quoted(name))}{draw(between)}:{draw(between)}{text}")
    return f"{{{','.join(members)}{draw(between)}}}".encode()
