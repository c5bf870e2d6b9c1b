"""Ends Postgres processes of an earlier run that still use the cluster.

They are found by program and working directory, never by the process id in `postmaster.pid` alone:
that file survives a crash, and another process may have the id by now.
"""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import trio

from .errors import EmbeddedError

# The signals that end Postgres, in order: fast shutdown, immediate shutdown, kill. None of them
# loses a commit; after the last two the next start replays the WAL.
STOP_SIGNALS = (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL)
KILL_TIMEOUT_SECONDS = 60.0  # at least, after SIGKILL: a process that does not end yet is only slow


def find_processes(cluster: Path) -> set[int]:
    """Find every live Postgres process that uses this data directory."""
    if sys.platform != "linux":
        return _find_by_command(cluster)
    try:
        home = cluster.stat()
    except FileNotFoundError:
        return set()
    return {int(name) for name in os.listdir("/proc") if name.isdigit() and _works_in(name, home)}


def _works_in(pid: str, home: os.stat_result) -> bool:
    """Whether this process is a Postgres with this directory as its working directory.

    All Postgres processes, backends included, have the data directory as working directory.
    """
    try:
        return os.path.samestat(os.stat(f"/proc/{pid}/cwd"), home) and os.path.basename(
            os.readlink(f"/proc/{pid}/exe")
        ).startswith("postgres")  # followed by " (deleted)" if the file was replaced meanwhile
    except OSError:  # the process has just ended, is a zombie, or belongs to another user
        return False


def _find_by_command(cluster: Path) -> set[int]:
    """Find the postmaster without /proc, by the command line that `programs` gave it.

    Its children change theirs and are not found; Postgres then refuses to start beside them.
    """
    listing = subprocess.run(
        ["ps", "-A", "-ww", "-o", "pid=,command="], capture_output=True, check=True
    )
    found = set()
    for line in listing.stdout.decode(errors="replace").splitlines():
        pid, _, command = line.strip().partition(" ")
        program, _, arguments = command.partition(" -D ")
        if program.endswith("/postgres") and f"{arguments} ".startswith(f"{cluster} "):
            found.add(int(pid))
    return found


async def end_leftovers(cluster: Path, timeout: float) -> None:
    """End all Postgres processes that use the cluster, then remove its pid file.

    After each signal, wait `timeout` seconds; after SIGKILL at least `KILL_TIMEOUT_SECONDS`. Raises
    EmbeddedError if a process still runs after that.
    """
    for number in STOP_SIGNALS:
        living = find_processes(cluster)
        postmaster = living & _pid_file_process(cluster)
        # A live postmaster ends its children in the right order. Orphaned children get no SIGINT:
        # it makes one of them, the checkpointer, start a checkpoint.
        if number is signal.SIGKILL or (number is signal.SIGQUIT and not postmaster):
            targets = living
        else:
            targets = postmaster
        for pid in targets:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)
        if number is signal.SIGKILL:
            timeout = max(timeout, KILL_TIMEOUT_SECONDS)
        with trio.move_on_after(timeout if targets else 0):
            while find_processes(cluster):  # noqa: ASYNC110 - not child processes, so they are polled
                await trio.sleep(0.05)
            break
    if survivors := find_processes(cluster):
        raise EmbeddedError(
            f"a Postgres still uses {cluster} and cannot be ended "
            f"(process {', '.join(map(str, sorted(survivors)))})"
        )
    # Postgres would refuse to start if any live process has the id in this file.
    (cluster / "postmaster.pid").unlink(missing_ok=True)


def _pid_file_process(cluster: Path) -> set[int]:
    """The process id in the cluster's pid file, if any; single-user mode writes it negated."""
    try:
        first, *_ = (cluster / "postmaster.pid").read_text(errors="replace").splitlines()
        return {abs(int(first))}
    except (FileNotFoundError, ValueError):
        return set()
