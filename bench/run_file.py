"""The file of a run, as JSON lines: written as it goes on, and read again to continue it.

Each turn ends with a record of its own. What is behind the last of these belongs to a turn that was
interrupted: a run that goes on measures it anew.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, Self

from bench.results import Record
from bench.schedule import Turn

SAME = ("commit", "config", "cores", "processor", "peers")
"""What the parts of a run have in common. Figures of several machines are no rounds of one."""

_AGAIN = ("left_out", "minutes", "absent")  # what each part of a run says anew


class NotTheSameRun(Exception):
    """The file is of another commit, machine or command line, so it cannot be continued."""


class RunFile:
    """The records of one run. `seconds` were spent on the turns in it.

    `interrupted`: it is to end, and the turn that was under way is not to be ended.
    """

    def __init__(self, file: IO[str], records: Sequence[Record]) -> None:
        self._file = file
        self.interrupted = False
        self._done = {tuple(each["turn"]) for each in records if "turn" in each}
        self.seconds = sum(each["seconds"] for each in records if "turn" in each)
        self.has_headroom = any("headroom" in each for each in records)

    @classmethod
    def begin(cls, path: Path, first: Record) -> Self:
        """Begin a run. `first` describes it."""
        run = cls(path.open("w"), [])
        run.write(**first)
        return run

    @classmethod
    def go_on(cls, path: Path, first: Record) -> Self:
        """Continue a run that ended early. Raises NotTheSameRun, OSError."""
        records = whole_turns(_lines(path.read_text()))
        for name in SAME:
            if not records or json.loads(json.dumps(first[name])) != records[0].get(name):
                raise NotTheSameRun(f"{path} is of a run with another {name}: begin a new one")
        rest = path.with_suffix(".rest")
        rest.write_text("".join(f"{json.dumps(record)}\n" for record in records))
        rest.replace(path)
        run = cls(path.open("a"), records)
        run.write(continued=first["at"])
        return run

    def write(self, **record: Any) -> None:
        """Write one record."""
        print(json.dumps(record), file=self._file, flush=True)

    def is_done(self, turn: Turn) -> bool:
        """Whether the turn was measured."""
        return turn.key in self._done

    def end(self, turn: Turn, seconds: float) -> None:
        """Write that the turn was measured, and took so long."""
        self.seconds += seconds
        self.write(turn=turn.key, seconds=round(seconds, 1))

    def close(self) -> None:
        """Write how long the turns took, and close the file."""
        self.write(minutes=round(self.seconds / 60, 1))
        self._file.close()


def whole_turns(records: Sequence[Record]) -> list[Record]:
    """The records of the turns that were measured to their end, with what describes the run."""
    ends = [place for place, record in enumerate(records) if "turn" in record]
    end = ends[-1] + 1 if ends else 0
    rest = [each for each in records[end:] if "machine" in each or "headroom" in each]
    kept = [each for each in records[:end] if not any(name in each for name in _AGAIN)]
    return kept + rest


def _lines(text: str) -> list[Record]:
    """The records of a file; the last line may be cut."""
    *lines, last = text.split("\n")
    records: list[Record] = [json.loads(line) for line in lines]
    try:
        return [*records, json.loads(last)]
    except json.JSONDecodeError:
        return records
