"""Recognize JSON texts of other systems: with a byte order mark, or not in UTF-8.

Only for texts that could not be parsed, so that the others are not searched.
"""

import codecs
import json

_NAMES = {"utf-16": "UTF-16", "utf-32": "UTF-32"}


def without_bom(text: bytes) -> bytes | None:
    """The text after its UTF-8 byte order mark, or None if it has none, or more than one.

    RFC 8259 (8.1) lets a parser pass over the mark.
    """
    rest = text.removeprefix(codecs.BOM_UTF8)
    return None if rest == text or rest.startswith(codecs.BOM_UTF8) else rest


def foreign_encoding(text: bytes) -> str | None:
    """`UTF-16` or `UTF-32` if the first bytes of a JSON text show it, else None."""
    return _NAMES.get(json.detect_encoding(text)[:6])
