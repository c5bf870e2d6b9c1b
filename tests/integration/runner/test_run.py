"""`relay run`: output, streams, files and exit code are those of the command without it."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.commands import environment
from tests.support.relay_server import Relay
from tests.support.stand_in import TOKEN, StandIn
from tests.support.stored_events import stored
from tests.support.terminals import piped, terminal
from tests.support.watched_runs import env_of, lines, run

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
    events = await stored(user)
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
    assert lines(await stored(user), "stderr") == ["from stdin"]


async def test_one_file_for_both_streams_keeps_them_in_order(relay: Relay) -> None:
    user = await relay.user()
    script = "for i in $(seq 500); do echo out $i; echo err $i >&2; done"
    given = {"capture_stderr": False, "stderr": subprocess.STDOUT}
    done = await piped(run("sh", "-c", script), await env_of(user), **given)
    expected = [f"{name} {number}" for number in range(1, 501) for name in ("out", "err")]
    assert done.stdout.decode().split("\n")[:-1] == expected
    assert lines(await stored(user)) == expected


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
