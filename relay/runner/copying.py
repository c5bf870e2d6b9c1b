"""Copies the command's output and the keyboard's input, each in a thread of its own."""

import os
import select
import signal
from collections.abc import Callable
from contextlib import suppress

from relay.runner.selectable_event import SelectableEvent
from relay.runner.streams import BLOCK_SIZE, STDIN, Output
from relay.runner.terminal import Terminal

LINGER_SECONDS = 0.2  # of silence after the command's end, if other processes hold its output
CR_SECONDS = 0.02  # for the LF of a CR LF of which one read got only the CR
LOOK_INTERVAL = 0.5  # seconds between two checks whether a background job is in the foreground
KEYS_SIZE = 4_096  # bytes read at once from the keyboard

OnOutput = Callable[[str, bytes], None]  # called with "stdout" or "stderr", and a block


def copy_output(output: Output, end: SelectableEvent, on_output: OnOutput) -> None:
    """Copy each block at once, then hand it to `on_output`.

    Returns when nothing writes to the source any longer, when nothing reads from the target, or
    after LINGER_SECONDS of silence once the command has ended.
    """
    held = b""  # a CR whose LF may come in the next block
    try:
        while True:
            if held and not select.select([output.source], [], [], CR_SECONDS)[0]:
                _write(output.target, held)
                held = b""
            block = _read_block(output.source, end)
            if not block:
                break
            shown, held = _undo_processing(output, held + block)
            _write(output.target, shown)
            if output.target != STDIN:  # a terminal that is stdin only shows the echo of keys
                on_output(output.name, block)
    except OSError:
        pass  # the other side is closed
    with suppress(OSError):
        _write(output.target, held)


def _undo_processing(output: Output, block: bytes) -> tuple[bytes, bytes]:
    """The block as the target must get it, and the CR at its end that must wait.

    Where the command's terminal and the runner's both write CR LF for LF, the target gets an LF.
    """
    if output.terminal is None or not output.terminal.follow_output_processing():
        return block, b""
    held = b"\r" if block.endswith(b"\r") else b""
    return block.removesuffix(b"\r").replace(b"\r\n", b"\n"), held


def copy_keys(terminal: Terminal, end: SelectableEvent, make_raw: Callable[[], None]) -> None:
    """Copy what is typed on stdin to the terminal, until the command has ended.

    Keys are read while stdin is raw only, that is in the foreground. In the background `make_raw`
    is called every LOOK_INTERVAL: no event shows that the shell has moved a job to the foreground.
    """
    # A read in the background is an error then, and does not stop the runner.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTIN})
    with suppress(OSError):
        while not end.is_set():
            if not terminal.wait_until_raw(LOOK_INTERVAL):
                make_raw()
                continue
            select.select([STDIN, end.readable, terminal.cooked.readable], [], [])
            if terminal.cooked.is_set():
                continue
            if end.is_set():
                return
            try:
                keys = os.read(STDIN, KEYS_SIZE)
            except OSError:  # stopped and continued since `select`: in the background now
                make_raw()
                select.select([end.readable], [], [], LOOK_INTERVAL)
                continue
            if not keys:
                return
            _write(terminal.runner_side, keys)


def _write(target: int, block: bytes) -> None:
    """Write all of it, however slowly it is read."""
    left = memoryview(block)
    while left:
        try:
            left = left[os.write(target, left) :]
        except BlockingIOError:  # another process made our output non-blocking
            select.select([], [target], [])


def _read_block(source: int, end: SelectableEvent) -> bytes:
    while not end.is_set():
        if source in select.select([source, end.readable], [], [])[0]:
            return os.read(source, BLOCK_SIZE)
    if select.select([source], [], [], LINGER_SECONDS)[0]:
        return os.read(source, BLOCK_SIZE)
    return b""
