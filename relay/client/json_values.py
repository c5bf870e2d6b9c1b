"""Reads any JSON that Relay stores.

Relay passes payloads on byte for byte, and JSON bounds no number. Python's decoders do: integers of
more than 4 300 digits and numbers beyond a double are errors for them.
"""

import json
from typing import Any

import msgspec

MAX_INTEGER_DIGITS = 4_300  # Python converts no longer ones, because the time grows faster


def decode_any(text: bytes) -> Any:
    """Decode JSON. Numbers beyond a double become infinite, so do integers of too many digits.

    Raises `ValueError` if the text is not JSON.
    """
    try:
        return msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return json.loads(text, parse_int=_integer)


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= MAX_INTEGER_DIGITS else float(digits)
