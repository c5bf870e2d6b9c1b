"""Finds secrets in the environment, and masks them in text."""

import re
from collections.abc import Iterable, Mapping

from relay.runner.addresses import begun_userinfo, passwords_in, secret_spans
from relay.runner.colours import Joints, Plain, begun_colour, colours_in, without_colours
from relay.runner.search import Search, Spelling, places
from relay.runner.spellings import spellings_of

MASK = "***"

_ADDRESS = Joints(["://"])

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
        self._search = Search(self._spellings)
        self._joints = Joints(self._spellings)

    def __call__(self, text: str) -> str:
        possible = self._search.possible_in(text)
        if not possible and "@" not in text:
            return text
        if not self._may_be_coloured(text):
            return _masked(text, _spans(text, possible))
        if not (spans := _spans(without_colours(text), possible)):
            return text
        plain = Plain(text)
        parts, at = [], 0
        for start, end in spans:
            start, end = plain.places(start, end)
            parts += [text[at:start], MASK, colours_in(text, start, end)]
            at = end
        return "".join([*parts, text[at:]])

    def safe_cut(self, text: str) -> int:
        """The last place where the text can be cut: not within what is or may become a secret."""
        begun = begun_colour(text)
        plain = Plain(text[:begun])
        cut = len(plain.text) - max(begun_userinfo(plain.text), self._begun(plain.text))
        for start, end in reversed(_spans(plain.text, self._search.possible_in(plain.text))):
            if start < cut < end:
                cut = start
        return begun if cut == len(plain.text) else plain.places(cut, cut + 1)[0]

    def _may_be_coloured(self, text: str) -> bool:
        """Whether changes of colour can stand in a secret. Taking them out costs far more."""
        if "\x1b" not in text and "\\" not in text:
            return False
        # A userinfo can have any characters.
        in_address = "@" in text and ("://" in text or _ADDRESS.may_be_in(text))
        return in_address or self._joints.may_be_in(text)

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


def _spans(plain: str, possible: Iterable[Spelling]) -> list[tuple[int, int]]:
    """Where secrets stand; those that overlap are one."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted([*secret_spans(plain), *places(possible, plain)]):
        if merged and start < merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((start, end))
    return merged


def _masked(text: str, spans: list[tuple[int, int]]) -> str:
    parts, at = [], 0
    for start, end in spans:
        parts += [text[at:start], MASK]
        at = end
    return "".join([*parts, text[at:]]) if parts else text
