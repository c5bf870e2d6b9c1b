"""Reads progress from output: `42%`, `3/10`, bars that overwrite themselves."""

import re
from typing import NamedTuple

MAX_MESSAGE = 200  # characters
LINES_SEARCHED = 50  # of a chunk, from its end: only the newest progress counts

_CONTROL = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])|[\x00-\x1f\x7f]"
)

_PERCENT = re.compile(r"(?<![\w.,%/-])(\d{1,3}(?:[.,]\d{1,3})?)\s?%")
_FRACTION = re.compile(r"(?<![\w./:-])(\d{1,9})\s?/\s?(\d{1,9})(?![\w/.-])")

# In an ordinary line a number can mean anything. It counts only in the usual forms of progress:
# [ 42%] at either end; 3/10 or [3/10] at the start, or after a word or two (Epoch 3/10).
_PERCENT_IN_LINE = re.compile(
    r"^\s*\[?\s*(\d{1,3}(?:\.\d{1,3})?)\s?%(?:\]|[\s|:]|$)|\[\s*(\d{1,3})%\]\s*$"
)
_FRACTION_IN_LINE = re.compile(
    r"^\W{0,3}(?:(?:epoch|step|batch|iteration|iter|chunk|part|file|test|round|task|stage|fold|page"
    r"|progress|processing|downloading|building|compiling|copying|uploading)\W{1,3}){0,2}"
    r"(\d{1,9})\s?/\s?(\d{1,9})(?=[\]\s):,|]|$)",
    re.IGNORECASE,
)


class Progress(NamedTuple):
    """A fraction from 0 to 1, and the line that it was read from."""

    fraction: float
    message: str


def progress_of_bar(text: str) -> Progress | None:
    """Read a line that was overwritten: nearly every number there is progress."""
    line = visible_text(text)
    return _read(line, _PERCENT.search(line), _FRACTION.search(line))


def progress_of_lines(text: str) -> Progress | None:
    """Read the newest line that is certainly about progress."""
    if "%" not in text and "/" not in text:
        return None
    for line in reversed(text.rsplit("\n", LINES_SEARCHED)[-LINES_SEARCHED:]):
        if "%" in line or "/" in line:
            clean = visible_text(line)
            found = _read(clean, _PERCENT_IN_LINE.search(clean), _FRACTION_IN_LINE.search(clean))
            if found is not None:
                return found
    return None


def visible_text(text: str) -> str:
    """The line without control characters and escape sequences."""
    return _CONTROL.sub("", text[:4096]).strip()


def _read(
    line: str, percent: re.Match[str] | None, fraction_match: re.Match[str] | None
) -> Progress | None:
    fraction = None
    if percent is not None:
        fraction = float(next(filter(None, percent.groups())).replace(",", ".")) / 100
    elif fraction_match is not None:
        done, total = int(fraction_match[1]), int(fraction_match[2])
        fraction = done / total if total > 1 else None
    if fraction is None or fraction > 1:
        return None
    return Progress(round(fraction, 4), line[:MAX_MESSAGE])
