"""Finds passwords and tokens in addresses: `scheme://user:password@host`."""

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

MIN_TOKEN = 12  # characters of a user of an HTTP address that is taken for a token
MAX_USERINFO = 1024  # characters; what is longer is no userinfo

_CHAR = r"""[^\s/?#"'<>`\x00-\x1f]"""
_NAME = r"""[^\s/?#"'<>`\x00-\x1f:]"""
# To the last @ before the path: an @ in the password should be encoded, and often is not.
_USERINFO = re.compile(
    rf"://(?:({_NAME}{{0,{MAX_USERINFO}}}):({_CHAR}{{0,{MAX_USERINFO}}})@"
    rf"|({_NAME}{{{MIN_TOKEN},{MAX_USERINFO}}})@)"
)
_BEGUN = re.compile(rf"://{_CHAR}*\Z")


def secret_spans(text: str) -> Iterator[tuple[int, int]]:
    """Where a password stands, or a long user of an HTTP address: there it is a token."""
    if "@" not in text:  # a search for one character costs almost nothing
        return
    for match in _USERINFO.finditer(text):
        name = 1 if match[3] is None else 3
        if match[2]:
            yield match.span(2)
        if len(match[name]) >= MIN_TOKEN and _is_http(text, match.start()):
            yield match.span(name)


def passwords_in(text: str) -> set[str]:
    """The passwords and tokens of all addresses in a text."""
    found = {text[start:end] for start, end in secret_spans(text)}
    try:
        password = urlsplit(text).password  # may have characters that end an address in a text
    except ValueError:
        password = None
    return found | {password} if password else found


def begun_userinfo(text: str) -> int:
    """How many characters at the end of the text may belong to an unfinished userinfo."""
    tail = text[-2 * MAX_USERINFO :]
    begun = _BEGUN.search(tail)
    if begun is None:
        return 2 if tail.endswith(":/") else int(tail.endswith(":"))
    return len(tail) - begun.start()


def _is_http(text: str, end: int) -> bool:
    return text[max(0, end - 5) : end].lower().endswith(("http", "https"))
