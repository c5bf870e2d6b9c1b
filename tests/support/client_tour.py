"""What a light install does at a Relay: login, send, run, tail. By the commands of its version."""

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import trio

from tests.support.commands import RELAY, environment, run_command, running

STEPS = (
    ("send", "log", "--message", "sent"),
    ("run", "--", "echo", "by the command"),
)
EXPECTED = [
    ("log", "sent"),
    ("task_started", None),
    ("log", "by the command"),
    ("task_succeeded", None),
]


async def tour(programs: Path, url: str, home: Path) -> None:
    """Log in at the Relay, publish, and follow the stream to the last event.

    `programs` is the folder of the installed commands, `home` an empty one for their files.
    Raises AssertionError for a command that fails, and for other events than those published.
    """
    files = {name: str(home) for name in ("HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME")}
    env = environment(**files)
    for step in (("login", url), *STEPS):
        done = await run_command((programs / "relay", *step), home, env)
        assert done.returncode == 0, f"relay {' '.join(step)}: {done.stderr.decode()}"
    tail = (programs / "relay", "tail", "--json", "--after", "oldest")
    async with running(tail, home, env) as tailing:
        await tailing.says(rf"(?s)\A(?:[^\n]*\n){{{len(EXPECTED)}}}")
    events: list[dict[str, Any]] = [json.loads(line) for line in tailing.output.splitlines()]
    assert [
        (event["event_type"], event["payload"].get("message"))
        if event["event_type"] == "log"
        else (event["event_type"], None)
        for event in events
    ] == EXPECTED
    assert [event["seq"] for event in events] == [1, 2, 3, 4]


async def _tour_here(programs: Path) -> None:
    """Take the tour at a Relay of this checkout, with its own database."""
    with TemporaryDirectory(prefix="relay-") as temporary:
        folder = Path(temporary)
        serve = (*RELAY, "serve", "--bind", "127.0.0.1:0")
        async with running(serve, folder) as server:
            home = folder / "home"
            home.mkdir()
            await tour(programs, await server.url(), home)


if __name__ == "__main__":
    trio.run(_tour_here, Path(sys.argv[1]))
