"""Finds the spellings of many secrets in a text, without a search for each one."""

from collections.abc import Iterable, Iterator
from itertools import groupby

# A run is a row of ASCII letters and digits. In what programs print nearly all are short words;
# tokens and base64 have long ones. So only the long runs of a text are searched for the long runs
# of the spellings. Of fewer spellings each is searched for: that is faster up to about this number.
MIN_RUN = 14  # characters
MIN_BY_RUN = 12  # spellings

_IN_RUN = ord("w")
_RUN = b"w" * MIN_RUN
_CLASSES = bytes(_IN_RUN if char < 128 and chr(char).isalnum() else 0 for char in range(256))


class Search:
    """Finds which of the spellings are in a text."""

    def __init__(self, spellings: Iterable[str]) -> None:
        ordered = list(spellings)
        self._single = ordered
        self._by_run: list[tuple[str, str]] = []  # a run, and the spelling that it is part of
        by_run = [
            (run, spelling) for spelling in ordered if len(run := _longest_run(spelling)) >= MIN_RUN
        ]
        if len(by_run) >= MIN_BY_RUN:
            self._by_run = by_run
            found = {spelling for _, spelling in by_run}
            self._single = [spelling for spelling in ordered if spelling not in found]

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Where the spellings stand."""
        for spelling in self._single:
            if spelling in text:
                yield from _places(spelling, text)
        if self._by_run and (runs := _long_runs(text)):
            for run, spelling in self._by_run:
                if run in runs:
                    yield from _places(spelling, text)


def _long_runs(text: str) -> str:
    """The runs of at least MIN_RUN characters, one a line."""
    # Latin-1 so that each character is one byte; "?" for the others is in no run either.
    classes = text.encode("latin-1", "replace").translate(_CLASSES)
    runs, at = [], 0
    while (start := classes.find(_RUN, at)) >= 0:
        at = classes.find(0, start + MIN_RUN)
        if at < 0:
            at = len(text)
        runs.append(text[start:at])
    return "\n".join(runs)


def _longest_run(text: str) -> str:
    in_run = groupby(text, key=lambda char: char.isascii() and char.isalnum())
    return max(("".join(run) for is_run, run in in_run if is_run), key=len, default="")


def _places(spelling: str, text: str) -> Iterator[tuple[int, int]]:
    start = 0
    while (start := text.find(spelling, start)) >= 0:
        yield start, start + len(spelling)
        start += len(spelling)
