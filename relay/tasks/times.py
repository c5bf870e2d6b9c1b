"""Computes with the times that producers give: RFC 3339 text, already validated."""

import re
from datetime import datetime

_PARTS = re.compile(r"(.{10}).(..:..):(\d\d(?:\.\d+)?)(.+)")


def seconds_between(start: str, end: str) -> float | None:
    """Seconds from one time to another, to the microsecond; None if the clock went back."""
    first_minute, first_seconds = _split(start)
    last_minute, last_seconds = _split(end)
    whole = (last_minute - first_minute).total_seconds()
    seconds = round(whole + last_seconds - first_seconds, 6)
    return seconds if seconds >= 0 else None


def _split(text: str) -> tuple[datetime, float]:
    """A time's minute, and its seconds, which are 60 and more in a leap second."""
    match = _PARTS.fullmatch(text)
    if match is None:
        raise ValueError(f"not a validated time: {text!r}")
    day, minute, seconds, zone = match.groups()
    return datetime.fromisoformat(f"{day}T{minute}{zone.upper()}"), float(seconds)
