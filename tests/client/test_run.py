"""`relay run`: the command is as it would be without, and Relay knows how it goes."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.client.stand_in import TOKEN, StandIn, busy
from tests.client.terminals import Person, piped, terminal
from tests.ground.commands import RELAY, environment
from tests.live import Relay, User, running_relay

Event = dict[str, Any]


PATIENTLY = ("--wait", "15")  # on a busy machine the last line may take longer than people wait


def run(*command: str, options: tuple[str, ...] = PATIENTLY) -> list[str]:
    return [*RELAY, "run", *options, "--", *command]


def python(code: str) -> list[str]:
    return [sys.executable, "-u", "-c", code]


async def env_of(user: User) -> dict[str, str]:
    return environment(RELAY_URL=user.relay.url, RELAY_TOKEN=await user.hook())


async def told(user: User) -> list[Event]:
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


async def test_in_a_terminal_it_shows_the_same_bytes_and_ends_the_same(relay: Relay) -> None:
    user = await relay.user()
    env = {**await env_of(user), "TERM": "xterm"}
    shown = []
    for command in (["sh", "-c", SHOWS], run("sh", "-c", SHOWS)):
        async with terminal(command, env, size=(33, 77)) as person:
            before = person.manners()
            assert await person.ended() == 3
            assert person.manners() == before
            shown.append(person.seen)
    assert shown[0].startswith(b"terminal\r\n")
    assert shown[1] == shown[0]
    events = await told(user)
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
    assert lines(await told(user), "stderr") == ["from stdin"]


async def test_one_file_for_both_streams_keeps_them_in_order(relay: Relay) -> None:
    user = await relay.user()
    script = "for i in $(seq 500); do echo out $i; echo err $i >&2; done"
    given = {"capture_stderr": False, "stderr": subprocess.STDOUT}
    done = await piped(run("sh", "-c", script), await env_of(user), **given)
    expected = [f"{name} {number}" for number in range(1, 501) for name in ("out", "err")]
    assert done.stdout.decode().split("\n")[:-1] == expected
    assert lines(await told(user)) == expected


async def test_what_it_was_given_beside_the_three_it_has(stand_in: StandIn, tmp_path: Path) -> None:
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
    ("command", "code", "said"),
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
    stand_in: StandIn, command: list[str], code: int, said: str | None
) -> None:
    env = environment(RELAY_URL=stand_in.url, RELAY_TOKEN=TOKEN)
    done = subprocess.run(run(*command), env=env, check=False, capture_output=True)
    assert done.returncode == code
    assert done.stderr.decode() == (f"relay: {said}\n" if code in (126, 127) else "")
    started, *_, ended = stand_in.events
    assert started["payload"] == {
        "title": command[0] if len(command) == 1 else "sh -c " + ("'" + command[2] + "'")
    }
    assert ended["event_type"] == ("task_failed" if code else "task_succeeded")
    assert (ended["payload"]["exit_code"], ended["payload"].get("message")) == (code, said)


async def test_whoever_stops_reading_stops_it(stand_in: StandIn) -> None:
    env = environment(RELAY_URL=stand_in.url, RELAY_TOKEN=TOKEN)
    script = '"$@" | head -n 1; echo ${PIPESTATUS[0]}'
    done = await piped(["bash", "-c", script, "-", *run("yes")], env)
    assert done.stdout == b"y\n141\n"


async def test_what_outlives_it_does_not_hold_it(stand_in: StandIn) -> None:
    env = environment(RELAY_URL=stand_in.url, RELAY_TOKEN=TOKEN)
    began = time.monotonic()
    done = await piped(run("sh", "-c", "sleep 15 & echo started"), env)
    assert (done.stdout, time.monotonic() - began < 10) == (b"started\n", True)


# -- keys and signals

COUNTS = """
import signal, sys, time
heard = []
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
    signal.signal(number, lambda number, frame: heard.append(number))
