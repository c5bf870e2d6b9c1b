"""Reads progress as programs give it: a number from 0 to 1, or a text such as "50%"."""

import math
from typing import Any

from relay.client.payload_values import text_of

MAX_SHOWN = 40  # characters of a value in a warning
ROUNDING = 1e-6  # sums of fractions miss 0 and 1 by less


def fraction_of(value: Any) -> float:
    """The progress from 0 to 1. Raises `ValueError`, which names the value and the right way."""
    try:
        text = value.strip() if isinstance(value, str) else ""
        number = float(text[:-1]) / 100 if text.endswith("%") else float(value)
    except Exception as error:  # of the value's own class, too
        raise ValueError(f"{_shown(value)} is not a number from 0 to 1") from error
    if not -ROUNDING <= number <= 1 + ROUNDING:
        hint = f": {number:.12g} % is {number / 100:.12g}" if 1 < number <= 100 and not text else ""
        raise ValueError(f"{_shown(value)} is not from 0 to 1{hint}")
    return min(1.0, max(0.0, number))


def part_of(done: Any, total: Any) -> float | None:
    """The part of the total that is done, at most 1; None if these are no such numbers."""
    try:
        part = float(done / total)
        known = math.isfinite(part) and math.isfinite(total)
    except Exception:  # of the values' own classes, too
        return None
    return min(1.0, max(0.0, part)) if known else None


def _shown(value: object) -> str:
    text = text_of(value)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"
