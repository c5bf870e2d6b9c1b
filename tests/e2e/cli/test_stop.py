"""`relay run --stoppable` and `stoppable` of a Python task: a person stops them from elsewhere."""

import subprocess
import threading
from typing import Any

import pytest
import trio

from relay.client.reported_task import task
from tests.support.commands import RELAY, environment
from tests.support.patience import LOOK_EVERY, PATIENCE
from tests.support.relay_server import Relay, User, calls_wait


async def stop(user: User, task_id: str) -> int:
    """Ask for it as soon as the task is there; returns the status."""
    with trio.fail_after(PATIENCE):
        while True:
            answer = await user.call("POST", "/api/tasks/stop", json={"task_id": task_id})
            if answer.status_code != 404:
                return answer.status_code
            await trio.sleep(LOOK_EVERY)


async def events(user: User) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await user.call("GET", "/api/events")).json()["events"]
    return found


async def test_a_stoppable_run_is_interrupted_and_canceled(relay: Relay) -> None:
    user = await relay.user()
    env = environment(RELAY_URL=relay.url, RELAY_TOKEN=await user.hook())
    options = ["--stoppable", "--task-id", "t", "--wait", str(PATIENCE)]
    command = [*RELAY, "run", *options, "--", "sleep", "600"]
    async with trio.open_nursery() as nursery:
        process = await trio.lowlevel.open_process(
            command,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        nursery.start_soon(process.wait)
        assert await stop(user, "t") == 202
        with trio.fail_after(PATIENCE):
            assert await process.wait() == 130
    started, *_, warning, ended = await events(user)
    assert started["payload"]["stoppable"] is True
    assert (warning["event_type"], warning["payload"]["message"]) == (
        "log",
        "asked to stop: SIGINT is sent",
    )
    assert (ended["event_type"], ended["payload"]["canceled"]) == ("task_failed", True)
    (shown,) = (await user.call("GET", "/api/tasks")).json()["tasks"]
    assert shown["state"] == "canceled"


async def test_a_run_that_does_not_say_so_cannot_be_stopped(relay: Relay) -> None:
    user = await relay.user()
    async with task("plain", task_id="t", url=relay.url, token=await user.hook()):
        assert await stop(user, "t") == 409


async def test_a_python_task_is_stopped_by_its_own_function(relay: Relay) -> None:
    user = await relay.user()
    asked, hook = threading.Event(), await user.hook()
    async with task("train", task_id="t", stoppable=asked.set, url=relay.url, token=hook):
        await calls_wait(relay, 1)
        assert await stop(user, "t") == 202
        assert await trio.to_thread.run_sync(asked.wait, PATIENCE)
    assert [event["payload"].get("message") for event in await events(user)] == [
        *(None, "asked to stop", None),
    ]


async def test_ctrl_c_in_a_python_task_is_a_cancellation(relay: Relay) -> None:
    user = await relay.user()
    for error in (KeyboardInterrupt, RuntimeError):
        with pytest.raises(error):
            async with task("t", url=relay.url, token=await user.hook()):
                raise error
    shown = (await user.call("GET", "/api/tasks")).json()["tasks"]
    assert [one["state"] for one in shown] == ["failed", "canceled"]
