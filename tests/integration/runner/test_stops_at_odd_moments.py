"""Stops and continuations at moments that are hard to hit, each forced by the test."""

import signal
import sys

import psutil

from tests.support.patience import eventually
from tests.support.terminals import HEARS, heard, terminal

# `relay run` without the recorder, and with something done at a moment that is hard to hit. It
# leads its session: SIGTSTP does not stop it, as no shell could continue it; SIGSTOP does.
ORDERED = """
import os, select, signal, sys
from relay.runner.command import WatchedCommand
from relay.runner.session_leader import SessionLeader
from relay.runner.inherited import Inherited
from relay.runner.signal_forwarding import block_signals, receive_signals
from relay.runner.start import start_command
from relay.runner.terminal import Terminal

inherited = Inherited.read()
block_signals()
started = start_command(sys.argv[1:], inherited)
watched = WatchedCommand(started, lambda *_: None, print)
select.select([started.streams.terminal.runner_side], [], [])  # the command is ready

def on_signal(number, from_process):
    if number == signal.SIGCONT:
        watched.continued()
    else:
        watched.forward(number, from_process)

receive_signals(on_signal)
{}
os._exit(watched.run())
"""


async def test_ctrl_z_before_the_runner_is_ready_stops_the_command(env: dict[str, str]) -> None:
    """What the command shows is shown only then, but a key may come at any time."""
    at_once = ORDERED.format("os.kill(os.getpid(), signal.SIGTSTP)")
    async with terminal([sys.executable, "-c", at_once, *HEARS], env) as person:
        await person.sees(b"heard SIGCONT")  # it was stopped, and goes on
        person.process.send_signal(signal.SIGUSR1)
        assert await person.ended() == 5
    assert heard(person.seen) == ["SIGCONT", "SIGUSR1"]


# What reads get that begin in the background.
FIRST_READ_FAILS = """
import errno
read, errors = os.read, [OSError(errno.EIO, "in the background")]
def read_or_fail(fd, size):
    if fd == 0 and errors:
        raise errors.pop()
    return read(fd, size)
os.read = read_or_fail
"""


async def test_keys_are_read_on_after_a_read_in_the_background(env: dict[str, str]) -> None:
    fails = ORDERED.format(FIRST_READ_FAILS)
    async with terminal([sys.executable, "-c", fails, *HEARS], env) as person:
        await person.passes_keys_on()
        await person.types(b"\x03")
        await person.sees(b"heard SIGINT")
        person.process.send_signal(signal.SIGUSR1)
        assert await person.ended() == 5
    assert heard(person.seen) == ["SIGINT", "SIGUSR1"]


# The command is stopped, and the runner knows of it, but has not stopped yet.
BEFORE_THE_RUNNER_STOPS = """
stop_runner = SessionLeader.stop_runner
def after_something_else(leader, on_report):
    {}
    return stop_runner(leader, on_report)
SessionLeader.stop_runner = after_something_else
make_raw = Terminal.make_raw
def make_raw_and_show_it(terminal):
    make_raw(terminal)
    os.write(1, b"in front")
Terminal.make_raw = make_raw_and_show_it
os.kill(started.process, signal.SIGSTOP)
"""


async def test_a_command_continued_before_the_runner_stops_is_not_waited_for(
    env: dict[str, str],
) -> None:
    goes_on = ORDERED.format(
        BEFORE_THE_RUNNER_STOPS.format("os.kill(started.process, signal.SIGCONT)")
    )
    async with terminal([sys.executable, "-c", goes_on, *HEARS], env) as person:
        await person.sees(b"in front")
        await person.sees(b"heard SIGCONT")
        person.process.send_signal(signal.SIGUSR1)
        assert await person.ended() == 5
    assert heard(person.seen) == ["SIGCONT", "SIGUSR1"]


async def test_a_command_killed_before_the_runner_stops_has_ended(env: dict[str, str]) -> None:
    dies = ORDERED.format(
        BEFORE_THE_RUNNER_STOPS.format("os.kill(started.process, signal.SIGKILL)")
    )
    async with terminal([sys.executable, "-c", dies, *HEARS], env) as person:
        assert await person.ended() == 128 + signal.SIGKILL


# The next key has stopped the command when the runner heeds the SIGCONT of the last `fg`.
CONTINUED_LATE = """
import psutil, re, time
(leader,) = psutil.Process().children()

def is_idle():
    status = open(f"/proc/{leader.pid}/status").read()
    pending = int(re.search("ShdPnd:\\s*(\\w+)", status)[1], 16)
    return not pending and leader.status() == psutil.STATUS_SLEEPING

os.kill(started.process, signal.SIGSTOP)
while psutil.Process(started.process).status() != psutil.STATUS_STOPPED:
    time.sleep(0.01)
watched.continued()
while not is_idle():  # it has done what it was asked for
    time.sleep(0.01)
"""


async def test_a_late_sigcont_continues_no_command_that_has_stopped_again(
    env: dict[str, str],
) -> None:
    late = ORDERED.format(CONTINUED_LATE)
    async with terminal([sys.executable, "-c", late, *HEARS], env) as person:
        ours = psutil.Process(person.process.pid)
        await eventually(lambda: ours.status() == psutil.STATUS_STOPPED)
        person.process.send_signal(signal.SIGCONT)
        await person.sees(b"heard SIGCONT")
        person.process.send_signal(signal.SIGUSR1)
        assert await person.ended() == 5
    assert heard(person.seen) == ["SIGCONT", "SIGUSR1"]
