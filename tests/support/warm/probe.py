"""Prints what a program can see of its start, as JSON, and then runs code.

    python -m tests.support.warm.probe COMMAND CODE

It imports the command as `relay.cli.main` does. What one start has and the other has not is a fault
of `process.py`.
"""

import gc
import importlib
import json
import locale
import os
import re
import signal
import stat
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import Any

main = importlib.import_module("relay.cli.main").main


def status() -> dict[str, str]:
    """What the kernel says of this process, but for its ids, its memory and its use."""
    lines = Path("/proc/self/status").read_text().splitlines()
    kept = ("Name", "Umask", "Uid", "Gid", "Groups", "Sig", "Shd", "Cap", "NoNew", "Sec", "Threads")
    found = dict(line.split(":\t", 1) for line in lines if line.startswith(kept))
    del found["SigQ"]  # of all processes of this user
    return found


def descriptors() -> dict[str, list[Any]]:
    """Each open file: its kind, how it was opened, whether a program that is started gets it."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            kind = stat.filemode(os.fstat(int(name)).st_mode)
        except OSError:
            continue  # that of the folder that is listed
        flags = Path(f"/proc/self/fdinfo/{name}").read_text().split("flags:\t")[1].split()[0]
        found[name] = [kind, flags, os.get_inheritable(int(name))]
    return found


def stream(of: Any) -> dict[str, Any]:
    text = ("name", "mode", "encoding", "errors", "line_buffering", "write_through", "newlines")
    shown = {name: getattr(of, name) for name in text}
    layers = {"type": type(of).__name__, "buffer": repr(of.buffer), "raw": repr(of.buffer.raw)}
    return {**shown, **layers, "size": sys.getsizeof(of.buffer), "seekable": of.seekable()}


def holders(of: object) -> list[str]:
    """The names of modules that hold a standard stream."""
    return sorted(
        f"{module}.{name}"
        for module, found in sys.modules.items()
        for name, value in getattr(found, "__dict__", {}).items()
        if value is of and module not in ("__main__", "sys")
    )


def seen() -> dict[str, Any]:
    streams = {"stdin": sys.stdin, "stdout": sys.stdout, "stderr": sys.stderr}
    return {
        "words": [sys.argv, sys.orig_argv, sys.executable, repr(sys.flags)],
        "main": [__name__, __file__, repr(__spec__), __package__, sys.modules["__main__"].__name__],
        "environment": [*os.environ.items()],
        "environment of a program that it starts": os.fsdecode(subprocess.check_output("env")),
        "folder": os.getcwd(),
        "path": sys.path,
        "modules": sorted(sys.modules),
        "modules that are kept out": sorted(k for k, v in sys.modules.items() if v is None),
        "finders": [repr(finder) for finder in sys.meta_path],
        "status": status(),
        "signals": {number: str(signal.getsignal(number)) for number in signal.valid_signals()},
        "timers": [signal.getitimer(kind) for kind in range(3)],
        "limits": Path("/proc/self/limits").read_text(),
        "priority": os.getpriority(os.PRIO_PROCESS, 0),
        "session": [os.getsid(0) == os.getpid(), os.getpgid(0) == os.getpid()],
        "descriptors": descriptors(),
        "streams": {name: stream(of) for name, of in streams.items()},
        "same streams": sys.stdin is sys.__stdin__ and sys.stdout is sys.__stdout__,
        "holders": {name: holders(of) for name, of in streams.items()},
        "locale": [locale.setlocale(locale.LC_ALL), locale.getlocale(), time.tzname],
        "encodings": [sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()],
        "threads": [each.name for each in threading.enumerate()],
        "main thread": threading.get_native_id() == os.getpid(),
        "collector": [gc.isenabled(), gc.get_threshold(), gc.get_freeze_count() > 1_000],
        "warnings": [repr(each) for each in warnings.filters],
        "recursion": sys.getrecursionlimit(),
    }


if __name__ == "__main__":
    main.get_command(main.make_context("relay", [sys.argv[1]]), sys.argv[1])
    print(re.sub(r" at 0x\w+", "", json.dumps(seen())))
    exec(sys.argv[2])
