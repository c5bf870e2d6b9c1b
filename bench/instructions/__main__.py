"""Count the instructions that one post, one delivery and one connection take.

    python -m bench.instructions [--record]

Instructions do not depend on how busy the machine is: two runs differ by about 1 %. The real
server, application and journal run on real sockets under Valgrind; a stand-in answers in place of
Postgres and its driver, and the kernel's instructions are not counted. So the figures show what a
change of Relay's own code costs or saves, and not how fast Relay is.

A figure is that of twice as many operations less that of the single number, for each operation.
The run fails if an operation takes over 10 % more than recorded. `--record` replaces the record and
the tables of docs/explanation/instructions.md.
"""

import argparse
import platform
import sys
from pathlib import Path

from bench.instructions.callgrind import NotCounted
from bench.instructions.comparison import Part, slowed, table, unexplained
from bench.instructions.counted import count_instructions, time_parts
from bench.instructions.page import read_record, write_record

CHANGELOG = Path(__file__).parents[2] / "CHANGELOG.md"
HERE = f"{platform.python_version()} {platform.machine()}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--record", action="store_true")
    options = parser.parse_args()
    record, complaints = read_record(), list[str]()
    try:
        counted = count_instructions(parts=False)
        print(table(counted, record))
        if options.record:
            record = record.renewed(HERE, counted, recorded_parts())
            write_record(record)
        elif record.python == HERE:
            complaints = slowed(counted, record)
        else:
            print(f"Recorded with Python {record.python}, counted with {HERE}: not compared.")
    except NotCounted as failure:
        sys.exit(str(failure))
    lacking = unexplained(record, CHANGELOG.read_text())
    complaints += [f"CHANGELOG.md lacks under **Slower.**: {line}" for line in lacking]
    sys.exit("\n".join(complaints) or 0)


def recorded_parts() -> dict[str, Part]:
    """Each part of a post, counted and timed. Raises NotCounted."""
    times = time_parts()
    counted = count_instructions(parts=True)
    return {name: Part(count, times[name]) for name, count in counted.items()}


if __name__ == "__main__":
    main()
