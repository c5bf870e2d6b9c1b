"""Leaves out the states of a line that are erased again, as bars do many times a second."""

import re

from relay.runner.sequences import SEQUENCE

_ERASURES = ("\r\x1b[2K", "\r\x1b[K")  # of the whole line, from its beginning on
_COLOUR = re.compile(r"\x1b\[[0-?]*+[ -/]*+m")
_RESET = "\x1b[0m"
_AWAY = re.compile(r"\x1b\[[0-?]*+[ -/]*+[ABEFHJf]")  # to another line, or an erased screen


def without_superseded(line: str) -> str:
    """The line without states that are not the first and not the last.

    On a screen it reads the same. The first state stays, since it marks the line as redrawn.
    """
    if "\x1b" not in line:
        return line
    for erasure in _ERASURES:
        first = line.find(erasure)
        second = line.find(erasure, first + 1)
        last = line.rfind(erasure)
        if first < 0 or not first < second < last:
            continue
        if not SEQUENCE.sub("", line[first:second]):
            continue
        if _AWAY.search(line, first, last) is not None:
            continue
        reset = line.rfind(_RESET, second, last)
        colours = "".join(_COLOUR.findall(line, max(reset, second), last))
        if reset >= 0 or not colours:
            line = line[:second] + colours + line[last:]
    return line
