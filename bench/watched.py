"""`relay serve` with an eye on its loop: `python -m bench.watched serve`.

Whatever takes long is written, a line each, to the file that `RELAY_BENCH_WATCH` names: `step`
for one step of one task, `turn` for everything between two looks at the sockets. Both count the
thread's own processor time, so that neighbours on a busy machine do not.
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

WATCH = "RELAY_BENCH_WATCH"
WORTH_A_LINE = 0.01  # seconds


class Watch(trio.abc.Instrument):
    """Times the loop from inside."""

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
        if spent >= WORTH_A_LINE:
            print(what, f"{spent:.4f}", name, file=self._lines)


@dataclass
class Longest:
    """Seconds of processor time: one task's longest step, and the loop's longest turn."""

    step: float = 0.0
    turn: float = 0.0
    steps: tuple[str, ...] = ()


@contextmanager
def watching(path: Path) -> Iterator[Longest]:
    """What took longest while the block ran; read it after the block."""
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

    watch = Watch(Path(os.environ[WATCH]))
    trio.run = partial(trio.run, instruments=[watch])
    relay()


if __name__ == "__main__":
    main()
