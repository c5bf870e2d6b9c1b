"""What Relay gets of a command: its lines at once, its progress, and none of its secrets."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.support.commands import RELAY, environment
from tests.support.patience import PATIENCE
from tests.support.relay_server import Relay, running_relay
from tests.support.stand_in import TOKEN, StandIn
from tests.support.stored_events import stored
from tests.support.terminals import piped, terminal
from tests.support.watched_runs import env_of, lines, python, run


async def test_typed_keys_are_not_logged_as_output(stand_in: StandIn, tmp_path: Path) -> None:
    env = environment(RELAY_URL=stand_in.url, RELAY_TOKEN=TOKEN)
    with (tmp_path / "log").open("wb") as log:
        given: dict[str, Any] = {"stdout": log, "stderr": subprocess.DEVNULL}
        async with terminal(run("head", "-n", "1"), env, **given) as person:
            await person.types(b"hello\r")
            await person.sees(b"hello\r\n")  # the echo
            assert await person.ended() == 0
    assert (tmp_path / "log").read_bytes() == b"hello\n"
    assert stand_in.log_lines() == ["hello"]


async def test_a_hidden_password_is_not_sent(stand_in: StandIn) -> None:
    script = "read -s -p 'Password: ' word; echo; echo done"
    env = environment(RELAY_URL=stand_in.url, RELAY_TOKEN=TOKEN)
    async with terminal(run("bash", "-c", script), env) as person:
        await person.sees(b"Password: ")
        await person.types(b"correct horse\r")
        assert await person.ended() == 0
        assert b"horse" not in person.seen
    assert stand_in.log_lines()[-1] == "done"
    assert "horse" not in str(stand_in.events)


async def test_a_line_is_sent_while_the_command_still_runs(relay: Relay) -> None:
    user = await relay.user()
    env = await env_of(user)
    async with user.websocket() as stream, terminal(run("cat"), env) as person:
        await stream.hello()
        (started,) = await stream.events(1)
        assert started["event_type"] == "task_started"
        await person.types(b"hello\r")
        (event,) = await stream.events(1)
        assert event["payload"]["message"].startswith("hello")
        assert event["task_id"] == started["task_id"]
        await person.types(b"\x04")
        assert await person.ended() == 0


# A step of the bar is done when there is a file of its number.
BAR = """
import os, sys, time
from tqdm import tqdm
for number in tqdm(range(3), mininterval=0):
    while not os.path.exists(f"{sys.argv[1]}/{number}"):
        time.sleep(0.01)
print("[3/10] compiling")
"""


async def test_progress_is_read_from_bars_and_lines(relay: Relay, tmp_path: Path) -> None:
    user = await relay.user()
    env = await env_of(user)
    command = run(*python(BAR), str(tmp_path))
    async with user.websocket() as stream, terminal(command, env) as person:
        for number in range(3):
            while True:  # until it shows how far it is
                (event,) = await stream.events(1)
                if event["event_type"] == "task_progress":
                    break
            assert event["payload"]["progress"] == pytest.approx(number / 3, abs=0.01)
            (tmp_path / str(number)).touch()
        assert await person.ended() == 0
    events = await stored(user)
    (*_, last) = (e["payload"] for e in events if e["event_type"] == "task_progress")
    assert last["progress"] == 0.3
    # of a bar its last writing stays
    (final,) = [line for line in lines(events) if re.search(r"it/s|s/it", line)]
    assert final.startswith("100%")


async def test_secrets_are_masked_in_events_only(relay: Relay) -> None:
    user = await relay.user()
    env = {**await env_of(user), "DEPLOY_KEY": "hunter22!", "LANGUAGE_": "german"}
    script = 'printf "so: hunt"; cat; echo "$RELAY_TOKEN $LANGUAGE_"; echo hunter22!'
    async with user.websocket() as stream:
        with trio.fail_after(PATIENCE):
            process = await trio.lowlevel.open_process(
                run("sh", "-c", script), env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            assert process.stdin is not None
            assert process.stdout is not None
            async with process.stdin, process.stdout:
                # half a line, and half a secret in it: nothing more came for a while
                started, begun = await stream.events(2)
                await process.stdin.send_all(b"er22!\n")
                await process.stdin.aclose()
                shown = b"".join([block async for block in process.stdout])
                assert await process.wait() == 0
    assert (started["event_type"], begun["payload"]["message"]) == ("task_started", "so: ")
    assert shown.decode() == f"so: hunter22!\n{env['RELAY_TOKEN']} german\nhunter22!\n"
    events = await stored(user)
    assert lines(events) == ["so: ", "***", "*** german", "***"]
    assert not re.search(r"hunter22!|eyJ", str(events))


async def test_options_name_the_task(stand_in: StandIn) -> None:
    options = ("--title", "My build", "--task-id", "build", "--url", stand_in.url, "--token", TOKEN)
    done = await piped([*RELAY, "run", *options, "echo", "--title", "x"], environment())
    assert done.stdout == b"--title x\n"
    assert {event["task_id"] for event in stand_in.events} == {"build"}
    assert stand_in.events[0]["payload"] == {"title": "My build", "lease_s": 90}
    wrong = await piped([*RELAY, "run", "--task-id", "two words", "true"], environment())
    assert (wrong.returncode, b"--task-id" in wrong.stderr) == (2, True)


async def test_a_chatty_command_gets_through_a_tight_limit_whole_and_in_order(
    database_url: str,
) -> None:
    limits = {"RELAY_RATE_LIMITS": "on", "RELAY_RATE_EVENTS_PER_TOKEN": "5/s burst 5"}
    async with running_relay(database_url, **limits) as relay:
        user = await relay.user()
        script = "for i in $(seq 60); do echo line $i; sleep 0.03; done"
        done = await piped(run("sh", "-c", script), await env_of(user))
        assert (done.returncode, done.stderr) == (0, b"")
        events = await stored(user)
    assert lines(events) == [f"line {number}" for number in range(1, 61)]
    assert events[-1]["event_type"] == "task_succeeded"
