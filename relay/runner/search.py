"""Finds the spellings of many secrets in a text, without a search for each one."""

import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import NamedTuple

# A run is a row of ASCII letters and digits. In what programs print nearly all are short words;
# tokens and base64 have long ones. So only the long runs of a text are searched for the long runs
# of the spellings. Of fewer spellings each is searched for: that is faster up to about this number.
MIN_RUN = 14  # characters
MIN_BY_RUN = 12  # spellings

_IN_RUN = ord("w")
_RUN = re.compile(b"w" * MIN_RUN + b"w*+")  # begins with a literal, so its search is fast
_CLASSES = bytes(_IN_RUN if char < 128 and chr(char).isalnum() else 0 for char in range(256))

# From the most to the least frequent in the logs of builds, tests and servers.
_BY_FREQUENCY = (
    " .eait-2n1sldo0:r4pu6cmbg/35f9ykh_7v+(8)'xN,RSjA=I>GL<wW%^PUz\"~q[]|ECTFDMO!{}`YZKVJH*BQ;$X@?#"
)
_FREQUENCY = {char: -rank for rank, char in enumerate(_BY_FREQUENCY)}
_RARER = -len(_BY_FREQUENCY)


class Spelling(NamedTuple):
    """What is searched for, and its longest run if that is long; else the run is empty."""

    text: str
    run: str


class Search:
    """Finds which of the spellings are in a text."""

    def __init__(self, spellings: Iterable[str]) -> None:
        # By their two rarest characters. A search for one character costs almost nothing, and
        # one of the two is absent from most outputs, or from the part that is read at once.
        self._by_rarest: dict[str, dict[str, list[Spelling]]] = {}
        for text in spellings:
            first, second = _two_rarest(text)
            run = _longest_run(text)
            by_second = self._by_rarest.setdefault(first, {})
            by_second.setdefault(second, []).append(
                Spelling(text, run if len(run) >= MIN_RUN else "")
            )

    def possible_in(self, text: str) -> list[Spelling]:
        """The spellings that the text has the rarest characters of; others cannot be in it.

        That is so whatever stands between their characters, such as changes of colour.
        """
        return [
            spelling
            for first, by_second in self._by_rarest.items()
            if first in text
            for second, spellings in by_second.items()
            if second in text
            for spelling in spellings
        ]


def places(spellings: Iterable[Spelling], text: str) -> Iterator[tuple[int, int]]:
    """Where the spellings stand in the text."""
    single: list[str] = []
    by_run: list[Spelling] = []
    for spelling in spellings:
        if spelling.run:
            by_run.append(spelling)
        else:
            single.append(spelling.text)
    if len(by_run) < MIN_BY_RUN:
        single += [spelling.text for spelling in by_run]
    elif runs := _long_runs(text):
        single += [spelling.text for spelling in by_run if spelling.run in runs]
    for searched in single:
        yield from _places_of(searched, text)


def _long_runs(text: str) -> str:
    """The runs of at least MIN_RUN characters, one a line."""
    # Latin-1 so that each character is one byte; "?" for the others is in no run either.
    classes = text.encode("latin-1", "replace").translate(_CLASSES)
    return "\n".join(text[run.start() : run.end()] for run in _RUN.finditer(classes))


def _longest_run(text: str) -> str:
    in_run = groupby(text, key=lambda char: char.isascii() and char.isalnum())
    return max(("".join(run) for is_run, run in in_run if is_run), key=len, default="")


def _two_rarest(text: str) -> tuple[str, str]:
    rarest = sorted(set(text), key=lambda char: (_FREQUENCY.get(char, _RARER), char))
    return rarest[0], rarest[min(1, len(rarest) - 1)]


def _places_of(spelling: str, text: str) -> Iterator[tuple[int, int]]:
    start = 0
    while (start := text.find(spelling, start)) >= 0:
        yield start, start + len(spelling)
        start += len(spelling)
