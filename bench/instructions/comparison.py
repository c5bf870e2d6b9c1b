"""Compare counted instructions with the recorded ones. Pure.

An operation may take `TOLERANCE` more than what is recorded: that much a new version of a library
may add. Past that the run fails. A deliberate change is recorded anew, and a record that is past
the least one by more than `TOLERANCE` needs a line in CHANGELOG.md, under `**Slower.**`.
"""

import re
from collections.abc import Mapping
from typing import Self

import msgspec

TOLERANCE = 0.10

_SLOWER = re.compile(r"^\*\*Slower\.\*\*.*?(?=^\*\*|^#|\Z)", re.MULTILINE | re.DOTALL)


class Recorded(msgspec.Struct, frozen=True):
    """Instructions of one operation: in the last record, and in the least of all records."""

    instructions: int
    least: int

    @classmethod
    def after(cls, before: Self | None, instructions: int) -> Self:
        """The next record."""
        return cls(
            instructions, instructions if before is None else min(before.least, instructions)
        )


class Part(msgspec.Struct, frozen=True):
    """What one part of a post takes. The time is of the machine that recorded it."""

    instructions: int
    microseconds: float


class Record(msgspec.Struct, frozen=True):
    """All operations, and where they were counted: other builds of Python count otherwise."""

    python: str  # version and machine, as `3.11.7 x86_64`
    operations: dict[str, Recorded]
    parts: dict[str, Part]

    def renewed(self, python: str, counted: Mapping[str, int], parts: dict[str, Part]) -> "Record":
        """The next record. Of another Python, it starts anew: its counts are no slow-down."""
        before = self.operations if python == self.python else {}
        operations = {
            name: Recorded.after(before.get(name), count) for name, count in counted.items()
        }
        return Record(python, operations, parts)


def slowed(counted: Mapping[str, int], record: Record) -> list[str]:
    """What is wrong with these counts, a line each."""
    complaints = []
    for name, instructions in counted.items():
        recorded = record.operations.get(name)
        if recorded is None:
            complaints.append(f"`{name}` is not recorded yet")
        elif instructions > recorded.instructions * (1 + TOLERANCE):
            more = instructions / recorded.instructions - 1
            complaints.append(f"`{name}` takes {more:.0%} more instructions than recorded")
    return complaints


def unexplained(record: Record, changelog: str) -> list[str]:
    """The lines that CHANGELOG.md needs under `**Slower.**` for this record, and lacks."""
    explained = " ".join(_SLOWER.findall(changelog))
    needed = [
        changelog_line(name, recorded)
        for name, recorded in record.operations.items()
        if recorded.instructions > recorded.least * (1 + TOLERANCE)
    ]
    return [line for line in needed if line not in explained]


def changelog_line(name: str, recorded: Recorded) -> str:
    """What the changelog has to say of a slower operation. The reason may follow."""
    now, before = thousands(recorded.instructions), thousands(recorded.least)
    return f"`{name}` takes {now} instructions instead of {before}"


def table(counted: Mapping[str, int], record: Record) -> str:
    """The counts beside the recorded ones."""
    lines = [f"{'instructions of one':28}{'now':>12}{'recorded':>12}{'ratio':>8}"]
    for name, instructions in counted.items():
        recorded = record.operations.get(name)
        if recorded is None:
            lines.append(f"{name:28}{thousands(instructions):>12}")
        else:
            ratio = instructions / recorded.instructions
            beside = f"{thousands(recorded.instructions):>12}{ratio:8.3f}"
            lines.append(f"{name:28}{thousands(instructions):>12}{beside}")
    return "\n".join(lines)


def thousands(number: int) -> str:
    """The number to the nearest hundred, with spaces between thousands."""
    return f"{round(number, -2):,}".replace(",", " ")
