"""`relay tail` in a terminal: colours and bars, hostile text, a flood."""

import json
import signal
from pathlib import Path

import psutil
import trio

from tests.support.patience import PATIENCE
from tests.support.relay_server import Relay, User, bearer
from tests.support.tail_terminal import in_terminal
from tests.support.watching import watched

FLOOD = 10_000  # events
ROOM = 40 * 2**20  # bytes a flood may add: Python's own waste, and none of the events


async def flood(user: User, count: int, message: str = "a line of a build") -> None:
    headers = bearer(await user.hook()) | {"Content-Type": "application/x-ndjson"}
    one = {"event_type": "log", "ts": "2026-01-31T12:00:00Z", "task_id": "t"}
    for first in range(0, count, 1_000):
        batch = [
            json.dumps({**one, "payload": {"message": f"{message} {n}"}})
            for n in range(first, first + 1_000)
        ]
        path = "/api/webhook/cli"
        answer = await user.relay.http.post(path, content="\n".join(batch), headers=headers)
        assert answer.status_code == 200, answer.text


async def test_a_terminal_shows_bars_below_logs_and_interprets_no_escapes_of_payloads(
    relay: Relay, tmp_path: Path
) -> None:
    user = await relay.user()
    async with in_terminal(user, tmp_path) as terminal:
        await watched(user)
        await user.posted(event_type="task_started", task_id="t", payload={"title": "train it"})
        await user.posted(
            event_type="task_progress",
            task_id="t",
            payload={"progress": 0.4, "message": "epoch 4"},
        )
        await terminal.shows(" 40%")
        assert ("train it" in terminal.written, "━" in terminal.written) == (True, True)
        evil = (
            "\x1b]0;owned\x07\x1b]52;c;cm0=\x07\x1b[2J\x1b[31mred\x1b[0m \x9b5n [bold]kept[/bold]"
        )
        await user.posted(task_id="t", payload={"message": evil})
        await terminal.shows("[bold]kept[/bold]")
        assert "\x1b[31mred" in terminal.written
        for order in ("\x1b]", "owned", "cm0=", "\x1b[2J", "\x9b"):
            assert order not in terminal.written, order
        await user.posted(event_type="task_succeeded", task_id="t", payload={"duration_s": 62.5})
        await terminal.shows("✓ train it")
        await terminal.shows("1:02")
        terminal.process.send_signal(signal.SIGINT)
        with trio.fail_after(PATIENCE):
            assert await terminal.process.wait() == 130
        await terminal.shows("\x1b[?25h")  # the cursor is given back


async def test_a_flood_is_shown_whole_in_order_and_held_nowhere(
    relay: Relay, tmp_path: Path
) -> None:
    user = await relay.user()
    async with in_terminal(user, tmp_path) as terminal:
        await watched(user)
        await flood(user, 1_000, "warm")
        await terminal.shows_in_order(["warm 999\r"])
        process = psutil.Process(terminal.process.pid)
        before = process.memory_info().rss
        await flood(user, FLOOD)
        await terminal.shows_in_order(f"of a build {number}\r" for number in range(FLOOD))
        assert process.memory_info().rss - before < ROOM
