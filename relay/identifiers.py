"""The rule for the ids of events, tasks and asks. Every part of Relay takes it from here."""

import re

MAX_IDENTIFIER = 128  # characters
IDENTIFIER_PATTERN = rf"[\x21-\x7e]{{1,{MAX_IDENTIFIER}}}"
IDENTIFIER_FAULT = f"must be 1 to {MAX_IDENTIFIER} printable ASCII characters without spaces"

_IDENTIFIER = re.compile(IDENTIFIER_PATTERN)
_OTHER = re.compile(r"[^\x21-\x7e]")


def is_identifier(text: str) -> bool:
    """Whether it is 1 to `MAX_IDENTIFIER` printable ASCII characters without spaces."""
    return _IDENTIFIER.fullmatch(text) is not None


def as_identifier(text: str) -> str:
    """The text with `-` for each character that an id must not have, cut to that length.

    An empty text stays empty, which is no id.
    """
    return _OTHER.sub("-", text[:MAX_IDENTIFIER])
