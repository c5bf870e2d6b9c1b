"""The program that is counted: each operation a number of times, and twice as often.

    python -m bench.instructions.counted [--parts]

Started by itself it prints the microseconds of processor time that each takes, as JSON.
"""

import gc
import json
import subprocess
import sys
from collections.abc import Mapping
from statistics import median

import trio
from trio._core import _run

from bench.instructions.callgrind import Sections, count_sections
from bench.instructions.clients import StillClock
from bench.instructions.operations import OPERATIONS, Operation
from bench.instructions.parts import PARTS
from bench.instructions.stage import Stage, stage

WARM_UP_SHARE = 2  # the part of the operations that runs before them, to fill caches
TIMED_RUNS = 9  # of which the median counts

_MODULE = "bench.instructions.counted"


def count_instructions(*, parts: bool) -> dict[str, int]:
    """The instructions of one of each operation, or of one of each part. Raises NotCounted."""
    operations, arguments = (PARTS, ["--parts"]) if parts else (OPERATIONS, [])
    sections = count_sections(_MODULE, arguments)
    return {name: round(one) for name, one in _each(operations, sections).items()}


def time_parts() -> dict[str, float]:
    """The microseconds of processor time of one of each part, with the kernel's."""
    command = [sys.executable, "-m", _MODULE, "--parts"]
    runs = [
        json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
        for _ in range(TIMED_RUNS)
    ]
    return {name: round(median([run[name] for run in runs]), 1) for name in PARTS}


def _each(
    operations: Mapping[str, tuple[Operation, int]], sections: Mapping[str, float]
) -> dict[str, float]:
    """What one operation takes: what twice as many take more, by their number."""
    return {
        name: (sections[_section(2 * number, name)] - sections[_section(number, name)]) / number
        for name, (_, number) in operations.items()
    }


def _section(number: int, name: str) -> str:
    return f"{number} {name}"


async def run(sections: Sections, operations: Mapping[str, tuple[Operation, int]]) -> None:
    async with stage() as relay:
        with sections.instrumented():
            for name, (operation, number) in operations.items():
                await _run_operation(sections, relay, name, operation, number)


async def _run_operation(
    sections: Sections, relay: Stage, name: str, operation: Operation, number: int
) -> None:
    async with operation(relay) as prepare:
        await prepare(number // WARM_UP_SHARE)()
        for times in (number, 2 * number):
            work = prepare(times)
            gc.collect()
            with sections.section(_section(times, name)):
                await work()


def main() -> None:
    operations = PARTS if "--parts" in sys.argv else OPERATIONS
    sections = Sections()
    gc.disable()  # a collection in one of the two sections would not cancel out
    _run._r.seed(0)  # trio runs the tasks of a turn in either order, by this generator
    trio.run(run, sections, operations, clock=StillClock())
    each = _each(operations, sections.seconds)
    print(json.dumps({name: seconds * 1e6 for name, seconds in each.items()}))


if __name__ == "__main__":
    main()
