"""Processes of the machine: found, signalled, watched."""

import signal
from contextlib import suppress
from pathlib import Path

import psutil


def postgres_in(data: Path) -> list[psutil.Process]:
    """The Postgres processes at work in a data folder: it is their working directory."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.name().startswith("postgres") and process.cwd() == str(data / "postgres"):
                found.append(process)
        except psutil.Error:
            continue  # it ended just now
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
