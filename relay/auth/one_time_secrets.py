"""The secrets of tickets and links. Each names its user, so its row is found by user."""

import base64
import binascii
import hashlib
import secrets
from uuid import UUID

TICKET_BYTES = 32
LINK_BYTES = 16  # 128 bits: not to be guessed in five minutes, and a QR code that phones can read
USER_BYTES = 16


def new_secret(user_id: UUID, random_bytes: int) -> str:
    """A secret of so many random bytes, in base64url; the user's id stands before them."""
    return _encode(user_id.bytes + secrets.token_bytes(random_bytes))


def secret_owner(secret: str, random_bytes: int) -> UUID | None:
    """The user that a secret names; None if it names none, as those of earlier versions do.

    It proves nothing: only the row of the secret's hash does.
    """
    try:
        decoded = base64.b64decode(secret + "=" * (-len(secret) % 4), b"-_", validate=True)
    except (binascii.Error, ValueError):  # no base64url, or characters outside ASCII
        return None
    if len(decoded) != USER_BYTES + random_bytes:
        return None
    return UUID(bytes=decoded[:USER_BYTES])


def hash_secret(secret: str) -> bytes:
    """The stored form of a ticket or a link. Random secrets need neither salt nor stretching."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
