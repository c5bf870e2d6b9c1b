"""The events of a user that Relay has stored."""

from typing import Any

from tests.support.relay_server import User


async def stored(user: User) -> list[dict[str, Any]]:
    """The oldest page of them, in order."""
    events: list[dict[str, Any]] = (await user.call("GET", "/api/events")).json()["events"]
    return events
