"""Postgres processes of an earlier run that still hold the cluster.

They are known by what they are, never by a number in a file: a `postmaster.pid` survives a crash,
and the number in it may be anybody's by now.
"""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import trio

from .errors import EmbeddedError

# How Postgres is ended, each signal with its patience before the next: fast shutdown, immediate
# shutdown, force. None of them loses a commit; after the last two the next start replays the log.
STOP = (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL)
FORCED = 60.0  # seconds at least that force is given: who cannot refuse may only be slow


def holders(cluster: Path) -> set[int]:
    """Every live Postgres process at work in this data directory."""
    if sys.platform != "linux":
        return _listed(cluster)
    try:
        home = cluster.stat()
    except FileNotFoundError:
        return set()
    return {int(name) for name in os.listdir("/proc") if name.isdigit() and _at_work(name, home)}


def _at_work(pid: str, home: os.stat_result) -> bool:
    """Whether this process is a Postgres with this directory as its working directory.

    Postgres enters its data directory at start and stays there, backends included.
    """
    try:
        return os.path.samestat(os.stat(f"/proc/{pid}/cwd"), home) and os.path.basename(
            os.readlink(f"/proc/{pid}/exe")
        ).startswith("postgres")  # followed by " (deleted)" when it was upgraded meanwhile
    except OSError:  # it ended just now, is a zombie, or is somebody else's
        return False


def _listed(cluster: Path) -> set[int]:
    """The same without /proc: the postmaster, by the command that `programs` gave it.

    Its children rename themselves and are missed; Postgres then refuses to start beside them.
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


async def end_leftovers(cluster: Path, patience: float) -> None:
    """End whatever Postgres still holds the cluster, then remove its pid file.

    Each signal is given `patience` seconds, force at least FORCED. Raises EmbeddedError if
    somebody outlives the last.
    """
    for number in STOP:
        living = holders(cluster)
        postmaster = living & _named(cluster)
        # A live postmaster ends its children in the right order; children without one only
        # have to leave, and must not be sent SIGINT, which means "checkpoint" to one of them.
        if number is signal.SIGKILL or (number is signal.SIGQUIT and not postmaster):
            targets = living
        else:
            targets = postmaster
        for pid in targets:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)
        if number is signal.SIGKILL:
            patience = max(patience, FORCED)
        with trio.move_on_after(patience if targets else 0):
            while holders(cluster):  # noqa: ASYNC110 - no child of ours, so nobody tells us
                await trio.sleep(0.05)
            break
    if survivors := holders(cluster):
        raise EmbeddedError(
            f"a Postgres still holds {cluster} and cannot be ended "
            f"(process {', '.join(map(str, sorted(survivors)))})"
        )
    # Postgres itself would take any live process of this number for a running server.
    (cluster / "postmaster.pid").unlink(missing_ok=True)


def _named(cluster: Path) -> set[int]:
    """The process id in the cluster's pid file, if there is one; negative for a lone backend."""
    try:
        first, *_ = (cluster / "postmaster.pid").read_text(errors="replace").splitlines()
        return {abs(int(first))}
    except (FileNotFoundError, ValueError):
        return set()
