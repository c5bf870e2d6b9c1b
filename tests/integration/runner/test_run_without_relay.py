"""A Relay that is away, busy or refuses does not affect the command."""

import os
import signal
import subprocess

import psutil
import pytest
import trio

from tests.support.commands import environment
from tests.support.patience import PATIENCE, eventually
from tests.support.stand_in import TOKEN, StandIn, busy, refusal
from tests.support.terminals import piped, terminal
from tests.support.watched_runs import lines, run


async def test_without_a_relay_the_command_runs_with_one_warning() -> None:
    done = await piped(run("sh", "-c", "echo works; exit 4"), environment())
    (line,) = done.stderr.decode().splitlines()
    assert (done.returncode, done.stdout) == (4, b"works\n")
    assert "RELAY_URL" in line


@pytest.mark.parametrize("connected", [False, True])
@pytest.mark.parametrize("stderr", ["closed", "full", "unread"])
async def test_a_stderr_that_takes_no_note_does_not_affect_the_command(
    stderr: str, connected: bool, away: str
) -> None:
    """One note comes before the command starts, the other one when it has ended."""
    settings = {"RELAY_URL": away, "RELAY_TOKEN": TOKEN} if connected else {}
    redirected = {"closed": '"$@" 2>&-', "full": '"$@" 2>/dev/full', "unread": '"$@"'}[stderr]
    watched = run("sh", "-c", "echo works; exit 4", options=("--wait", "0.1"))
    reader, writer = os.pipe()
    os.close(reader)
    try:
        given = {"capture_stderr": False, "stderr": writer}
        done = await piped(
            ["bash", "-c", redirected, "-", *watched], environment(**settings), **given
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stdout) == (4, b"works\n")


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
            " Replace or unset RELAY_TOKEN."
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
        "relay: Relay refused the token: The credential is revoked. Replace or unset RELAY_TOKEN."
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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_the_final_wait_for_a_command_that_was_not_found(
    stand_in: StandIn, number: signal.Signals
) -> None:
    stand_in.open.clear()
    env = environment(RELAY_URL=stand_in.url, RELAY_TOKEN=TOKEN)
    process = await trio.lowlevel.open_process(
        run("no-such-command-here"), env=env, stderr=subprocess.PIPE, start_new_session=True
    )
    assert process.stderr is not None
    try:
        stand_in.was_asked()
        process.send_signal(number)
        with trio.fail_after(PATIENCE):
            notes = b"".join([block async for block in process.stderr]).decode().splitlines()
            assert await process.wait() == 127
    finally:
        process.kill()
    assert notes[0] == "relay: no-such-command-here: command not found"
    assert "saved for the next run" in notes[1]
