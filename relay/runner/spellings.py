"""The spellings in which programs print a secret: quoted, escaped and encoded."""

import base64
import html
import json
import math
import shlex
from collections.abc import Iterable, Iterator
from itertools import chain
from urllib.parse import quote, quote_plus, unquote

MIN_LENGTH = 6  # characters; shorter values are also ordinary words
MAX_LENGTH = 4096  # characters; a longer line is masked in parts, so that what waits is bounded

# Further spellings of all secrets together: each is searched for separately, and a thousand
# searches take about 20 ms per 128 KiB of output. The values as they are do not count.
MAX_FURTHER = 1000

# Values of secret names that are settings. Masked, they would make ordinary sentences unreadable.
_SETTINGS = frozenset({"default", "disabled", "enabled", "optional", "required"})

_COMPONENT = "!'()*"  # what encodeURIComponent in JavaScript leaves as it is
_USERINFO = "!$&'()*+,;="  # RFC 3986, section 3.2.1
_QUOTED = frozenset(" \t!\"$&'()*;<>?[\\]^`{|},")  # by `printf %q`
_QUOTED_FIRST = frozenset("#~")  # by bash at the beginning only, by other shells everywhere


def spellings_of(secrets: Iterable[str]) -> list[str]:
    """All that is searched for, the longest first. A secret of several lines counts by line."""
    ordered = sorted(secrets)  # so that the bound leaves out the same spellings each time
    known = {part for secret in ordered for part in _parts(secret)}
    further: set[str] = set()
    for spelling in chain.from_iterable(map(_further, ordered)):
        if len(further) == MAX_FURTHER:
            break
        if _is_masked(spelling) and spelling not in known:
            further.add(spelling)
    return sorted(known | further, key=lambda spelling: (-len(spelling), spelling))


def _parts(secret: str) -> Iterator[str]:
    for line in secret.splitlines():
        line = line.strip()
        for start in range(0, len(line), MAX_LENGTH):
            if _is_masked(part := line[start : start + MAX_LENGTH]):
                yield part


def _is_masked(text: str) -> bool:
    return len(text) >= MIN_LENGTH and text.lower() not in _SETTINGS


def _further(secret: str) -> Iterator[str]:
    for value in dict.fromkeys((secret, unquote(secret))):
        for part in _parts(value):
            yield part
            yield from _escaped(part)
            yield from _encoded(part)
        if len(value) <= MAX_LENGTH and "\n" in value:
            yield from _encoded(value)


def _escaped(value: str) -> Iterator[str]:
    """As JSON, Python, shells, XML and addresses write it."""
    if value.isalnum() and value.isascii():
        return  # all of them leave it as it is
    for ascii_only in (True, False):
        text = json.dumps(value, ensure_ascii=ascii_only)[1:-1]
        yield text
        yield text.replace("/", "\\/")  # PHP
    yield repr(value)[1:-1]
    yield repr('"' + value)[2:-1]  # in single quotes whatever it contains
    yield ascii(value)[1:-1]
    yield repr(_bytes(value))[2:-1]
    yield value.replace("\\", "\\\\")
    yield value.replace("\\", "\\\\").replace("'", "\\'")  # $'…' and 'single' in many languages
    yield shlex.quote(value).removeprefix("'").removesuffix("'")
    yield value.replace("'", "'\\''")
    yield value.replace("'", "''")  # SQL, YAML
    yield _with_backslashes(value, _QUOTED)
    yield _with_backslashes(value, _QUOTED | _QUOTED_FIRST)
    yield _with_backslashes(value[:1], _QUOTED_FIRST) + _with_backslashes(value[1:], _QUOTED)
    yield html.escape(value)
    yield html.escape(value, quote=False)
    for safe in ("", "/", _COMPONENT, _USERINFO):
        yield from _cases(quote(value, safe=safe, errors="replace"), value)
    yield from _cases(quote_plus(value, errors="replace"), value)


def _with_backslashes(value: str, quoted: frozenset[str]) -> str:
    return "".join(f"\\{char}" if char in quoted else char for char in value)


def _cases(encoded: str, value: str) -> Iterator[str]:
    """The percent-encoded value with upper-case and lower-case hexadecimal digits."""
    yield encoded
    if encoded != value:
        head, *escapes = encoded.split("%")
        yield "%".join([head, *(text[:2].lower() + text[2:] for text in escapes)])


def _encoded(value: str) -> Iterator[str]:
    """In base64, wherever the value stands in what was encoded, such as `user:value`.

    Three bytes become four characters, so the value begins at one of three places. Returned are
    the characters that depend on the value alone.
    """
    content = _bytes(value)
    for before in range(3):
        first, last = math.ceil(before * 8 / 6), (before + len(content)) * 8 // 6
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            yield encode(bytes(before) + content).decode()[first:last]


def _bytes(value: str) -> bytes:
    return value.encode("utf-8", "surrogateescape")
