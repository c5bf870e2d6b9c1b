"""Run `relay serve` and record what holds its event loop: `python -m bench.loop_timing serve`.

Long steps and turns are written, one per line, to the file that `RELAY_BENCH_WATCH` names: `step`
is one step of one task, `turn` is the time between two polls of the sockets. Both are CPU times of
the thread, so other programs on a busy machine do not affect them.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import thread_time
from typing import Any

import trio

TIMING_FILE = "RELAY_BENCH_WATCH"
MIN_LOGGED_SECONDS = 0.01


class LoopTimer(trio.abc.Instrument):
    """A trio instrument that times the steps and turns of the loop."""

    def __init__(self, path: Path) -> None:
        self._lines = path.open("a", buffering=1)
        self._step = self._turn = thread_time()

    def after_io_wait(self, timeout: float) -> None:
        self._turn = thread_time()

    def before_io_wait(self, timeout: float) -> None:
        self._note("turn", self._turn, "")

    def before_task_step(self, task: Any) -> None:
        self._step = thread_time()

    def after_task_step(self, task: Any) -> None:
        self._note("step", self._step, task.name)

    def _note(self, what: str, since: float, name: str) -> None:
        spent = thread_time() - since
        if spent >= MIN_LOGGED_SECONDS:
            print(what, f"{spent:.4f}", name, file=self._lines)


@dataclass
class Longest:
    """CPU seconds of the longest step of a task and of the longest turn of the loop."""

    step: float = 0.0
    turn: float = 0.0
    steps: tuple[str, ...] = ()


@contextmanager
def longest_times(path: Path) -> Iterator[Longest]:
    """The longest step and turn during the block; valid after the block."""
    path.touch()
    start = path.stat().st_size
    longest = Longest()
    yield longest
    with path.open() as lines:
        lines.seek(start)
        noted = [line.split(" ", 2) for line in lines]
    for kind in ("step", "turn"):
        setattr(longest, kind, max((float(s) for what, s, _ in noted if what == kind), default=0.0))
    longest.steps = tuple(f"{s} {name.strip()}" for what, s, name in noted if what == "step")


def main() -> None:
    from relay.cli.main import main as relay

    timer = LoopTimer(Path(os.environ[TIMING_FILE]))
    vars(trio)["run"] = partial(trio.run, instruments=[timer])
    relay()


if __name__ == "__main__":
    main()
