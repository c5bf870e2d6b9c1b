"""The warm process of a command: it imports what the command imports, and forks for each start.

    python process.py SOCKET MODULE COMMAND CHECKOUT

SOCKET is the descriptor of one end of a socket pair; the process ends when the other one is closed.
CHECKOUT is the folder of its programs, if that is one with a Relay, and empty otherwise.
A `Start` comes with the program's stdin, stdout and stderr, and is answered by its pid. A pid is
answered by the exit code, once that process has ended; until then it stays a zombie, as any child
of which its parent has not asked yet.

The forked process becomes as a cold `python -m MODULE COMMAND …` would be, and leaves through the
same end of the interpreter. Its modules are those that the command imports, and no others.
"""

import gc
import importlib
import io
import marshal
import os
import runpy
import signal
import sys
import time
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import socket

LARGEST = 100_000  # bytes of a message: the kernel takes twice as many at once
ROOM = 64  # bytes beside a message: three descriptors take half of it


class Start(NamedTuple):
    """What differs from one start of a command to another."""

    words: list[str]  # of the whole command line
    environment: dict[bytes, bytes]
    folder: str
    new_session: bool
    process_group: int  # -1: that of the caller


def import_command(module: str, command: str) -> None:
    """Import what each start of this command imports, and let the collector leave it alone."""
    found = runpy.run_module(module)
    # an altered Relay imports the one that it alters
    group = found.get("main") or importlib.import_module("relay.cli.main").main
    group.get_command(group.make_context("relay", [command]), command)
    gc.freeze()


def receive(requests: "socket.socket") -> tuple[Any, list[int]]:
    """The next message and the descriptors that came with it; None after the last one."""
    message, ancillary, _, _ = requests.recvmsg(LARGEST, ROOM)
    descriptors = [number for *_, data in ancillary for number in memoryview(data).cast("i")]
    return (marshal.loads(message) if message else None), descriptors


def serve(requests: "socket.socket") -> tuple[Start, list[int], int] | None:
    """Answer requests. Returns the start in each process that it forks, and None at the end.

    It comes with what `become` is given. A pid is answered once that has been done, as `Popen`
    returns once a program is executed: in its session, its group and its folder.
    """
    while True:
        asked, descriptors = receive(requests)
        if asked is None:
            return None
        if isinstance(asked, int):
            _, status = os.waitpid(asked, 0)
            answer = os.waitstatus_to_exitcode(status)
        else:
            begun, begins = os.pipe()  # closed by what is forked, once it is what it should be
            if (answer := os.fork()) == 0:
                os.close(begun)
                return Start(*asked), descriptors, begins
            os.close(begins)
            os.read(begun, 1)
            os.close(begun)
        for descriptor in descriptors:
            os.close(descriptor)
        requests.send(marshal.dumps(answer))


def become(start: Start, descriptors: list[int], begins: int) -> None:
    """Take over what a start says, in the process that was forked for it; close `begins` then."""
    os.chdir(start.folder)
    if start.new_session:
        os.setsid()
    if start.process_group >= 0:
        os.setpgid(0, start.process_group)
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    open_again(sys.stdin, 0, "r")
    open_again(sys.stdout, 1, "w")
    open_again(sys.stderr, 2, "w")
    os.environb.clear()
    os.environb.update(start.environment)
    time.tzset()
    sys.orig_argv = start.words
    sys.argv = start.words[2:]
    sys.path[0] = os.getcwd()
    os.close(begins)


def open_again(stream: Any, descriptor: int, mode: str) -> None:
    """Make a stream as the interpreter does at its start (`create_stdio` in pylifecycle.c).

    It stays the same object, because modules that were imported may hold it.
    """
    buffer: Any = os.fdopen(descriptor, f"{mode}b", closefd=False)
    buffer.raw.name = stream.name
    by_line = buffer.raw.isatty() or descriptor == 2
    given = {"encoding": stream.encoding, "errors": stream.errors, "newline": "\n"}
    io.TextIOWrapper.__init__(stream, buffer, line_buffering=by_line, **given)
    stream.mode = mode


def main() -> None:
    # first of all, so that a key that ends a run does not end this process before its programs
    unblocked = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    descriptor, module, command, checkout = sys.argv[1:]
    if checkout:  # its modules come before those that are installed
        sys.path[0] = checkout
    import_command(module, command)
    imported = set(sys.modules)
    import socket

    with socket.socket(fileno=int(descriptor)) as requests:
        started = serve(requests)
    if started is None:
        os._exit(0)  # there is nothing to tidy up
    for name in set(sys.modules) - imported:
        del sys.modules[name]
    become(*started)
    signal.pthread_sigmask(signal.SIG_SETMASK, unblocked)
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
