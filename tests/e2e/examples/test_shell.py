"""`examples/shell`: a function of POSIX shell and curl."""

import os
import signal
import subprocess
from pathlib import Path

import psutil
import pytest
import trio

from tests.support.patience import PATIENCE, eventually
from tests.support.programs import program
from tests.support.recipes import EXAMPLES, Machine
from tests.support.stand_in import TOKEN, StandIn, busy, refusal
from tests.support.tmpfs import tmpfs

WATCHED = EXAMPLES / "shell" / "watched.sh"
SHELLS = ["bash", "dash"]


@pytest.fixture(autouse=True)
def curl() -> str:
    return program("curl")


@pytest.mark.parametrize("shell", SHELLS)
async def test_a_watched_command_behaves_as_without(machine: Machine, shell: str) -> None:
    done = await machine.run(
        program(shell),
        "-euc",
        f'. "{WATCHED}"; watched sh -c "read word; echo \\$word; echo err >&2"; echo after',
        given=b"given\n",
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"given\nafter\n", b"err\n")
    started, log, ended = await machine.published()
    assert [event["event_type"] for event in (started, log, ended)] == [
        "task_started",
        "log",
        "task_succeeded",
    ]
    title = "sh -c read word; echo $word; echo err >&2"
    assert started["payload"] == {"title": title, "lease_s": 90}
    assert sorted(log["payload"]["message"].split("\n")) == ["err", "given"]
    assert ended["payload"]["exit_code"] == 0
    assert ended["payload"]["duration_s"] >= 0
    assert {event["task_id"] for event in (started, log, ended)} == {started["task_id"]}
    assert [*machine.home.glob("tmp*")] == []


async def test_a_failure_is_reported_with_its_exit_code_and_last_lines(machine: Machine) -> None:
    awkward = r"""a\tb \\ "c" \033[31mred\033[0m \303\274 \377\001 %%s"""
    script = machine.script("work", f"seq 100; printf '{awkward}'; exit 7")
    strict = ["bash", "-euo", "pipefail", "-c"]
    lines = f'. "{WATCHED}"; watched "{script}" "an \\"argument"; echo never'
    done = await machine.run(*strict, lines)
    assert done.returncode == 7
    assert b"never" not in done.stdout
    _, log, ended = await machine.published()
    assert log["payload"]["message"].split("\n") == [
        *(str(number) for number in range(82, 101)),
        'a\tb \\ "c" \x1b[31mred\x1b[0m ü  %s',
    ]
    assert ended["event_type"] == "task_failed"
    assert ended["payload"]["exit_code"] == 7
    assert ended["payload"]["title"] == f'{script} an "argument'


async def test_the_function_needs_few_tools(machine: Machine) -> None:
    few = machine.home / "few"
    few.mkdir()
    names = "sh curl awk cat date mktemp rm sed sleep tail tee tr"
    for name in names.split():
        (few / name).symlink_to(program(name))
    env = {**machine.env, "PATH": str(few)}
    lines = f'. "{WATCHED}"; watched printf "na\\303\\257ve\\n"'
    done = await machine.run("sh", "-c", lines, env=env)
    assert (done.returncode, done.stdout, done.stderr) == (0, "naïve\n".encode(), b"")
    _, log, _ = await machine.published()
    assert log["payload"]["message"] == "nave", "without iconv, what is ASCII"


async def test_a_closed_output_pipe_ends_the_command(machine: Machine) -> None:
    lines = f'. "{WATCHED}"; watched yes | head -n 1; echo "${{PIPESTATUS[0]}}"'
    done = await machine.run("bash", "-c", f"set -uo pipefail; {lines}")
    assert done.stdout == b"y\n141\n"
    ended = (await machine.published())[-1]
    assert (ended["event_type"], ended["payload"]["exit_code"]) == ("task_failed", 141)


@pytest.mark.parametrize("shell", SHELLS)
async def test_beats_keep_the_lease_while_the_command_runs_and_end_with_it(
    shell: str, tmp_path: Path
) -> None:
    last = ["sleep", f"600.{os.getpid()}"]  # of this test alone
    nap, often = tmp_path / "nap", tmp_path / "often.sh"
    nap.write_text(f'[ -e "{tmp_path}/beaten" ] && exec {" ".join(last)}; exec sleep 0.1\n')
    often.write_text(WATCHED.read_text().replace("sleep 30", f'sh "{nap}"'))
    folder = tmp_path / "empty"
    folder.mkdir()
    with StandIn() as away:
        script = f'. "{often}"; watched sh -c "until [ -e ../over ]; do sleep 0.1; done"'
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_sh, script, folder, away.url, TOKEN, shell)
            await eventually(lambda: len(away.beats) >= 2)
            (tmp_path / "beaten").touch()
            await eventually(lambda: last in command_lines())
            (tmp_path / "over").touch()
        beats, (task,) = away.beats, {event["task_id"] for event in away.events}
        assert {name for beat in beats for name in beat} == {task}
        await eventually(lambda: last not in command_lines())
    assert os.listdir(folder) == []


