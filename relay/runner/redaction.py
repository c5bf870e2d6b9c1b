"""Finds secrets in the environment, and masks them in text."""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping

from relay.runner.addresses import begun_userinfo, passwords_in, secret_spans
from relay.runner.spellings import spellings_of

MASK = "***"
MAX_COLOUR = 64  # characters of a sequence that changes the colour

_RAW_COLOUR = re.compile(r"\x1b\[[\d;:]*m")  # begins with a literal, so its search is fast
# Also where the escape character is spelled, as in command lines and in JSON.
_COLOUR = re.compile(r"(?:\x1b|\\(?:033|e|x1[bB]|u001[bB]))\[[\d;:]*m")
_BEGUN_COLOUR = re.compile(r"(?:\x1b|\\(?:e|[0xu][\da-fA-F]{0,4})?)(?:\[[\d;:]*)?\Z")

# A variable is secret if its name has one of these words between underscores, or these anywhere.
_WORDS = frozenset(
    {"APIKEY", "AUTH", "BEARER", "COOKIE", "CREDENTIAL", "CREDENTIALS", "JWT", "KEY", "KEYS"}
    | {"PASS", "PAT", "PWD"}
)
_ANYWHERE = re.compile("TOKEN|SECRET|PASSW|PASSPHRASE|PRIVATE_?KEY|API_?KEY")
_PLACES = ("_SOCK", "_FILE", "_PATH", "_DIR")  # the location of a secret is not secret


def secrets_of(environ: Mapping[str, str]) -> set[str]:
    """The values to mask: those of variables with secret names, and passwords in addresses."""
    found = set()
    for name, value in environ.items():
        if _names_a_secret(name.upper()):
            found.add(value)
        if "://" in value:
            found |= passwords_in(value)
    return found


def _names_a_secret(name: str) -> bool:
    if name in ("PWD", "OLDPWD") or name.endswith(_PLACES):
        return False
    return bool(_ANYWHERE.search(name) or _WORDS & set(name.split("_")))


class Mask:
    """Replaces secrets in text by `***`, in all their spellings, and passwords in addresses.

    A secret is also found with changes of colour in it. One of several lines is masked by line.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        self._spellings = spellings_of(set(secrets))

    def __call__(self, text: str) -> str:
        spans = self._spans(_without_colours(text))
        if not spans:
            return text
        colours = _Colours(text)
        parts, at = [], 0
        for start, end in spans:
            start, end = colours.places(start, end)
            inside = "".join(_COLOUR.findall(text, start, end))
            parts += [text[at:start], MASK, inside]
            at = end
        return "".join([*parts, text[at:]])

    def safe_cut(self, text: str) -> int:
        """The last place where the text can be cut: not within what is or may become a secret."""
        begun = _BEGUN_COLOUR.search(text, max(0, len(text) - MAX_COLOUR))
        colours = _Colours(text if begun is None else text[: begun.start()])
        plain = colours.plain
        cut = len(plain) - max(begun_userinfo(plain), self._begun(plain))
        for start, end in reversed(self._spans(plain)):
            if start < cut < end:
                cut = start
        if cut == len(plain):
            return len(text) if begun is None else begun.start()
        return colours.places(cut, cut + 1)[0]

    def _spans(self, plain: str) -> list[tuple[int, int]]:
        """Where secrets stand; those that overlap are one."""
        spans = sorted(secret_spans(plain))
        for spelling in self._spellings:
            if spelling in plain:
                spans += _places(spelling, plain)
        merged: list[tuple[int, int]] = []
        for start, end in sorted(spans):
            if merged and start < merged[-1][1]:
                merged[-1] = merged[-1][0], max(end, merged[-1][1])
            else:
                merged.append((start, end))
        return merged

    def _begun(self, plain: str) -> int:
        """How many characters at the end may be the beginning of a secret."""
        longest = 0
        for spelling in self._spellings:
            start = max(0, len(plain) - len(spelling) + 1)
            while (start := plain.find(spelling[0], start)) >= 0:
                if spelling.startswith(plain[start:]):
                    longest = max(longest, len(plain) - start)
                    break
                start += 1
        return longest


class _Colours:
    """A text without its changes of colour, and where its characters stand in the text."""

    def __init__(self, text: str) -> None:
        self._starts: list[int] = []  # places in the plain text before which there is a change
        self._shifts: list[int] = []  # how many characters have been taken out up to there
        self.plain = text
        pattern = _colours_of(text)
        if pattern is None:
            return
        parts, at, removed = [], 0, 0
        for match in pattern.finditer(text):
            parts.append(text[at : match.start()])
            at = match.end()
            self._starts.append(match.start() - removed)
            removed += match.end() - match.start()
            self._shifts.append(removed)
        self.plain = "".join([*parts, text[at:]])

    def places(self, start: int, end: int) -> tuple[int, int]:
        """Where the characters from `start` to `end` (at least one) of the plain text stand."""
        return self._place(start), self._place(end - 1) + 1

    def _place(self, index: int) -> int:
        change = bisect_right(self._starts, index)
        return index + (self._shifts[change - 1] if change else 0)


def _without_colours(text: str) -> str:
    pattern = _colours_of(text)
    return text if pattern is None else pattern.sub("", text)


def _colours_of(text: str) -> re.Pattern[str] | None:
    """The pattern that finds all changes of colour in the text; None if there is none.

    A search for one character costs almost nothing beside that of a pattern.
    """
    if "\\" in text:
        return _COLOUR
    return _RAW_COLOUR if "\x1b" in text else None


def _places(spelling: str, text: str) -> Iterator[tuple[int, int]]:
    start = 0
    while (start := text.find(spelling, start)) >= 0:
        yield start, start + len(spelling)
        start += len(spelling)
