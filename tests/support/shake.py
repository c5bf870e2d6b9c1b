"""Runs the whole suite again and again, so that a test that fails now and then is found.

python -m tests.support.shake --runs 10      (make shake RUNS=10)

Each run has an order and examples of its own. The first one tries four times as many examples,
which find faults of values rather than of time. Every second run is starved: a busy process for
each core takes half of the machine. The output of each run is kept in .shake/, and the temporary
folders of a run that failed, with the logs of its servers, where its line says. At the end it
prints each test that failed in any run, with the command that runs it in the same order again.

Exit code 0: every run was clean. 1: some test failed. 130, 143: interrupted, terminated.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.examples import MANY, OTHER

ROOT = Path(__file__).parents[2]
KEPT = ROOT / ".shake"
BUSY = "while True: pass"


@dataclass
class Run:
    number: int
    seed: int
    starved: bool
    code: int
    seconds: float
    load: float
    """Processes that wanted a core, on average over the last minute of the run."""
    tried: int
    failed: tuple[str, ...]
    folders: Path
    """The temporary folders of its tests; they are there unless the run was clean."""

    @property
    def clean(self) -> bool:
        return self.code == 0

    def __str__(self) -> str:
        return (
            f"run {self.number:2}  {'starved' if self.starved else 'free   '}"
            f"  seed {self.seed:10}  {self.seconds:5.0f} s  load {self.load:4.1f}"
            f"  {self.tried} tests  "
            + ("clean" if self.clean else f"{len(self.failed)} FAILED, see {self.folders}")
        )


@contextmanager
def busy_processes(count: int) -> Iterator[None]:
    """So many processes that never rest, for the length of the block."""
    busy = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(count)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def pytest_options(number: int, seed: int) -> list[str]:
    """pytest's options for the order and the examples of a run."""
    profile = MANY if number == 1 else OTHER
    seeds = [f"--randomly-seed={seed}", f"--hypothesis-seed={seed}"]
    return ["-p", "randomly", *seeds, f"--hypothesis-profile={profile}"]


def one_run(number: int, seed: int, starved: bool, asked: list[str]) -> Run:
    report = KEPT / f"run-{number:02}.xml"
    report.unlink(missing_ok=True)
    # not pytest's own, of which it keeps the last three, whichever runs these are of
    folders = Path(tempfile.mkdtemp(prefix=f"relay-shake-{number:02}-"))
    command = [sys.executable, "-m", "pytest", *pytest_options(number, seed)]
    command += [f"--junitxml={report}", f"--basetemp={folders / 'pytest'}", *asked]
    began = time.monotonic()
    with (
        (KEPT / f"run-{number:02}.log").open("wb") as log,
        busy_processes((os.cpu_count() or 1) if starved else 0),
    ):
        code = subprocess.run(command, cwd=ROOT, stdout=log, stderr=log, check=False).returncode
    seconds, (load, _, _) = time.monotonic() - began, os.getloadavg()
    tried, failed = read(report) if report.exists() else (0, ("the run itself",))
    run = Run(number, seed, starved, code, seconds, load, tried, failed, folders)
    if run.clean:
        shutil.rmtree(folders, ignore_errors=True)
    return run


def read(report: Path) -> tuple[int, tuple[str, ...]]:
    """How many tests a JUnit report has, and which of them failed, as pytest names them."""
    cases = list(ElementTree.parse(report).iter("testcase"))
    failed = [
        f"{case.get('classname', '').replace('.', '/')}.py::{case.get('name')}"
        for case in cases
        if case.find("failure") is not None or case.find("error") is not None
    ]
    return len(cases), tuple(dict.fromkeys(failed))


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.support.shake",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--runs", type=int, default=10, help="how many (default 10)")
    parser.add_argument("--seed", type=int, help="of the first run; each next one has one more")
    parser.add_argument(
        "asked", nargs="*", metavar="...", help="behind --: what pytest is asked besides"
    )
    wanted = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # with what was started
    first = random.SystemRandom().getrandbits(31) if wanted.seed is None else wanted.seed
    KEPT.mkdir(exist_ok=True)
    runs: list[Run] = []
    for number in range(1, wanted.runs + 1):
        runs.append(one_run(number, first + number - 1, number % 2 == 0, wanted.asked))
        print(runs[-1], *runs[-1].failed, sep="\n    ", flush=True)
    return verdict(runs)


def verdict(runs: list[Run]) -> int:
    failures: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        for test in run.failed:
            failures[test].append(run)
    clean = sum(run.clean for run in runs)
    print(f"\n{clean} of {len(runs)} runs were clean; what each printed is in {KEPT.name}/.")
    for test, of in sorted(failures.items()):
        again = " ".join(pytest_options(of[0].number, of[0].seed))
        print(f"{test}\n    failed in {len(of)} of {len(runs)}: pytest {again}")
    return 0 if clean == len(runs) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
