"""Durations on the command line: `45s`, `15m`, `12h`, `90d`."""

import re
from typing import Any

import click

_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_DURATION = re.compile(r"([1-9][0-9]{0,8})([smhd])", re.ASCII)


def _seconds(text: str) -> int | None:
    """The seconds of a duration; None if it is none."""
    found = _DURATION.fullmatch(text)
    return None if found is None else int(found[1]) * _UNIT_SECONDS[found[2]]


class Duration(click.ParamType[int]):
    """A duration, converted to seconds. `least` and `most` are durations, too."""

    name = "duration"

    def __init__(self, *, most: str, least: str = "1s") -> None:
        self._least, self._most = least, most

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        seconds = _seconds(str(value))
        if seconds is None:
            self.fail(f"{value!r} is not like 90d, 12h, 30m or 45s", param, ctx)
        if seconds > (_seconds(self._most) or 0):
            self.fail(f"{value!r} is longer than {self._most}, the maximum", param, ctx)
        if seconds < (_seconds(self._least) or 0):
            self.fail(f"{value!r} is shorter than {self._least}, the minimum", param, ctx)
        return seconds
