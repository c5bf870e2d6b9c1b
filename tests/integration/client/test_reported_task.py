"""`with relay.task(…)`: what a program reports is what its stream shows."""

import asyncio
import io
import logging
import subprocess
import sys
import time
from functools import partial
from typing import Any

import pytest
import trio

import relay as package
from relay.client import Client, LogHandler, Task
from relay.client.tqdm import tqdm
from tests.support.relay_server import Relay, User
from tests.support.stand_in import TOKEN, StandIn


async def published(user: User) -> list[tuple[str, dict[str, Any]]]:
    """The stream so far, the task_id beside what it says taken for granted."""
    page = (await user.call("GET", "/api/events")).json()
    assert len({event["task_id"] for event in page["events"]}) == 1
    return [(event["event_type"], event["payload"]) for event in page["events"]]


async def begun(user: User, **options: Any) -> Task:
    return package.task("train the model", url=user.relay.url, token=await user.hook(), **options)


async def test_a_task_that_succeeds_is_reported(relay: Relay) -> None:
    user = await relay.user()
    before = time.monotonic()
    task = await begun(user)

    def work() -> None:
        with task:
            for item in task.track(["a", "b"], message="letters"):
                task.log(f"letter {item}", level="debug")

    await trio.to_thread.run_sync(work)
    assert task.outcome is not None
    assert (task.task_id[:6], task.outcome.delivered) == ("train-", True)
    events = await published(user)
    assert events[0] == ("task_started", {"title": "train the model", "lease_s": 90})
    messages = [payload["message"] for kind, payload in events if kind == "log"]
    assert "\n".join(messages) == "letter a\nletter b"
    last = [payload for kind, payload in events if kind == "task_progress"][-1]
    assert last == {"progress": 1.0, "message": "letters 2/2"}
    kind, payload = events[-1]
    assert (kind, payload["title"]) == ("task_succeeded", "train the model")
    assert 0 <= payload["duration_s"] <= time.monotonic() - before


async def test_a_failed_task_is_reported_and_its_exception_propagates(relay: Relay) -> None:
    user = await relay.user()
    task = await begun(user, task_id="my own id")

    def work() -> None:
        with task:
            raise ValueError("loss is NaN")

    with pytest.raises(ValueError, match="loss is NaN"):
        await trio.to_thread.run_sync(work)
    kind, payload = (await published(user))[-1]
    assert (kind, payload["message"]) == ("task_failed", "ValueError: loss is NaN")
    assert task.task_id == "my-own-id"


async def test_on_trio_a_cancelled_task_is_reported(relay: Relay) -> None:
    user = await relay.user()
    with trio.CancelScope() as scope:
        async with await begun(user) as task:
            task.progress(0.5, "half")
            scope.cancel()
            await trio.sleep_forever()
    assert scope.cancelled_caught
    kind, payload = (await published(user))[-1]
    assert (kind, payload["message"].partition(":")[0]) == ("task_failed", "Cancelled")


def test_on_asyncio_a_cancelled_task_is_reported(stand_in: StandIn) -> None:
    async def work() -> None:
        async with package.task("t", url=stand_in.url, token=TOKEN) as task:
            task.log("from asyncio")

    asyncio.run(work())
    assert stand_in.log_lines() == ["from asyncio"]


def test_several_tasks_share_a_client(stand_in: StandIn) -> None:
    with Client(stand_in.url, TOKEN) as producer:
        for name in ("one", "two"):
            with package.task(name, client=producer, task_id=name):
                pass
    published = [(event["task_id"], event["event_type"]) for event in stand_in.events]
    assert published == [
        (name, kind) for name in ("one", "two") for kind in ("task_started", "task_succeeded")
    ]


def test_logging_goes_to_the_task_with_its_level_and_never_recurses(stand_in: StandIn) -> None:
    root = logging.getLogger()
    before = root.level
    with package.task("logs", url=stand_in.url, token=TOKEN) as task:
        handler = LogHandler(task)
        root.addHandler(handler)
        root.setLevel(logging.DEBUG)  # httpx talks of each request at this level
        try:
            logging.getLogger("mine").warning("look %s", "out")
            bad = logging.LogRecord("mine", logging.ERROR, "", 1, "bad %d", ("no number",), None)
            handler.handle(bad)
            stand_in.was_asked()
            logging.getLogger("mine").info("on")
        finally:
            root.removeHandler(handler)
            root.setLevel(before)
    published = [
        (event["payload"]["level"], event["payload"]["message"])
        for event in stand_in.events
        if event["event_type"] == "log"
    ]
    assert published == [("warning", "look out"), ("info", "on")]


def test_tqdm_progress_goes_to_the_task(stand_in: StandIn) -> None:
    shown = io.StringIO()
    with package.task("bar", url=stand_in.url, token=TOKEN) as task:
        for _ in tqdm(range(3), task=task, file=shown, desc="letters", mininterval=0):
            pass
    published = [e["payload"] for e in stand_in.events if e["event_type"] == "task_progress"]
    assert published[-1] == {"progress": 1.0, "message": "letters: 3/3"}
    assert "letters: 100%" in shown.getvalue()
    assert list(tqdm("ab", file=shown)) == ["a", "b"]


def test_importing_relay_brings_no_client_and_the_client_no_http_library() -> None:
    code = (
        "import sys, relay; assert not {'msgspec', 'importlib.metadata'} & set(sys.modules);"
        "relay.task;"
        "import relay.client; assert not {'httpx', 'trio', 'asyncio', 'tqdm'} & set(sys.modules)"
    )
    ran = partial(subprocess.run, check=False, capture_output=True, text=True)
    done = ran([sys.executable, "-c", code])
    assert (done.returncode, done.stderr) == (0, "")
