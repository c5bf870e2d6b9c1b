"""`relay run`: the command behaves as without it, and Relay gets its events."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import trio

from tests.support.commands import RELAY, environment
from tests.support.patience import PATIENCE, eventually
from tests.support.relay_server import Relay, User, running_relay
from tests.support.stand_in import TOKEN, StandIn, busy, refusal
from tests.support.terminals import HEARS, Person, heard, piped, terminal

Event = dict[str, Any]


PATIENTLY = ("--wait", "3600")  # however slow the machine, all is delivered in the end


def run(*command: str, options: tuple[str, ...] = PATIENTLY) -> list[str]:
    return [*RELAY, "run", *options, "--", *command]


def python(code: str) -> list[str]:
    return [sys.executable, "-u", "-c", code]


async def env_of(user: User) -> dict[str, str]:
    return environment(RELAY_URL=user.relay.url, RELAY_TOKEN=await user.hook())


async def published(user: User) -> list[Event]:
    events: list[Event] = (await user.call("GET", "/api/events")).json()["events"]
    return events


def lines(events: list[Event], stream: str | None = None) -> list[str]:
    payloads = [event["payload"] for event in events if event["event_type"] == "log"]
    return [
        line
        for payload in payloads
        if stream is None or payload["stream"] == stream
        for line in payload["message"].split("\n")
    ]


# -- as without us

SHOWS = r"""
test -t 0 && test -t 1 && test -t 2 && echo terminal; stty -a; tput cols 2>/dev/null
printf '\033[31mred\033[0m\r 50%%\r100%%\n'; printf '\377\376 no utf-8\n' >&2; seq 5000; exit 3
"""


async def test_in_a_terminal_output_and_exit_code_are_unchanged(relay: Relay) -> None:
    user = await relay.user()
    env = {**await env_of(user), "TERM": "xterm"}
    shown = []
    for command in (["sh", "-c", SHOWS], run("sh", "-c", SHOWS)):
        async with terminal(command, env, size=(33, 77)) as person:
            assert await person.ended() == 3
            assert person.manners() == person.first_manners
            shown.append(person.seen)
    assert shown[0].startswith(b"terminal\r\n")
    assert shown[1] == shown[0]
    events = await published(user)
    assert lines(events)[-5_000:] == [str(number) for number in range(1, 5_001)]
    kind, payload = events[-1]["event_type"], events[-1]["payload"]
    assert (kind, payload["exit_code"], payload["duration_s"] > 0) == ("task_failed", 3, True)
    assert events[0]["payload"]["title"].startswith("sh -c ")


async def test_in_pipes_every_byte_passes_and_the_streams_stay_apart(
    relay: Relay, tmp_path: Path
) -> None:
    user = await relay.user()
    data = os.urandom(2**20)
    (tmp_path / "data").write_bytes(data)
    script = f"cat {tmp_path}/data; cat >&2; exit 0"
    done = await piped(run("sh", "-c", script), await env_of(user), stdin=b"from stdin\n")
    assert (done.returncode, done.stdout == data, done.stderr) == (0, True, b"from stdin\n")
    assert lines(await published(user), "stderr") == ["from stdin"]


async def test_one_file_for_both_streams_keeps_them_in_order(relay: Relay) -> None:
    user = await relay.user()
    script = "for i in $(seq 500); do echo out $i; echo err $i >&2; done"
    given = {"capture_stderr": False, "stderr": subprocess.STDOUT}
    done = await piped(run("sh", "-c", script), await env_of(user), **given)
    expected = [f"{name} {number}" for number in range(1, 501) for name in ("out", "err")]
    assert done.stdout.decode().split("\n")[:-1] == expected
    assert lines(await published(user)) == expected


async def test_the_command_inherits_further_file_descriptors(
    stand_in: StandIn, tmp_path: Path
) -> None:
    (tmp_path / "given").write_text("by a fourth\n")
    env = environment(RELAY_URL=stand_in.url, RELAY_TOKEN=TOKEN)
    script = '"$@" 7<given'
    done = await piped(["bash", "-c", script, "-", *run("sh", "-c", "cat <&7")], env, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, b"by a fourth\n")
    # and nothing of ours
    shown = await piped(run("sh", "-c", "ls /proc/self/fd"), env)
    bare = await piped(["sh", "-c", "ls /proc/self/fd"], env)
    assert shown.stdout == bare.stdout


@pytest.mark.parametrize(
    ("command", "code", "message"),
    [
        (["true"], 0, None),
        (["sh", "-c", "exit 7"], 7, None),
        (["sh", "-c", "kill -TERM $$"], 143, "ended by SIGTERM"),
        (["sh", "-c", "kill -KILL $$"], 137, "ended by SIGKILL"),
        (["no-such-command-here"], 127, "no-such-command-here: command not found"),
        (["/etc/passwd"], 126, "/etc/passwd: Permission denied"),
    ],
)
def test_its_exit_code_is_what_a_shell_would_give(
    stand_in: StandIn, command: list[str], code: int, message: str | None
) -> None:
    env = environment(RELAY_URL=stand_in.url, RELAY_TOKEN=TOKEN)
    done = subprocess.run(run(*command), env=env, check=False, capture_output=True)
    assert done.returncode == code
    assert done.stderr.decode() == (f"relay: {message}\n" if code in (126, 127) else "")
    started, *_, ended = stand_in.events
    assert started["payload"] == {
        "title": command[0] if len(command) == 1 else "sh -c " + ("'" + command[2] + "'"),
        "lease_s": 90,
    }
    assert ended["event_type"] == ("task_failed" if code else "task_succeeded")
    assert (ended["payload"]["exit_code"], ended["payload"].get("message")) == (code, message)


async def test_a_closed_output_pipe_ends_the_command(stand_in: StandIn) -> None:
    env = environment(RELAY_URL=stand_in.url, RELAY_TOKEN=TOKEN)
    script = '"$@" | head -n 1; echo ${PIPESTATUS[0]}'
    done = await piped(["bash", "-c", script, "-", *run("yes")], env)
    assert done.stdout == b"y\n141\n"


async def test_a_surviving_child_does_not_hold_the_runner(stand_in: StandIn) -> None:
    env = environment(RELAY_URL=stand_in.url, RELAY_TOKEN=TOKEN)
    script = "sleep 3600 & echo $!"
    done = await piped(run("sh", "-c", script), env)
    left = psutil.Process(int(done.stdout))
    assert left.name() == "sleep"  # it still runs
    left.kill()


# -- keys and signals


@asynccontextmanager
async def hearing(stand_in: StandIn, **given: Any) -> AsyncIterator[Person]:
    env = environment(RELAY_URL=stand_in.url, RELAY_TOKEN=TOKEN)
    async with terminal(run(*HEARS), env, **given) as person:
        yield person


# Whatever is passed on is passed on in the order in which it came: once the command has heard a
# signal sent to us later, it has heard all that it will hear of the earlier one.
FENCE = signal.SIGUSR1


async def test_ctrl_c_reaches_the_command_once(stand_in: StandIn) -> None:
    async with hearing(stand_in) as person:
        await person.sees(b"ready")
        await person.types(b"\x03")
        await person.sees(b"heard SIGINT")
        person.process.send_signal(FENCE)
        assert await person.ended() == 5
        assert heard(person.seen) == ["SIGINT", FENCE.name]


@pytest.mark.parametrize("streams", [["stdin"], ["stdout"]])
async def test_ctrl_c_reaches_the_command_once_with_redirected_streams(
    stand_in: StandIn, streams: list[str]
) -> None:
    given = dict.fromkeys(streams, subprocess.DEVNULL)
    async with hearing(stand_in, **given) as person:
        await person.sees(b"ready")
        await person.types(b"\x03")
        await person.sees(b"heard SIGINT")
        person.process.send_signal(FENCE)
        assert await person.ended() == 5
        assert heard(person.seen) == ["SIGINT", FENCE.name]


async def test_ctrl_c_reaches_the_command_once_with_all_streams_redirected(
    stand_in: StandIn, tmp_path: Path
) -> None:
    path = tmp_path / "log"
    with path.open("wb") as log:
        given = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
        async with hearing(stand_in, **given) as person:
            await eventually(lambda: b"ready" in path.read_bytes())
            await person.types(b"\x03")
            await eventually(lambda: b"heard SIGINT" in path.read_bytes())
            person.process.send_signal(FENCE)
            assert await person.ended() == 5
    assert path.read_bytes() == b"ready\nheard SIGINT\nheard %s\n" % FENCE.name.encode()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_to_the_runner_is_forwarded_once_in_a_terminal(
    stand_in: StandIn, number: signal.Signals
) -> None:
    async with hearing(stand_in) as person:
        await person.sees(b"ready")
        person.process.send_signal(number)
        await person.sees(b"heard " + number.name.encode())
        person.process.send_signal(FENCE)
        assert await person.ended() == 5
        assert heard(person.seen) == [number.name, FENCE.name]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_to_the_runner_is_forwarded_once_in_pipes(
    stand_in: StandIn, number: signal.Signals, tmp_path: Path
) -> None:
    path = tmp_path / "log"
    with path.open("wb") as log:
        given = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
        async with hearing(stand_in, **given) as person:
            await eventually(lambda: b"ready" in path.read_bytes())
            person.process.send_signal(number)
            await eventually(lambda: number.name.encode() in path.read_bytes())
            person.process.send_signal(FENCE)
            assert await person.ended() == 5
    assert heard(path.read_bytes()) == [number.name, FENCE.name]


async def test_typed_keys_and_the_window_size_reach_the_command(stand_in: StandIn) -> None:
    script = "trap 'stty size' WINCH; echo ready; while read line; do echo \"got $line\"; done"
    env = environment(RELAY_URL=stand_in.url, RELAY_TOKEN=TOKEN)
    async with terminal(run("bash", "-c", script), env) as person:
        await person.sees(b"ready")
        await person.types(b"helo\x7flo\r")  # the line is edited as in any terminal
        await person.sees(b"got hello\r\n")
        person.resizes(50, 132)
        with trio.fail_after(PATIENCE):
            while b"50 132\r\n" not in person.seen:  # bash heeds the signal after the next line
                await person.types(b"x\r")
                with trio.move_on_after(0.5):
                    await person.sees(rb"50 132\r\n")
        await person.types(b"\x04")
        assert await person.ended() == 0


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


# -- what Relay gets


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
    events = await published(user)
    (*_, last) = (e["payload"] for e in events if e["event_type"] == "task_progress")
    assert last["progress"] == 0.3
    # of a bar its last writing stays
    (final,) = [line for line in lines(events) if "it/s" in line]
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
    events = await published(user)
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


# -- when Relay is not there


async def test_without_a_relay_the_command_runs_with_one_warning() -> None:
    done = await piped(run("sh", "-c", "echo works; exit 4"), environment())
    (line,) = done.stderr.decode().splitlines()
    assert (done.returncode, done.stdout) == (4, b"works\n")
    assert "RELAY_URL" in line


async def given_up(process: trio.Process) -> None:
    """Once the command has ended, end every wait for Relay."""
    await eventually(lambda: not psutil.Process(process.pid).children())
    process.send_signal(signal.SIGINT)


# What fits into one request: of two, an event of the next run could come in between.
SEQUENCE = 50_000


@pytest.mark.parametrize("how", ["stalled", "nobody", "busy", "refusing"])
async def test_an_unreachable_relay_does_not_affect_the_command(
    stand_in: StandIn, how: str, away: str
) -> None:
    if how == "stalled":
        stand_in.open.clear()
    elif how == "busy":
        stand_in.always = busy("300", 429)
    elif how == "refusing":
        stand_in.always = refusal(401, "invalid_token", "The credential is revoked.")
    url = away if how == "nobody" else stand_in.url
    env = environment(RELAY_URL=url, RELAY_TOKEN=TOKEN)
    with trio.fail_after(PATIENCE):
        process = await trio.lowlevel.open_process(
            run("seq", str(SEQUENCE)),
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        assert process.stdout is not None
        assert process.stderr is not None
        async with process.stdout, process.stderr:
            shown = b""
            # all of it is there while nothing is reported, and would not be for an hour
            while shown.count(b"\n") < SEQUENCE:
                shown += await process.stdout.receive_some()
            if how in ("stalled", "busy"):
                stand_in.was_asked()
            if how != "refusing":  # which ends the wait by itself
                await given_up(process)
            notes = b"".join([block async for block in process.stderr]).decode().splitlines()
            assert await process.wait() == 0
    assert shown.split() == [b"%d" % number for number in range(1, SEQUENCE + 1)]
    assert stand_in.events == []
    assert "not delivered yet, saved for the next run" in notes[-1]
    assert len(set(notes)) == (2 if how == "refusing" else 1)  # one of them may come at once, too
    if how == "refusing":
        assert notes[0] == (
            "relay: Relay refused the token: The credential is revoked."
            " Run `relay login`, or set RELAY_TOKEN."
        )
        assert stand_in.requests == 1

    # and the next run delivers it, in order, before its own
    stand_in.open.set()
    stand_in.always = None
    if how != "nobody":
        env["RELAY_URL"] = stand_in.url
        await piped(run("echo", "next"), env)
        kinds = [event["event_type"] for event in stand_in.events]
        printed = lines(stand_in.events, "stdout")
        assert printed == [*map(str, range(1, SEQUENCE + 1)), "next"]
        assert (kinds[-1], kinds.count("task_succeeded")) == ("task_succeeded", 2)


async def test_a_refused_token_is_named_while_the_command_runs(stand_in: StandIn) -> None:
    detail = "The credential\x1b]0;title\x07 is revoked."
    stand_in.always = refusal(401, "invalid_token", detail)
    env = environment(RELAY_URL=stand_in.url, RELAY_TOKEN=TOKEN)
    note = (
        "relay: Relay refused the token: The credential is revoked."
        " Run `relay login`, or set RELAY_TOKEN."
    )
    with trio.fail_after(PATIENCE):
        process = await trio.lowlevel.open_process(
            run("sh", "-c", "read _; exit 3"),
            env=env,
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        assert process.stdin is not None
        assert process.stderr is not None
        async with process.stdin, process.stderr:
            shown = b""
            while not shown.endswith(b"\n"):  # the command waits for a line meanwhile
                shown += await process.stderr.receive_some()
            assert shown.decode().splitlines() == [note]
            await process.stdin.send_all(b"\n")
            shown = b"".join([block async for block in process.stderr])
            assert await process.wait() == 3
    notes = shown.decode().splitlines()
    assert notes[0] == note
    assert "not delivered yet" in notes[1]
    assert len(notes) == 2


async def test_the_final_wait_is_bounded_by_its_option(stand_in: StandIn) -> None:
    stand_in.open.clear()
    env = environment(RELAY_URL=stand_in.url, RELAY_TOKEN=TOKEN)
    done = await piped(run("echo", "done", options=("--wait", "0.1")), env)
    assert not stand_in.open.is_set()  # no request was answered
    assert (done.returncode, done.stdout) == (0, b"done\n")
    assert b"saved for the next run" in done.stderr


async def test_a_signal_ends_the_final_wait(stand_in: StandIn) -> None:
    stand_in.open.clear()
    env = environment(RELAY_URL=stand_in.url, RELAY_TOKEN=TOKEN)
    async with terminal(run("echo", "done"), env) as person:
        await person.sees(b"done\r\n")
        await person.has_its_manners_back()  # it has ended, and we wait
        await person.types(b"\x03")
        await person.sees(b"saved for the next run")
        assert await person.ended() == 0


async def test_a_chatty_command_gets_through_a_tight_limit_whole_and_in_order(
    database_url: str,
) -> None:
    limits = {"RELAY_RATE_LIMITS": "on", "RELAY_RATE_EVENTS_PER_TOKEN": "5/s burst 5"}
    async with running_relay(database_url, **limits) as relay:
        user = await relay.user()
        script = "for i in $(seq 60); do echo line $i; sleep 0.03; done"
        done = await piped(run("sh", "-c", script), await env_of(user))
        assert (done.returncode, done.stderr) == (0, b"")
        events = await published(user)
    assert lines(events) == [f"line {number}" for number in range(1, 61)]
    assert events[-1]["event_type"] == "task_succeeded"