print("ready", file=sys.stderr)
while not heard: time.sleep(0.01)
time.sleep(0.3)
print("heard", *map(int, heard), file=sys.stderr)
sys.exit(5)
"""


@asynccontextmanager
async def counting(stand_in: StandIn, **given: Any) -> AsyncIterator[Person]:
    env = environment(RELAY_URL=stand_in.url, RELAY_TOKEN=TOKEN)
    async with terminal(run(*python(COUNTS)), env, **given) as person:
        yield person


async def test_ctrl_c_reaches_it_once(stand_in: StandIn) -> None:
    async with counting(stand_in) as person:
        await person.sees(b"ready")
        await person.types(b"\x03")
        await person.sees(b"heard 2\r\n")
        assert await person.ended() == 5


@pytest.mark.parametrize("streams", [["stdin"], ["stdout"]])
async def test_ctrl_c_reaches_it_once_whatever_of_it_is_no_terminal(
    stand_in: StandIn, streams: list[str]
) -> None:
    given = dict.fromkeys(streams, subprocess.DEVNULL)
    async with counting(stand_in, **given) as person:
        await person.sees(b"ready")
        await person.types(b"\x03")
        await person.sees(b"heard 2\r\n")
        assert await person.ended() == 5


async def test_ctrl_c_reaches_it_once_without_any_stream_in_the_terminal(
    stand_in: StandIn, tmp_path: Path
) -> None:
    with (tmp_path / "log").open("wb") as log:
        given = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
        async with counting(stand_in, **given) as person:
            with trio.fail_after(20):
                while b"ready" not in (tmp_path / "log").read_bytes():  # noqa: ASYNC110 - a file
                    await trio.sleep(0.01)
            await person.types(b"\x03")
            assert await person.ended() == 5
    assert (tmp_path / "log").read_bytes() == b"ready\nheard 2\n"


@pytest.mark.parametrize(
    ("number", "where"),
    [
        *((signal.SIGTERM, "terminal"), (signal.SIGINT, "terminal")),
        *((signal.SIGTERM, "pipes"), (signal.SIGINT, "pipes")),
    ],
)
async def test_a_signal_sent_to_us_is_passed_on_once(
    stand_in: StandIn, number: signal.Signals, where: str
) -> None:
    given = {} if where == "terminal" else {"stdin": subprocess.DEVNULL, "stdout": -1, "stderr": -1}
    async with counting(stand_in, **given) as person:
        stand_in.was_asked()  # it runs
        if where == "terminal":
            await person.sees(b"ready")
            person.process.send_signal(number)
            await person.sees(b"heard %d\r\n" % number)
            assert await person.ended() == 5
        else:
            assert person.process.stderr is not None
            with trio.fail_after(20):
                said = b""
                while b"ready\n" not in said:
                    said += await person.process.stderr.receive_some()
                person.process.send_signal(number)
                while more := await person.process.stderr.receive_some():
                    said += more
                assert said == b"ready\nheard %d\n" % number
                assert await person.process.wait() == 5
            await person.process.stdout.aclose()
            await person.process.stderr.aclose()


async def test_what_is_typed_and_the_windows_size_reach_it(stand_in: StandIn) -> None:
    script = "trap 'stty size' WINCH; echo ready; while read line; do echo \"got $line\"; done"
    env = environment(RELAY_URL=stand_in.url, RELAY_TOKEN=TOKEN)
    async with terminal(run("bash", "-c", script), env) as person:
        await person.sees(b"ready")
        await person.types(b"helo\x7flo\r")  # the line is edited as in any terminal
        await person.sees(b"got hello\r\n")
        person.resizes(50, 132)
        with trio.fail_after(60):
            while b"50 132\r\n" not in person.seen:  # bash heeds the signal after the next line
                await person.types(b"x\r")
                with trio.move_on_after(0.5):
                    await person.sees(rb"50 132\r\n")
        await person.types(b"\x04")
        assert await person.ended() == 0


async def test_what_is_typed_is_no_output_of_a_command_that_prints_elsewhere(
    stand_in: StandIn, tmp_path: Path
) -> None:
    env = environment(RELAY_URL=stand_in.url, RELAY_TOKEN=TOKEN)
    with (tmp_path / "log").open("wb") as log:
        given = {"stdout": log, "stderr": subprocess.DEVNULL}
        async with terminal(run("head", "-n", "1"), env, **given) as person:
            await person.types(b"hello\r")
            await person.sees(b"hello\r\n")  # the echo
            assert await person.ended() == 0
    assert (tmp_path / "log").read_bytes() == b"hello\n"
    assert stand_in.said() == ["hello"]


async def test_a_password_that_is_not_shown_is_not_told(stand_in: StandIn) -> None:
    script = "read -s -p 'Password: ' word; echo; echo done"
    env = environment(RELAY_URL=stand_in.url, RELAY_TOKEN=TOKEN)
    async with terminal(run("bash", "-c", script), env) as person:
        await person.sees(b"Password: ")
        await person.types(b"correct horse\r")
        assert await person.ended() == 0
        assert b"horse" not in person.seen
    assert stand_in.said()[-1] == "done"
    assert "horse" not in str(stand_in.events)


# -- what Relay is told


async def test_a_line_is_seen_while_the_command_still_runs(relay: Relay) -> None:
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


BAR = """
import time
from tqdm import tqdm
for _ in tqdm(range(40), mininterval=0):
    time.sleep(0.02)
