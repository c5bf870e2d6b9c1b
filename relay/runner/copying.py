"""Copies the command's output and the keyboard's input, each in a thread of its own."""

import errno
import math
import os
import select
import stat
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from relay.runner.output_terminal import OutputTerminal
from relay.runner.selectable_event import SelectableEvent
from relay.runner.streams import BLOCK_SIZE, Output
from relay.runner.terminal import Terminal

LINGER_SECONDS = 0.2  # of silence after the command's end, if other processes hold its output
REST_SECONDS = 2.0  # the longest for these to fall silent, once the command's own output is copied
CR_SECONDS = 0.02  # for the LF of a CR LF of which one read got only the CR
LOOK_INTERVAL = 0.5  # seconds between two checks whether a background job is in the foreground
KEYS_SIZE = 4_096  # bytes read at once from the keyboard

_FULL = (errno.ENOSPC, errno.EDQUOT)  # of a disk, or of a user's share of it

OnOutput = Callable[[str, bytes], None]  # called with "stdout" or "stderr", and a block
OnRefusal = Callable[[str, str], None]  # called with "stdout" or "stderr", and the system's reason


def copy_output(
    output: Output,
    end: SelectableEvent,
    on_output: OnOutput,
    on_refusal: OnRefusal,
    busy: threading.Lock,
) -> None:
    """Copy each block at once, then hand it to `on_output`. `busy` is held while one is copied.

    Returns when nothing writes to the source any longer, when nothing reads from the target, or
    after LINGER_SECONDS of silence once the command has ended, REST_SECONDS at most. What a full
    disk refuses is left out of the target, and `on_refusal` is called.
    """
    held = b""  # a CR whose LF may come in the next block
    poll = _poll_of(output, end)
    rest = _Rest(output.source)
    copied = 0  # bytes
    try:
        while True:
            if held and not select.select([output.source], [], [], CR_SECONDS)[0]:
                _write_if_room(output, held, on_refusal)
                held = b""
            if not _wait_for_block(output, end, poll, rest, copied):
                break
            with busy:
                block = os.read(output.source, BLOCK_SIZE)
                if not block:
                    break
                shown, held = _undo_processing(output, held + block)
                _write_if_room(output, shown, on_refusal)
            copied += len(block)
            on_output(output.name, block)
    except OSError:
        pass  # the other side is closed
    with suppress(OSError):
        _write(output.target, held)
    if output.terminal is not None:
        output.terminal.follow()  # what the command set after it had written its last


def wait_for_copy(output: Output, busy: threading.Lock) -> None:
    """Wait until all that was written before has been copied; LINGER_SECONDS at most."""
    deadline = time.monotonic() + LINGER_SECONDS
    with suppress(OSError):  # the copy has ended
        while select.select([output.source], [], [], 0)[0] and time.monotonic() < deadline:
            time.sleep(LINGER_SECONDS / 100)
    if busy.acquire(timeout=max(0.0, deadline - time.monotonic())):
        busy.release()


def _undo_processing(output: Output, block: bytes) -> tuple[bytes, bytes]:
    """The block as the target must get it, and the CR at its end that must wait.

    Where the command's terminal and the runner's both write CR LF for LF, the target gets an LF.
    """
    if output.terminal is None or not output.terminal.follow():
        return block, b""
    held = b"\r" if block.endswith(b"\r") else b""
    return block.removesuffix(b"\r").replace(b"\r\n", b"\n"), held


def copy_keys(
    terminal: Terminal | OutputTerminal, end: SelectableEvent, make_raw: Callable[[], None]
) -> None:
    """Copy what is typed on the terminal's keyboard to it, until the command has ended.

    Keys are read while the keyboard is raw only, that is in the foreground. In the background
    `make_raw` is called every LOOK_INTERVAL: no event shows that the shell has moved a job to the
    foreground.
    """
    with suppress(OSError):
        while not end.is_set():
            if not terminal.wait_until_raw(LOOK_INTERVAL):
                make_raw()
                continue
            select.select([terminal.keyboard, end.readable, terminal.cooked.readable], [], [])
            if terminal.cooked.is_set():
                continue
            if end.is_set():
                return
            try:
                keys = os.read(terminal.keyboard, KEYS_SIZE)
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


def _write_if_room(output: Output, block: bytes, on_refusal: OnRefusal) -> None:
    """Write a block to the target, or as much as its disk takes.

    The command goes on: closing its pipe would end it, and a pipe has no error for a full disk.
    """
    try:
        _write(output.target, block)
    except OSError as error:
        if error.errno not in _FULL:
            raise
        on_refusal(output.name, os.strerror(error.errno))


def _poll_of(output: Output, end: SelectableEvent) -> select.poll:
    """Waits for output, for the command's end, and for the end of a pipe's reader.

    The command sees that end in its own pipe then, as it would in the runner's, without another
    write.
    """
    poll = select.poll()
    for fd in (output.source, end.readable):
        poll.register(fd, select.POLLIN)
    mode = os.fstat(output.target).st_mode
    if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
        poll.register(output.target, 0)
    return poll


def _wait_for_block(
    output: Output, end: SelectableEvent, poll: select.poll, rest: "_Rest", copied: int
) -> bool:
    """Wait for the next block; False where nothing more comes, or nothing reads it."""
    while not end.is_set():
        ready = dict(poll.poll())
        if ready.get(output.target, 0) & (select.POLLERR | select.POLLHUP):
            return False
        if output.source in ready:
            return True
    return rest.wait(copied)


class _Rest:
    """What comes after the command's end: its own output first, then that of other processes."""

    def __init__(self, source: int) -> None:
        self._source = source
        self._own = math.inf  # bytes copied when all of the command's own are
        self._deadline = math.inf  # monotonic seconds; once they are

    def wait(self, copied: int) -> bool:
        """Wait for a block; False after LINGER_SECONDS without one, and at the deadline.

        The source holds at most BLOCK_SIZE bytes of the command. They are waited for, however
        slowly the target is read.
        """
        self._own = min(self._own, copied + BLOCK_SIZE)
        if self._deadline == math.inf and (copied >= self._own or not self._has_block(0)):
            self._deadline = time.monotonic() + REST_SECONDS
        return time.monotonic() < self._deadline and self._has_block(LINGER_SECONDS)

    def _has_block(self, seconds: float) -> bool:
        return bool(select.select([self._source], [], [], seconds)[0])
