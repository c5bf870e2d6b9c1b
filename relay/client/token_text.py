"""Reads a token as a person or a program wrote it down, and refuses a damaged one unsent.

Relay's tokens are JWTs (RFC 7519) in the compact form: three parts of base64url, separated by dots.
A text that is no JWT is taken as it is: only the server decides what a token is.
"""

import re
from base64 import urlsafe_b64decode
from typing import Any

import msgspec

from relay.client.text_encoding import BOM_CHARACTER, other_encoding

_BASE64URL = re.compile(r"[A-Za-z0-9_-]+")
_JWT_BEGIN = "eyJ"  # base64url of `{"`, with which each JWT begins
_SIGNATURE_CHARACTERS = {"HS256": 43}  # 32 bytes in base64url
_COPY = "Copy all of it, as one line"


class DamagedToken(ValueError):
    """The text is not a whole token. The message begins with a verb: "is cut short …"."""


def read_token(text: str) -> str:
    """The token without white space and byte order mark around it. Raises DamagedToken."""
    token = text.strip().removeprefix(BOM_CHARACTER).strip()
    if not token:
        raise DamagedToken("is empty")
    if (encoding := other_encoding(_as_bytes(token[:4]))) is not None:
        raise DamagedToken(f"is {encoding}")
    for position, character in enumerate(token, 1):
        if not "!" <= character <= "~":
            what = "a space" if character.isspace() else "a special character"
            raise DamagedToken(f"is invalid: character {position} is {what}. {_COPY}")
    if (fault := _jwt_fault(token)) is not None:
        raise DamagedToken(f"{fault}. {_COPY}")
    return token


def token_claims(token: str) -> dict[str, Any]:
    """The claims of a JWT, not verified: only the server has to trust them. Else empty."""
    parts = token.split(".")
    return (_json_part(parts[1]) or {}) if len(parts) > 1 else {}


def _as_bytes(text: str) -> bytes:
    """The bytes of a text from the environment, where undecodable ones are surrogates."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return b""


def _jwt_fault(token: str) -> str | None:
    if "." not in token and not token.startswith(_JWT_BEGIN):
        return None
    parts = token.split(".")
    if len(parts) < 3 and token.startswith(_JWT_BEGIN):
        return f"is cut short: it has {len(parts)} of its 3 parts"
    if (header := _json_part(parts[0])) is None:
        return "is damaged: its beginning is missing or changed"
    if len(parts) != 3:
        return f"is damaged: it has {len(parts)} parts instead of 3"
    if _json_part(parts[1]) is None:
        return "is damaged: characters are missing or changed in the middle"
    signature = parts[2]
    usual = _SIGNATURE_CHARACTERS.get(str(header.get("alg")), len(signature) or 1)
    if len(signature) < usual:
        return f"is cut short: {usual - len(signature)} characters are missing at the end"
    if len(signature) > usual:
        return "is damaged: it has characters after its end"
    return None if _BASE64URL.fullmatch(signature) else "is damaged: its end is changed"


def _json_part(part: str) -> dict[str, Any] | None:
    """A part of a JWT that is a JSON object in base64url."""
    if _BASE64URL.fullmatch(part) is None:
        return None
    try:
        decoded = urlsafe_b64decode(part + "=" * (-len(part) % 4))
        return msgspec.json.decode(decoded, type=dict[str, Any])
    except (ValueError, msgspec.MsgspecError):
        return None
