"""Reads progress from output: `[ 42%]`, `Epoch 3/10`, bars that overwrite themselves."""

import re
from typing import NamedTuple

from relay.runner.sequences import visible_text

MAX_MESSAGE = 200  # characters
FULL_SECONDS = 5.0  # until a full bar counts although its line has no end
LINES_SEARCHED = 50  # of a chunk, from its end: only the newest progress counts

_PERCENT = re.compile(r"(?<![\w.,%/+-])(\d{1,3}(?:[.,]\d{1,3})?)\s?%")
_FRACTION = re.compile(r"(?<![\w./:+-])(\d{1,9})\s?/\s?(\d{1,9})(?![\w/.-])")

# In an ordinary line a number can mean anything: a date, a version, a measurement. It counts where
# the line is about nothing else, in brackets at either end, or after a word of progress.
_WORDS = (
    r"epoch|step|batch|iteration|iter|chunk|part|file|round|task|stage|fold|page|layer|shard"
    r"|progress|processing|processed|downloading|downloaded|uploading|uploaded|copying|copied"
    r"|building|compiling|installing|extracting|unpacking|fetching|pulling|pushing|training"
    r"|evaluating|validating|testing|rendering|encoding|converting|indexing|syncing|importing"
    r"|exporting|loading|scanning|counting|receiving|resolving|writing|reading|backup|restoring"
)
_PERCENT_IN_LINE = re.compile(
    r"^\s*\[\s*(\d{1,3}(?:\.\d{1,3})?)\s?%\s*\]"  # [ 42%] at the start
    r"|\[\s*(\d{1,3}(?:\.\d{1,3})?)\s?%\s*\]\s*$"  # or at the end
    r"|^\s*(\d{1,3}(?:\.\d{1,3})?)\s?%\s*(?:$|\||\[[=#>.\s-]|(?:done|complete|completed)\b)"
    rf"|^\W{{0,3}}(?:{_WORDS})\b[^\d%]{{0,40}}(\d{{1,3}}(?:\.\d{{1,3}})?)\s?%(?:[\s,|:)\]]|$)",
    re.IGNORECASE,
)
_FRACTION_IN_LINE = re.compile(
    r"^\s*[\[(]\s*(\d{1,9})\s?/\s?(\d{1,9})\s*[\])]"  # [3/10] at the start
    r"|^\s*(\d{1,9})\s?/\s?(\d{1,9})\s*(?:$|\||\[)"  # 3/10 alone, or before a bar
    rf"|^\W{{0,3}}(?:(?:{_WORDS})s?\W{{1,3}}){{1,2}}(\d{{1,9}})\s?/\s?(\d{{1,9}})(?=[\]\s):,|]|$)",
    re.IGNORECASE,
)
# A time of day beside two numbers makes them a date: `[04/05 01:30:24 …]`, `11/28 18:31`.
_DATE = re.compile(r"^\W{0,3}\d{1,4}\s?/\s?\d{1,4}(?:/\d{2,4})?[\])\s,T-]+\d{1,2}:\d{2}\b")


class Progress(NamedTuple):
    """A fraction from 0 to 1, and the line that it was read from."""

    fraction: float
    message: str


class LatestProgress:
    """What of one stream's progress is sent: a full bar only when nothing writes over it.

    Where bars are nested, an inner one ends in the place of the outer one, which is drawn again
    after it.
    """

    def __init__(self) -> None:
        self._full: Progress | None = None  # waits
        self._since = 0.0

    def take(self, found: Progress | None, unfinished: bool, now: float) -> Progress | None:
        """Take what was read at `now` (monotonic seconds), and return what is to be sent.

        `unfinished`: lines may still be written over. Call it with None when nothing was read.
        """
        if found is not None:
            if found.fraction < 1 or not unfinished:
                self._full = None
                return found
            if self._full is None:
                self._since = now
            self._full = found
        if self._full is None or (unfinished and now - self._since < FULL_SECONDS):
            return None
        full, self._full = self._full, None
        return full


def progress_of_bars(text: str) -> Progress | None:
    """Read lines that are written over: nearly every number there is progress.

    Of several bars the uppermost that is not full counts: those below it are its parts, or beside
    it. A full one stays where it ended, and others go on below it.
    """
    full = None
    for row in text.split("\n"):
        line = visible_text(row)
        found = _read(line, _PERCENT, _FRACTION)
        if found is not None and found.fraction < 1:
            return found
        full = full or found
    return full


def progress_of_lines(text: str) -> Progress | None:
    """Read the newest line that is certainly about progress."""
    if "%" not in text and "/" not in text:
        return None
    for line in reversed(text.rsplit("\n", LINES_SEARCHED)[-LINES_SEARCHED:]):
        if "%" in line or "/" in line:
            found = _read(visible_text(line), _PERCENT_IN_LINE, _FRACTION_IN_LINE)
            if found is not None:
                return found
    return None


def _read(line: str, percents: re.Pattern[str], fractions: re.Pattern[str]) -> Progress | None:
    fraction = None
    # A search for one character costs almost nothing beside that of a pattern.
    if "%" in line and (match := percents.search(line)) is not None:
        fraction = float(next(filter(None, match.groups())).replace(",", ".")) / 100
    elif "/" in line and (match := fractions.search(line)) is not None and not _DATE.match(line):
        done, total = (int(number) for number in match.groups() if number is not None)
        fraction = done / total if total > 1 else None
    if fraction is None or fraction > 1:
        return None
    return Progress(round(fraction, 4), line[:MAX_MESSAGE])
