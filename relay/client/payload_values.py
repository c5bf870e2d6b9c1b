"""Encodes whatever a program gives as JSON that Relay accepts.

Programs report values of any type: numbers of NumPy, exceptions, structures that contain
themselves. Each becomes the nearest JSON value, so that a report never fails because of a value.
"""

import dataclasses
import enum
import math
import operator
from collections.abc import Callable, Mapping, Set
from contextlib import suppress
from datetime import date, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec

MAX_DEPTH = 64  # levels of arrays and objects: Relay's limit
MAX_VALUES = 32_768  # more do not fit into a payload, because each has two bytes at least
MAX_INTEGER_BITS = 1_023  # readers keep numbers as doubles, which hold no larger ones

_TEXT_TYPES = (bytes, bytearray, memoryview, date, time, timedelta, Decimal, UUID)


class TooManyValues(ValueError):
    """The value has more parts than any payload holds."""


def encode_json(value: Any, report: Callable[[str], None] = lambda problem: None) -> bytes:
    """Encode as JSON. A value of a type without a JSON form is encoded as its `repr`.

    `report` is called for each value that could not be represented. Raises `TooManyValues`.
    """
    return msgspec.json.encode(_Conversion(report).convert(value, MAX_DEPTH))


def encode_text(text: str) -> bytes:
    """Encode a text as JSON. Lone surrogates, which UTF-8 does not have, become `?`."""
    return msgspec.json.encode(text.encode("utf-8", "replace").decode())


def text_of(value: object) -> str:
    """The value as text. If its class fails to make one, the name of the class."""
    try:
        return str.__str__(value if isinstance(value, str) else str(value))
    except Exception:
        return f"<{type(value).__name__}>"


class _Conversion:
    """One conversion to the types that JSON has."""

    def __init__(self, report: Callable[[str], None]) -> None:
        self._report = report
        self._left = MAX_VALUES

    def convert(self, value: Any, depth: int) -> Any:
        """Convert a value; `depth` is the number of levels that are left."""
        self._left -= 1
        if self._left < 0:
            raise TooManyValues(f"it has more than {MAX_VALUES} values")
        try:
            return self._convert(value, depth)
        except TooManyValues:
            raise
        except Exception as error:  # of a method of the value's class
            kind = type(value).__name__
            self._report(f"a value of type {kind} could not be read ({type(error).__name__})")
            return f"<{kind}>"

    def _convert(self, value: Any, depth: int) -> Any:
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            return str.__str__(value).encode("utf-8", "replace").decode()
        if isinstance(value, int):
            return self._integer(int.__int__(value))
        if isinstance(value, float):
            return self._double(float.__float__(value))
        if not isinstance(value, Mapping | list | tuple):
            return self._other(value, depth)
        if not depth:
            self._report(f"a value nests deeper than {MAX_DEPTH} levels")
            return "…"
        if isinstance(value, Mapping):
            return {
                self.convert(text_of(key), 0): self.convert(inner, depth - 1)
                for key, inner in value.items()
            }
        return [self.convert(inner, depth - 1) for inner in value]

    def _integer(self, value: int) -> int | str:
        if value.bit_length() <= MAX_INTEGER_BITS:
            return value
        self._report("an integer is too large for a JSON number")
        return f"<int of {value.bit_length()} bits>"

    def _double(self, value: float) -> float | str:
        if math.isfinite(value):
            return value
        self._report(f"JSON has no number {value}")
        return str(value)

    def _other(self, value: Any, depth: int) -> Any:
        """A value of another type: its parts, a number, what msgspec makes of it, or its `repr`."""
        if isinstance(value, msgspec.Raw):
            return value
        if isinstance(value, enum.Enum):
            return self._convert(value.value, depth)
        if isinstance(value, Set):
            return self._convert(list(value), depth)
        if isinstance(value, msgspec.Struct):
            return self._convert(msgspec.structs.asdict(value), depth)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            names = [field.name for field in dataclasses.fields(value)]
            return self._convert({name: getattr(value, name) for name in names}, depth)
        if isinstance(value, _TEXT_TYPES):
            return msgspec.to_builtins(value)
        return self._number_or_repr(value)

    def _number_or_repr(self, value: Any) -> Any:
        """A number for the numbers of other libraries, such as NumPy and PyTorch."""
        for convert in (operator.index, float):
            with suppress(Exception):  # it is no such number
                return self._convert(convert(value), 0)
        return self._convert(repr(value), 0)
