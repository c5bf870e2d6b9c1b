"""The control characters and escape sequences of terminals (ECMA-48), as they stand in output."""

import re

MAX_SEQUENCE = 4096  # characters; what is longer without an end is no sequence

# The groups: the parameters and the final character of a control sequence (CSI).
SEQUENCE = re.compile(
    r"\x1b\[([0-?]*)[ -/]*([@-~])"
    r"|\x1b[\]PX^_][^\x07\x1b\n]*(?:\x07|\x1b\\)"  # OSC, DCS, SOS, PM, APC: up to the string's end
    r"|\x1b[ -/]*[0-Z\\^-~]"
    r"|[\x00-\x09\x0b-\x1f\x7f]"
)
_CONTROL = re.compile(SEQUENCE.pattern + r"|\n")
_BEGUN = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|[\]PX^_][^\x07\x1b\n]*\x1b?|[ -/]*)?\Z")


def visible_text(text: str) -> str:
    """The line without control characters and escape sequences."""
    return _CONTROL.sub("", text[:MAX_SEQUENCE]).strip()


def begun_sequence(text: str) -> int:
    """How many characters at the end of the text are a sequence without its end."""
    tail = text[-MAX_SEQUENCE:]
    last = tail.rfind("\x1b")
    # No sequence has an escape character in it. Only at the end one may be the first half of ST.
    before = tail.rfind("\x1b", 0, last) if last == len(tail) - 1 else last
    for start in (before, last):
        if start >= 0 and _BEGUN.match(tail, start) is not None:
            return len(tail) - start
    return 0
