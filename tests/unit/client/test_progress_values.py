"""What counts as progress: a number from 0 to 1, and a text with a percent sign."""

from contextlib import suppress
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given

from relay.client.progress_values import fraction_of, part_of
from tests.support.odd_values import ArrayScalar, BadNumber, Raises, odd_values

NAN = float("nan")
INFINITE = float("inf")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *[(0, 0), (0.4, 0.4), (1, 1), (True, 1), (ArrayScalar(0.25), 0.25), (Fraction(1, 2), 0.5)],
        *[("50%", 0.5), (" 12.5 % ", 0.125), ("0.5", 0.5), ("100%", 1)],
        *[(1 + 1e-9, 1), (-1e-9, 0), (sum([0.1] * 10), 1)],
    ],
)
def test_a_fraction_is_progress(value: Any, expected: float) -> None:
    assert fraction_of(value) == pytest.approx(expected)
    assert 0 <= fraction_of(value) <= 1


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (40, "40 is not from 0 to 1: 40 % is 0.4"),
        (1.5, "1.5 is not from 0 to 1: 1.5 % is 0.015"),
        (101, "101 is not from 0 to 1"),
        (-0.5, "-0.5 is not from 0 to 1"),
        ("140%", "140% is not from 0 to 1"),
        (NAN, "nan is not from 0 to 1"),
        (INFINITE, "inf is not from 0 to 1"),
        (None, "None is not a number from 0 to 1"),
        ("a", "a is not a number from 0 to 1"),
        (1j, "1j is not a number from 0 to 1"),
        (10**400, "1" + "0" * 39 + "… is not a number from 0 to 1"),
        (10**5_000, "<int> is not a number from 0 to 1"),
        (Raises(), "<Raises> is not a number from 0 to 1"),
        (BadNumber(), "<BadNumber> is not a number from 0 to 1"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_any_other_value_is_refused_by_name(value: Any, why: str) -> None:
    with pytest.raises(ValueError, match="from 0 to 1") as refused:
        fraction_of(value)
    assert str(refused.value) == why


@pytest.mark.parametrize(
    ("done", "total", "expected"),
    [
        *[(1, 4, 0.25), (5, 4, 1), (0, 4, 0), (-1, 4, 0), (1, Fraction(4), 0.25)],
        *[(1, 0, None), (1, None, None), (1, "4", None), (1, INFINITE, None), (NAN, 4, None)],
        (1, ArrayScalar(4), None),
    ],
)
def test_a_part_of_a_total(done: Any, total: Any, expected: float | None) -> None:
    assert part_of(done, total) == expected


@given(odd_values())
def test_no_value_raises_anything_else(value: Any) -> None:
    part_of(value, value)
    with suppress(ValueError):
        assert 0 <= fraction_of(value) <= 1
