"""Prints, as one line of JSON, the state that a program inherits from the one that started it."""

import json
import os
import resource
import signal
import sys
from pathlib import Path

SIGNALS = ("SigBlk", "SigIgn")
# What a supervisor of signals must not change, apart from what Python itself changes at its start.
OF_PYTHON = (1 << 12) | (1 << 24)  # SIGPIPE and SIGXFSZ

status = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines())
environment = Path("/proc/self/environ").read_bytes().split(b"\0")
try:
    folder = os.getcwd()
except FileNotFoundError:
    folder = "deleted"


def opened(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return fd > 2


def timer(kind: int) -> tuple[float, float]:
    """What is left, to the nearest thousand seconds, and the interval."""
    left, interval = signal.getitimer(kind)
    return round(left, -3), interval


umask = os.umask(0)
state = {
    **{name: int(status[name], 16) & ~OF_PYTHON for name in SIGNALS},
    "limits": {
        name: resource.getrlimit(getattr(resource, name))
        for name in ("RLIMIT_NOFILE", "RLIMIT_CORE", "RLIMIT_NPROC", "RLIMIT_STACK")
    },
    "umask": umask,
    "files": [fd for fd in range(200) if opened(fd)],
    "folder": folder,
    "environment": sorted(entry.decode("utf-8", "replace") for entry in environment if entry),
    "nice": os.nice(0),
    "stdin": os.fstat(0).st_mode if len(sys.argv) < 2 else None,
    "timers": list(map(timer, (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF))),
}
print(json.dumps(state), flush=True)
sys.exit(3)
