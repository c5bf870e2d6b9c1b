"""Processes of the machine: found, signalled, watched."""

import os
import signal
from contextlib import suppress
from pathlib import Path

import psutil


def postgres_in(data: Path) -> list[psutil.Process]:
    """The Postgres processes at work in a data folder: it is their working directory.

    Each end of a Relay looks three times at all processes of the machine: one link of each is read.
    """
    folder, found = str(data / "postgres"), []
    for pid in psutil.pids():
        with suppress(OSError, psutil.Error):  # it ended just now, or is another user's
            if os.readlink(f"/proc/{pid}/cwd") == folder:
                process = psutil.Process(pid)
                if process.name().startswith("postgres"):
                    found.append(process)
    return found


def send(processes: list[psutil.Process], number: signal.Signals) -> None:
    """Signal processes; one that ended just now needs none."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def lives(process: psutil.Process) -> bool:
    """Whether it still runs; an orphan that has not been reaped yet does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
