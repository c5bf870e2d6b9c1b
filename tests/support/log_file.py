"""The log of this process, where a test can read it."""

import json
import logging
from pathlib import Path
from typing import Any

from relay.observability.logs import configure_logs
from relay.observability.logs.writer import LineWriter
from tests.support.patience import PATIENCE, eventually


class LogFile:
    """What was logged since `at`; lines are written by a thread, so they are waited for."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("wb")
        self._former = _writers()[0]._descriptor

    def at(self, level: str) -> None:
        configure_logs(level, self._file.fileno())

    @property
    def text(self) -> str:
        """Whole lines: of the last, a part may be written yet."""
        return "".join(self._path.read_text().rpartition("\n")[:2])

    def all_lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]

    def lines(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.all_lines() if line["event"] == event]

    async def line(self, event: str, **fields: Any) -> dict[str, Any]:
        """The first line of this event with these fields."""

        def found() -> list[dict[str, Any]]:
            return [line for line in self.lines(event) if fields.items() <= line.items()]

        await eventually(lambda: bool(found()))
        return found()[0]

    def close(self) -> None:
        used = _writers()
        configure_logs("error", self._former)  # as the rest of the session has it
        for writer in used:  # else it would write its last lines into what is opened next
            writer._thread.join(PATIENCE)
        self._file.close()


def _writers() -> list[LineWriter]:
    return [one for one in logging.getLogger().handlers if isinstance(one, LineWriter)]
