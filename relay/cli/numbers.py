"""Numbers on the command line: finite, and within their range."""

import math
from typing import Any

import click


class FiniteNumber(click.FloatRange):
    """A number of a range. Neither `nan` nor `inf`: JSON has neither, and no wait lasts so long."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):  # a comparison with the range's ends lets NaN pass
            self.fail(f"{value!r} is not a finite number", param, ctx)
        return number


class ExitCode(click.ParamType[int]):
    """An exit code of any system: Windows has 32 bits, with or without a sign."""

    name = "exit code"
    _range = click.IntRange(-(2**31), 2**32 - 1)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        return int(self._range.convert(value, param, ctx))


class ProgressNumber(FiniteNumber):
    """A progress from 0 to 1."""

    def __init__(self) -> None:
        super().__init__(0, 1)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            percent = _percent(str(value))
            fraction = f"{percent / 100:.4f}".rstrip("0").rstrip(".")
            example = f"write {percent:g} % as {fraction}"
            self.fail(f"{value!r} is not between 0 and 1; {example}", param, ctx)


def _percent(text: str) -> float:
    """The percentage that was meant, or one for an example."""
    try:
        percent = float(text.rstrip("% "))
    except ValueError:
        return 40
    return percent if 0 < percent <= 100 else 40
