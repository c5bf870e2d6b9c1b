"""Times as people read them."""

from datetime import datetime


def moment_text(moment: datetime, now: datetime) -> str:
    """A moment in the zone of `now`: the time of today, the day and time of this year, the date."""
    there = moment.astimezone(now.tzinfo)
    if there.date() == now.date():
        return f"{there:%H:%M:%S}"
    return f"{there:%m-%d %H:%M}" if there.year == now.year else f"{there:%Y-%m-%d}"


def minute_text(moment: str) -> str:
    """A moment of RFC 3339 to the minute, in its own zone."""
    return moment[:16].replace("T", " ")
