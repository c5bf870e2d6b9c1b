"""Tokens made outside of Relay, with its signing key and without."""

import base64
import hashlib
import hmac
import json
from typing import Any

from joserfc import jwt
from joserfc.jwk import OctKey

KEYS = "test:" + "0123456789abcdef" * 3
"""The signing keys of every Relay under test."""

KID, _, SECRET = KEYS.partition(":")
HEADER = {"alg": "HS256", "typ": "JWT", "kid": KID}


def claims_of(token: str) -> dict[str, Any]:
    """What a token says, unverified."""
    part = token.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return claims


def minted(claims: dict[str, Any], *, secret: str = SECRET, **header: Any) -> str:
    """A token as a library makes it; claims that are None are left out."""
    given = {name: value for name, value in claims.items() if value is not None}
    whole = {**HEADER, **header}
    return jwt.encode(whole, given, OctKey.import_key(secret), algorithms=[whole["alg"]])


def forged(header: dict[str, Any], claims: dict[str, Any], secret: str | None = SECRET) -> str:
    """A token as no library makes it: any header over HMAC-SHA256, or over no signature."""
    signed = f"{encoded(json.dumps(header).encode())}.{encoded(json.dumps(claims).encode())}"
    if secret is None:
        return f"{signed}."
    return f"{signed}.{encoded(hmac.digest(secret.encode(), signed.encode(), hashlib.sha256))}"


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