print("[3/10] compiling")
"""


async def test_progress_is_read_from_bars_and_lines(relay: Relay) -> None:
    user = await relay.user()
    async with terminal(run(*python(BAR)), await env_of(user)) as person:
        assert await person.ended() == 0
    events = await told(user)
    fractions = [
        event["payload"]["progress"] for event in events if event["event_type"] == "task_progress"
    ]
    *bar, last = fractions
    assert (bar == sorted(bar), len(set(bar)) >= 3, len(fractions) <= 8, last) == (
        True,
        True,
        True,
        0.3,
    )
    # of a bar its last writing stays
    (final,) = [line for line in lines(events) if "it/s" in line]
    assert final.startswith("100%")


async def test_secrets_stay_in_the_terminal(relay: Relay) -> None:
    user = await relay.user()
    env = {**await env_of(user), "DEPLOY_KEY": "hunter22!", "LANGUAGE_": "german"}
    script = 'printf hunt; sleep 1.3; echo "er22!"; echo "$RELAY_TOKEN $LANGUAGE_"; echo hunter22!'
    done = await piped(run("sh", "-c", script), env)
    assert done.stdout.decode() == f"hunter22!\n{env['RELAY_TOKEN']} german\nhunter22!\n"
    events = await told(user)
    assert lines(events) == ["***", "*** german", "***"]
    assert not re.search(r"hunter22!|eyJ", str(events))


async def test_options_say_what_it_is_called(stand_in: StandIn) -> None:
    options = ("--title", "My build", "--task-id", "build", "--url", stand_in.url, "--token", TOKEN)
    done = await piped([*RELAY, "run", *options, "echo", "--title", "x"], environment())
    assert done.stdout == b"--title x\n"
    assert {event["task_id"] for event in stand_in.events} == {"build"}
    assert stand_in.events[0]["payload"] == {"title": "My build"}
    wrong = await piped([*RELAY, "run", "--task-id", "two words", "true"], environment())
    assert (wrong.returncode, b"--task-id" in wrong.stderr) == (2, True)


# -- when Relay is not there


async def test_without_a_relay_the_command_runs_and_one_line_says_so() -> None:
    done = await piped(run("sh", "-c", "echo works; exit 4"), environment())
    (line,) = done.stderr.decode().splitlines()
    assert (done.returncode, done.stdout) == (4, b"works\n")
    assert "RELAY_URL" in line


TIMED = "import sys,time; b=time.monotonic()\nfor n in range(200000): print(n)\n" + (
    "sys.stdout.flush(); print(time.monotonic() - b, file=sys.stderr)"
)


@pytest.mark.parametrize("how", ["stalled", "nobody", "busy", "refusing"])
async def test_a_relay_that_is_away_neither_slows_nor_breaks_it(
    stand_in: StandIn, how: str
) -> None:
    if how == "stalled":
        stand_in.open.clear()
    elif how == "busy":
        stand_in.always = busy("30", 429)
    elif how == "refusing":
        stand_in.always = 401, {"detail": "The credential is revoked."}, {}
    url = "http://127.0.0.1:1" if how == "nobody" else stand_in.url
    env = environment(RELAY_URL=url, RELAY_TOKEN=TOKEN)
    began = time.monotonic()
    done = await piped(run(*python(TIMED), options=("--wait", "0.5")), env)
    took = time.monotonic() - began
    assert (done.returncode, done.stdout.count(b"\n")) == (0, 200_000)
    seconds, *notes = done.stderr.decode().splitlines()
    assert float(seconds) < 4  # a second of its own on a busy machine
    assert took < 8
    assert "not delivered yet, kept on disk" in notes[-1]
    assert len(notes) == (2 if how == "refusing" else 1)
    if how == "refusing":
        assert notes[0] == (
            "relay: Relay does not take the token: The credential is revoked."
            " Run `relay login`, or set RELAY_TOKEN."
        )
        assert stand_in.requests == 1

    # and whoever comes next brings it there, in order, before its own
    stand_in.open.set()
    stand_in.always = None
    if how != "nobody":
        env["RELAY_URL"] = stand_in.url
        await piped(run("echo", "next"), env)
        kinds = [event["event_type"] for event in stand_in.events]
        assert lines(stand_in.events, "stdout") == [*map(str, range(200_000)), "next"]
        assert (kinds[-1], kinds.count("task_succeeded")) == ("task_succeeded", 2)


async def test_who_has_waited_enough_at_the_end_says_so(stand_in: StandIn) -> None:
    stand_in.open.clear()
    env = environment(RELAY_URL=stand_in.url, RELAY_TOKEN=TOKEN)
    async with terminal(run("echo", "done", options=("--wait", "60")), env) as person:
        await person.sees(b"done\r\n")
        await trio.sleep(0.5)  # it has ended and we wait; there is nothing to see of that
        await person.types(b"\x03")
        await person.sees(b"kept on disk")
        assert await person.ended() == 0


async def test_a_chatty_command_gets_through_a_tight_limit_whole_and_in_order(
    database_url: str,
) -> None:
    limits = {"RELAY_RATE_LIMITS": "on", "RELAY_RATE_EVENTS_PER_TOKEN": "5/s burst 5"}
    async with running_relay(database_url, **limits) as relay:
        user = await relay.user()
        script = "for i in $(seq 60); do echo line $i; sleep 0.03; done"
        done = await piped(run("sh", "-c", script, options=("--wait", "15")), await env_of(user))
        assert (done.returncode, done.stderr) == (0, b"")
        events = await told(user)
    assert lines(events) == [f"line {number}" for number in range(1, 61)]
    assert events[-1]["event_type"] == "task_succeeded"
