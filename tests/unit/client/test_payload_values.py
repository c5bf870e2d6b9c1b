"""Any value of a program becomes JSON that ingestion accepts, as near to the value as possible."""

import enum
import json
from collections import OrderedDict, UserDict, namedtuple
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.client.drafts import event, log_drafts
from relay.client.payload_values import MAX_DEPTH, TooManyValues, encode_json, text_of
from relay.ingest.parsing import parse_event
from tests.support.odd_values import (
    ArrayScalar,
    BadNumber,
    Raises,
    Text,
    cyclic,
    nested,
    odd_values,
)

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
Point = namedtuple("Point", "x y")


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


class Temperature(float):
    pass


@dataclass
class Loss:
    value: object


class Fields(msgspec.Struct):
    value: object


VALUES: list[tuple[Any, Any]] = [
    (None, None),
    (True, True),
    (1.5, 1.5),
    (2**63, 2**63),
    (-(2**900), -(2**900)),
    (Text("a"), "a"),
    (Level.HIGH, 3),
    (Temperature(20.5), 20.5),
    (Colour.RED, "red"),
    (ArrayScalar(3), 3),
    (ArrayScalar(0.25), 0.25),
    (Fraction(1, 4), 0.25),
    (Decimal("1.50"), "1.50"),
    (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    (datetime(2026, 1, 31, tzinfo=UTC), "2026-01-31T00:00:00Z"),
    (b"\x00\xff", "AP8="),
    ((1, "a"), [1, "a"]),
    (Point(1, 2), [1, 2]),
    ({7}, [7]),
    (frozenset([ArrayScalar(7)]), [7]),
    (OrderedDict(a=1), {"a": 1}),
    (UserDict({"a": 1}), {"a": 1}),
    ({1: 2, None: 3, (4,): 5}, {"1": 2, "None": 3, "(4,)": 5}),
    ({b"6": 7, Text("k"): 8}, {"b'6'": 7, "k": 8}),
    (Loss(ArrayScalar(0.5)), {"value": 0.5}),
    (Fields([Loss(1)]), {"value": [{"value": 1}]}),
    (1 + 2j, "(1+2j)"),
    (range(3), "range(0, 3)"),
    ("lone \udcff surrogate", "lone ? surrogate"),
    ({"\ud800": "\x00"}, {"?": "\x00"}),
]


@pytest.mark.parametrize(("value", "expected"), VALUES, ids=lambda value: repr(value)[:30])
def test_a_value_becomes_the_nearest_json(value: object, expected: object) -> None:
    problems: list[str] = []
    assert json.loads(encode_json(value, problems.append)) == expected
    assert problems == []


REPORTED: list[tuple[Any, Any, str]] = [
    (float("nan"), "nan", "no number nan"),
    (float("-inf"), "-inf", "no number -inf"),
    (ArrayScalar(float("inf")), "inf", "no number inf"),
    (10**5000, "<int of 16610 bits>", "too large"),
    (Raises(), "<Raises>", "type Raises could not be read"),
    (BadNumber(), "<BadNumber>", "type BadNumber could not be read"),
    ([1, Raises(), 2], [1, "<Raises>", 2], "type Raises"),
    (Loss(Raises()), {"value": "<Raises>"}, "type Raises"),
]


@pytest.mark.parametrize(("value", "expected", "problem"), REPORTED, ids=lambda v: text_of(v)[:30])
def test_a_value_that_json_cannot_hold_is_reported(
    value: object, expected: object, problem: str
) -> None:
    problems: list[str] = []
    assert json.loads(encode_json(value, problems.append)) == expected
    assert problem in " ".join(problems)


def _levels(value: Any) -> int:
    levels = 0
    while isinstance(value, list | dict):
        value = next(iter(value.values() if isinstance(value, dict) else value), None)
        levels += 1
    return levels


@pytest.mark.parametrize("value", [nested(5_000), cyclic()], ids=["deep", "cyclic"])
def test_depth_ends_where_relay_ends_it(value: object) -> None:
    problems: list[str] = []
    assert _levels(json.loads(encode_json(value, problems.append))) == MAX_DEPTH
    assert "nests deeper" in problems[0]


def test_a_structure_that_shares_its_parts_ends_too() -> None:
    with pytest.raises(TooManyValues):
        encode_json(nested(40, width=2))


def test_a_mapping_without_end_ends_too() -> None:
    class Endless(Mapping[int, int]):
        def __getitem__(self, key: int) -> int:
            return key

        def __iter__(self) -> Any:
            while True:
                yield 1

        def __len__(self) -> int:
            return 1

    with pytest.raises(TooManyValues):
        encode_json(Endless())


@given(odd_values(), st.one_of(st.none(), st.text(max_size=200)))
def test_ingestion_accepts_whatever_a_program_reports(value: Any, text: str | None) -> None:
    for payload in (value, {"value": value}):
        parse_event(event("task_progress", payload, "t").line(), NOW)
    for draft in log_drafts(text or "", "t", {"value": value, "message": 1}):
        stored = parse_event(draft.line(), NOW)
        assert json.loads(stored.payload)["message"] is not None
