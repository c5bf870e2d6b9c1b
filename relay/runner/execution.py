"""The command's own process, from the fork to its program."""

import errno
import os
import shutil
from collections.abc import Sequence
from typing import NamedTuple, NoReturn

from relay.runner.inherited import Inherited
from relay.runner.terminal import Terminal

NOT_EXECUTED = 127  # the process's own exit code then; the runner reads the errno instead


class Execution(NamedTuple):
    """A command and the environment of its start: files, terminal and inherited state."""

    command: Sequence[str]  # the program and its arguments
    files: tuple[int, int, int]  # become its stdin, stdout and stderr
    terminal: Terminal | None  # its controlling terminal; None: it has the runner's, if any
    inherited: Inherited


def execute(execution: Execution, errors: int) -> NoReturn:
    """Replace this process by the command. If that fails, write the errno to `errors` and exit."""
    try:
        _prepare(execution)
        execute_program(execution.command)
    except OSError as error:
        os.write(errors, b"%d" % (error.errno or errno.ENOENT))
    finally:
        os._exit(NOT_EXECUTED)


def _prepare(execution: Execution) -> None:
    if execution.terminal is not None:
        os.setpgid(0, 0)
        execution.terminal.set_foreground(os.getpid())
    for fd, file in enumerate(execution.files):
        os.dup2(file, fd)
        os.set_inheritable(fd, True)
    execution.inherited.give_back()


def execute_program(command: Sequence[str]) -> NoReturn:
    """Replace this process by a program and its arguments. Raises OSError."""
    try:
        os.execvp(command[0], list(command))
    except PermissionError:
        # A PATH folder without search permission causes this for every name. Shells skip it.
        if _is_name(command[0]) and not _is_on_path(command[0]):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)) from None
        raise
    except OSError as error:
        # a script without an interpreter line: shells run it with /bin/sh
        path = shutil.which(command[0])
        if error.errno != errno.ENOEXEC or path is None:
            raise
        os.execv("/bin/sh", ["sh", path, *command[1:]])


def _is_name(program: str) -> bool:
    """Whether PATH is searched for it."""
    return os.sep not in program


def _is_on_path(name: str) -> bool:
    """Whether a folder of PATH contains a file of this name, executable or not."""
    return any(os.path.isfile(os.path.join(folder, name)) for folder in os.get_exec_path())
