"""Checks the values of an envelope: identifiers and RFC 3339 times.

Many values are checked in two calls, with the same result as one check each.
"""

import re
from collections.abc import Collection, Sequence

from relay.identifiers import IDENTIFIER_PATTERN

_COMMON_YEAR_DAY = (
    r"(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\d|3[01])"
    r"|(?:0[469]|11)-(?:0[1-9]|[12]\d|30)|02-(?:0[1-9]|1\d|2[0-8]))"
)
_LEAP_YEAR = r"(?:\d\d(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)"
_DATE = rf"(?!0000)(?:\d{{4}}-{_COMMON_YEAR_DAY}|{_LEAP_YEAR}-02-29)"
# RFC 3339, section 5.6; the second 60 is a leap second
_TIME = (
    r"[Tt](?:[01]\d|2[0-3]):[0-5]\d:(?:[0-5]\d|60)(?:\.\d{1,64})?"
    r"(?:[Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)"
)
_RFC_3339 = rf"{_DATE}{_TIME}"

_A_TIME = re.compile(_RFC_3339, re.ASCII)
_TIMES = re.compile(rf"(?:{_RFC_3339}\n)*+", re.ASCII)
_IDENTIFIERS = re.compile(rf"(?:{IDENTIFIER_PATTERN}\n)*+")


def is_time(text: str) -> bool:
    """Whether it is an RFC 3339 time with `Z` or an offset, on a day that exists."""
    return _A_TIME.fullmatch(text) is not None


def are_times(texts: Sequence[str]) -> bool:
    """Whether `is_time` is true for each."""
    return _all_match(_TIMES, texts)


def are_identifiers(texts: Collection[str]) -> bool:
    """Whether `is_identifier` is true for each."""
    return _all_match(_IDENTIFIERS, texts)


def _all_match(lines: re.Pattern[str], texts: Collection[str]) -> bool:
    """Whether `lines` matches the texts, each as one line, and none contains a line end."""
    together = "\n".join([*texts, ""])
    return lines.fullmatch(together) is not None and together.count("\n") == len(texts)
