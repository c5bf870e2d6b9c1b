"""What is copied after the command's end: all of its own, and little of what it leaves behind."""

import os
import threading
from contextlib import suppress

import psutil
import pytest
import trio

from relay.runner import copying
from relay.runner.copying import copy_output
from relay.runner.selectable_event import SelectableEvent
from relay.runner.streams import BLOCK_SIZE, Output
from tests.support.patience import PATIENCE, eventually
from tests.support.stand_in import StandIn
from tests.support.terminals import piped, terminal
from tests.support.watched_runs import run


async def test_a_surviving_child_does_not_hold_the_runner(env: dict[str, str]) -> None:
    script = "sleep 3600 & echo $!"
    done = await piped(run("sh", "-c", script), env)
    left = psutil.Process(int(done.stdout))
    await eventually(lambda: left.name() == "sleep")  # it still runs
    left.kill()


# A process that the command leaves behind, and that never falls silent. One never leaves the pipe
# or terminal empty, the other one does.
CHATTY = ["while :; do echo more; done", "while :; do echo more; sleep 0.02; done"]


def kill_left(process: int) -> None:
    with suppress(psutil.NoSuchProcess):  # after a SIGPIPE
        psutil.Process(process).kill()


@pytest.mark.parametrize("chatty", CHATTY)
async def test_a_child_that_never_falls_silent_does_not_hold_the_runner(
    stand_in: StandIn, env: dict[str, str], chatty: str
) -> None:
    done = await piped(run("sh", "-c", f"({chatty}) & echo $!; echo its last"), env)
    left, *last = (line for line in done.stdout.splitlines() if line != b"more")
    kill_left(int(left))
    assert (done.returncode, last) == (0, [b"its last"])
    assert stand_in.events[-1]["event_type"] == "task_succeeded"


@pytest.mark.parametrize("chatty", CHATTY)
async def test_a_child_that_never_falls_silent_does_not_hold_the_terminal(
    env: dict[str, str], chatty: str
) -> None:
    script = f"({chatty}) & echo left $!; echo its last"
    async with terminal(run("sh", "-c", script), env) as person:
        left = int((await person.sees(rb"left (\d+)\r\n"))[1])
        await person.sees(b"its last\r\n")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(person.ended)  # reads on, until the child closes the terminal
            try:
                with trio.fail_after(PATIENCE):
                    assert await person.process.wait() == 0
            finally:
                kill_left(left)
        assert person.manners() == person.first_manners


def filled(write: int) -> bytes:
    """What was written to a pipe until it was full."""
    os.set_blocking(write, False)
    block = b"its own\n" * (BLOCK_SIZE // 8)
    size = 0
    with suppress(BlockingIOError):
        while size < len(block):
            size += os.write(write, block[size:])
    os.set_blocking(write, True)
    return block[:size]


def write_until_closed(write: int) -> None:
    with suppress(BrokenPipeError):
        while True:
            os.write(write, b"more\n")


def test_what_the_command_left_in_its_pipe_is_copied_before_a_bound_holds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However slowly it is read: here no time is left once it is copied."""
    monkeypatch.setattr(copying, "REST_SECONDS", 0.0)
    (source, write), (read, target) = os.pipe(), os.pipe()
    own = filled(write)
    end = SelectableEvent()
    end.set()
    shown = bytearray()

    def read_all() -> None:
        while block := os.read(read, BLOCK_SIZE):
            shown.extend(block)

    chatty = threading.Thread(target=write_until_closed, args=(write,))
    reader = threading.Thread(target=read_all)
    chatty.start()
    reader.start()
    try:
        output = Output(source, target, "stdout")
        copy_output(output, end, lambda *_: None, lambda *_: None, threading.Lock())
    finally:
        os.close(source)
        os.close(target)
        for thread in (chatty, reader):
            thread.join(PATIENCE)
        for descriptor in (write, read, *end.descriptors):
            os.close(descriptor)
    assert shown.startswith(own)
