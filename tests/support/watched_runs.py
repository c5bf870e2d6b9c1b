"""`relay run` of a command, and the events that Relay got of it."""

import sys
from typing import Any

from tests.support.commands import RELAY, environment
from tests.support.relay_server import User

Event = dict[str, Any]
PATIENTLY = ("--wait", "3600")  # however slow the machine, all is delivered in the end


def run(*command: str, options: tuple[str, ...] = PATIENTLY) -> list[str]:
    return [*RELAY, "run", *options, "--", *command]


def python(code: str) -> list[str]:
    return [sys.executable, "-u", "-c", code]


async def env_of(user: User) -> dict[str, str]:
    return environment(RELAY_URL=user.relay.url, RELAY_TOKEN=await user.hook())


def lines(events: list[Event], stream: str | None = None) -> list[str]:
    payloads = [event["payload"] for event in events if event["event_type"] == "log"]
    return [
        line
        for payload in payloads
        if stream is None or payload["stream"] == stream
        for line in payload["message"].split("\n")
    ]
