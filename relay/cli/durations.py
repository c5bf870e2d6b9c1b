"""Durations on the command line: `90`, `90s`, `15m`, `1h`, `7d`."""

import re
from typing import Any

import click

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400}
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)([smhd]?)", re.ASCII)


class Duration(click.ParamType[float]):
    """A time in seconds, within a range."""

    name = "duration"

    def __init__(self, least: float, most: float) -> None:
        self._least, self._most = least, most

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        if isinstance(value, int | float):
            return float(value)
        match = _DURATION.fullmatch(str(value).strip())
        if match is None:
            self.fail(f"{value!r} is not a duration such as 90s, 15m, 1h or 7d", param, ctx)
        seconds = float(match[1]) * _UNITS[match[2]]
        if not self._least <= seconds <= self._most:
            self.fail(f"{value!r} is not from {self._least:g} s to {self._most:g} s", param, ctx)
        return seconds