@pytest.mark.parametrize("shell", SHELLS)
async def test_output_that_fills_the_disk_leaves_the_exit_code_as_it_is(
    shell: str, tmp_path: Path
) -> None:
    output = "head -c 200000 /dev/zero | tr '\\\\0' @ >&2"
    with tmpfs(tmp_path, "size=64k"), StandIn() as away:
        folder = tmp_path / "tmp"
        folder.mkdir()
        for code in (0, 7):
            script = f'. "{WATCHED}"; watched sh -c "{output}; exit {code}"'
            done = await _sh(script, folder, away.url, shell=shell)
            assert (done.returncode, done.stderr.count(b"@")) == (code, 200_000)
            assert away.events[-1]["payload"]["exit_code"] == code
        await _sh("cat /dev/zero >../full", folder, away.url)
        script = f'set -e; . "{WATCHED}"; watched echo ran; watched sh -c "exit 3"; echo never'
        done = await _sh(script, folder, away.url, shell=shell)
        assert (done.returncode, done.stdout) == (3, b"ran\n")
        line = b"watched: no RELAY_TOKEN, or no room for temporary files: not published\n"
        assert done.stderr == line * 2


@pytest.mark.parametrize("shell", SHELLS)
async def test_beats_go_on_while_others_take_what_is_free_of_the_disk(
    shell: str, tmp_path: Path
) -> None:
    often, place, over = (tmp_path / name for name in ("often.sh", "small", "over"))
    often.write_text(WATCHED.read_text().replace("sleep 30", "sleep 0.01"))
    place.mkdir()
    with tmpfs(place, "size=64k"), StandIn() as away:
        folder = place / "tmp"
        folder.mkdir()
        taking = f"until [ -e {over} ]; do cat /dev/zero >>../full; done 2>/dev/null"
        async with trio.open_nursery() as nursery:
            nursery.start_soon(
                _sh, f'. "{often}"; watched sh -c "{taking}"', folder, away.url, TOKEN, shell
            )
            try:
                await eventually(lambda: len(away.beats) >= 20)
            finally:
                over.touch()  # what takes the room has no other end


def command_lines() -> list[list[str]]:
    return [one.info["cmdline"] for one in psutil.process_iter(["cmdline"])]


async def test_a_retried_event_is_stored_once(tmp_path: Path) -> None:
    with StandIn() as away:
        away.script += [busy(), busy("0", 429)]
        script = f'. "{WATCHED}"; watched true; watched false; echo $?'
        done = await _sh(script, tmp_path, away.url)
    assert done.stdout == b"1\n"
    assert done.stderr == b""
    types = [event["event_type"] for event in away.events]
    assert types == ["task_started", "task_succeeded", "task_started", "task_failed"]
    assert len({event["event_id"] for event in away.events}) == 4
    assert away.requests == 6


async def test_an_unreachable_relay_costs_one_line(tmp_path: Path) -> None:
    with StandIn() as away:
        away.always = refusal(401, "invalid_token", "Revoked.")
        done = await _sh(f'. "{WATCHED}"; watched echo hello', tmp_path, away.url)
    assert (done.returncode, done.stdout) == (0, b"hello\n")
    assert (
        done.stderr.decode().splitlines()
        == ["watched: not published: (22) The requested URL returned error: 401"] * 2
    )
    assert TOKEN.encode() not in done.stderr
    quiet = await _sh(f'. "{WATCHED}"; watched sh -c "exit 3"', tmp_path, away.url, token="")
    assert quiet.returncode == 3
    assert quiet.stderr.startswith(b"watched: no RELAY_TOKEN")


async def test_ctrl_c_ends_the_command_and_is_reported(machine: Machine) -> None:
    process = await trio.lowlevel.open_process(
        ["sh", "-c", f'. "{WATCHED}"; watched sh -c "echo here; exec sleep 3600"'],
        env=machine.env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    async with process.stdout:
        with trio.fail_after(PATIENCE):
            assert await process.stdout.receive_some() == b"here\n"
            os.killpg(process.pid, signal.SIGINT)
            await process.wait()
    async with machine.user.sse("?after=oldest") as stream:
        _, log, ended = await stream.events(3)
    assert log["payload"]["message"] == "here"
    assert (ended["event_type"], ended["payload"]["exit_code"]) == ("task_failed", 130)


async def _sh(  # leaves no file behind
    script: str, folder: Path, url: str, token: str = TOKEN, shell: str = "sh"
) -> "subprocess.CompletedProcess[bytes]":
    env = {"PATH": "/usr/bin:/bin", "RELAY_URL": url, "RELAY_TOKEN": token, "TMPDIR": str(folder)}
    with trio.fail_after(PATIENCE):
        done = await trio.run_process(
            [shell, "-c", script],
            cwd=folder,
            env=env,
            capture_stdout=True,
            capture_stderr=True,
            check=False,
            start_new_session=True,
        )
    assert os.listdir(folder) == []
    return done
