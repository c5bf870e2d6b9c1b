"""Changes of colour in a text: the text without them, and whether they can stand in a secret."""

import re
from bisect import bisect_right
from collections.abc import Iterable

MAX_COLOUR = 64  # characters of a sequence that changes the colour

_RAW = re.compile(r"\x1b\[[0-9;:]*+m")  # begins with a literal, so its search is fast
# Also where the escape character is spelled, as in command lines and in JSON.
_SPELLED = re.compile(r"\\(?:033|e|x1[bB]|u001[bB])\[")
_ANY = re.compile(rf"(?:\x1b\[|{_SPELLED.pattern})[0-9;:]*+m")
_SUCCESSIVE = rf"(?:{_RAW.pattern})*+"
# The "m" before an escape character nearly always ends another change of colour.
_AFTER_TEXT = r"(?<!\x1b\[\dm\x1b)(?<!\x1b\[\d\dm\x1b)"
_BEGUN = re.compile(r"(?:\x1b|\\(?:e|[0xu][\da-fA-F]{0,4})?)(?:\[[0-9;:]*)?\Z")


def colours_in(text: str, start: int, end: int) -> str:
    """The changes of colour from `start` to `end`."""
    return "".join(_ANY.findall(text, start, end))


def begun_colour(text: str) -> int:
    """Where an unfinished change of colour begins; the text's length if there is none."""
    begun = _BEGUN.search(text, max(0, len(text) - MAX_COLOUR))
    return len(text) if begun is None else begun.start()


class Plain:
    """A text without its changes of colour, and where its characters stand in the text."""

    def __init__(self, text: str) -> None:
        self._starts: list[int] = []  # places in the plain text before which there is a change
        self._shifts: list[int] = []  # how many characters have been taken out up to there
        self.text = text
        pattern = _pattern_for(text)
        if pattern is None:
            return
        parts, at, removed = [], 0, 0
        for match in pattern.finditer(text):
            parts.append(text[at : match.start()])
            at = match.end()
            self._starts.append(match.start() - removed)
            removed += match.end() - match.start()
            self._shifts.append(removed)
        self.text = "".join([*parts, text[at:]])

    def places(self, start: int, end: int) -> tuple[int, int]:
        """Where the characters from `start` to `end` (at least one) of the plain text stand."""
        return self._place(start), self._place(end - 1) + 1

    def _place(self, index: int) -> int:
        change = bisect_right(self._starts, index)
        return index + (self._shifts[change - 1] if change else 0)


def without_colours(text: str) -> str:
    """The text without its changes of colour."""
    pattern = _pattern_for(text)
    return text if pattern is None else pattern.sub("", text)


class Joints:
    """Whether changes of colour can stand within some words.

    They can where the characters before and after them follow each other in one of the words. In
    most outputs there is a space on one side, so the words are searched for in the text as it is.
    """

    def __init__(self, words: Iterable[str]) -> None:
        self._pairs = {word[at : at + 2] for word in words for at in range(len(word) - 1)}
        chars = "".join(sorted({char for pair in self._pairs for char in pair}))
        self._pattern: re.Pattern[str] | None = None
        if chars and "\x1b" not in chars:
            either = "".join(map(re.escape, chars))
            self._pattern = re.compile(
                rf"\x1b(?<=[{either}]\x1b){_AFTER_TEXT}\[[0-9;:]*+m{_SUCCESSIVE}[{either}]"
            )

    def may_be_in(self, text: str) -> bool:
        """False only if all places of the words are the same without the changes of colour."""
        if _has_spelled(text):
            return True
        if "\x1b" not in text or not self._pairs:
            return False
        if self._pattern is None:
            return True
        return any(
            text[match.start() - 1] + text[match.end() - 1] in self._pairs
            for match in self._pattern.finditer(text)
        )


def _has_spelled(text: str) -> bool:
    return "\\" in text and _SPELLED.search(text) is not None


def _pattern_for(text: str) -> re.Pattern[str] | None:
    """The pattern that finds all changes of colour in the text; None if there is none.

    A search for one character costs almost nothing beside that of a pattern.
    """
    if _has_spelled(text):
        return _ANY
    return _RAW if "\x1b" in text else None
