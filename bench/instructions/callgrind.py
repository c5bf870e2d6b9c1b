"""Run a program under Valgrind's Callgrind, and read how many instructions its sections took."""

import ctypes
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

COUNTERS = "RELAY_BENCH_COUNTERS"  # the path of the compiled `counters.c`, for the counted program
TIMEOUT_SECONDS = 900.0  # for a machine that is busy with something else

_SOURCE = Path(__file__).with_name("counters.c")
_SECTION = re.compile(r"^desc: Trigger: Client Request: (.+)$", re.MULTILINE)
_TOTAL = re.compile(r"^totals: (\d+)$", re.MULTILINE)


class NotCounted(Exception):
    """The program could not be run under Callgrind, or it failed there."""


class Sections:
    """The sections of a program. Under Callgrind their instructions are counted; else, their time.

    `seconds` has each section's processor time, of all threads.
    """

    def __init__(self) -> None:
        self._counters = ctypes.CDLL(os.environ[COUNTERS]) if COUNTERS in os.environ else None
        self.seconds: dict[str, float] = {}

    @contextmanager
    def instrumented(self) -> Iterator[None]:
        """A block with sections. Callgrind slows only this block down by a factor of fifty."""
        if self._counters is not None:
            self._counters.start_instrumenting()
        yield
        if self._counters is not None:
            self._counters.stop_instrumenting()

    @contextmanager
    def section(self, name: str) -> Iterator[None]:
        """A block whose instructions are counted, of all threads."""
        began = time.process_time()
        if self._counters is not None:
            self._counters.begin_section()
        yield
        if self._counters is not None:
            self._counters.end_section(name.encode())
        self.seconds[name] = time.process_time() - began


def count_sections(module: str, arguments: Sequence[str]) -> dict[str, int]:
    """The instructions of each section of `python -m module`. Raises NotCounted."""
    with tempfile.TemporaryDirectory() as folder:
        counters = Path(folder) / "counters.so"
        _run(["cc", "-shared", "-fPIC", "-O1", "-o", str(counters), str(_SOURCE)])
        _run(
            [
                *("valgrind", "--quiet", "--tool=callgrind", "--instr-atstart=no"),
                f"--callgrind-out-file={folder}/counted",
                *(sys.executable, "-m", module, *arguments),
            ],
            # the same layout of dictionaries and sets in each run
            {**os.environ, COUNTERS: str(counters), "PYTHONHASHSEED": "0"},
        )
        return dict(map(_read_section, Path(folder).glob("counted.*")))


def _run(command: Sequence[str], environ: dict[str, str] | None = None) -> None:
    try:
        done = subprocess.run(
            command, env=environ, capture_output=True, text=True, timeout=TIMEOUT_SECONDS
        )
    except FileNotFoundError:
        raise NotCounted(f"{command[0]} is not installed") from None
    except subprocess.TimeoutExpired:
        raise NotCounted(f"{command[0]} took longer than {TIMEOUT_SECONDS:.0f} s") from None
    if done.returncode:
        raise NotCounted(f"{command[0]} failed: {done.stderr[-4_000:]}")


def _read_section(path: Path) -> tuple[str, int]:
    text = path.read_text()
    name, total = _SECTION.search(text), _TOTAL.search(text)
    if name is None or total is None:
        raise NotCounted(f"Callgrind's file {path.name} is no section")
    return name[1], int(total[1])
