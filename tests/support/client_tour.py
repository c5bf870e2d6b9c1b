"""What a light install does at a Relay: login, send, run, tail. By the commands of its version.

Between two of its own events it meets those that Relay writes of an ask, which its version may not
know.
"""

# ruff: noqa: ASYNC240 - a look at a folder delays nothing here

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import trio

from tests.support.commands import RELAY, environment, run_command, running
from tests.support.patience import PATIENCE
from tests.support.relay_server import bearer

SEND = ("send", "log", "--message", "sent")
RUN = ("run", "--wait", str(PATIENCE), "--", "echo", "by the command")
EXPECTED = [
    ("log", "sent"),
    ("task_waiting", None),
    ("task_answered", None),
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

    async def step(*words: str) -> None:
        done = await run_command((programs / "relay", *words), home, env)
        assert done.returncode == 0, f"relay {' '.join(words)}: {done.stderr.decode()}"

    await step("login", url)
    await step(*SEND)
    (path,) = home.rglob("credentials.json")
    tokens = json.loads(path.read_text())["relays"][url]
    async with httpx.AsyncClient(base_url=url, timeout=PATIENCE) as http:
        await ask_and_answer(http, tokens["hook_token"], tokens["session_token"])
    await step(*RUN)
    tail = (programs / "relay", "tail", "--after", "oldest")
    async with running(tail, home, env) as tailing:
        await tailing.says(r"(?s)sent.*by the command")
    async with running((*tail, "--json"), home, env) as tailing:
        await tailing.says(rf"(?s)\A(?:[^\n]*\n){{{len(EXPECTED)}}}")
    events: list[dict[str, Any]] = [json.loads(line) for line in tailing.output.splitlines()]
    assert [
        (event["event_type"], event["payload"].get("message"))
        if event["event_type"] == "log"
        else (event["event_type"], None)
        for event in events
    ] == EXPECTED
    assert [event["seq"] for event in events] == list(range(1, len(EXPECTED) + 1))


async def ask_and_answer(http: httpx.AsyncClient, hook: str, session: str) -> None:
    """A program asks of a task of its own, and is answered."""
    question = {"question": "Deploy?", "kind": "text", "expires_in": 60, "task_id": "deploy"}
    made = await http.post("/api/asks", json=question, headers=bearer(hook))
    assert made.status_code == 201, made.text
    path = f"/api/asks/{made.json()['ask_id']}"
    shown = (await http.get(path, headers=bearer(session))).json()
    given = {"answer": "yes", "question_hash": shown["question_hash"]}
    done = await http.post(f"{path}/answer", json=given, headers=bearer(session))
    assert done.status_code == 200, done.text


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
