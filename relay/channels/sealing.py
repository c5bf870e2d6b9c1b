"""Encrypts the secrets of channels for the database (AES-256-GCM), and decrypts them.

The key is derived (HKDF, RFC 5869) from a signing key, whose `kid` stands beside what is sealed.
The first of the signing keys seals; all of them open. What another key than the first has sealed is
sealed anew while both are known, so a signing key can be rotated out like for tokens.
"""

import secrets
from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from relay.config.parsers import SigningKey

NONCE_BYTES = 12
KEY_BYTES = 32


class Sealed(NamedTuple):
    """`kid` names the signing key; `data` is the nonce and the ciphertext."""

    kid: str
    data: bytes


class CannotOpen(Exception):
    """The signing key is not among those of the process, or the data is not what it has sealed."""


class Vault:
    """Seals and opens with the signing keys of a process.

    `label` says what a secret belongs to, such as its row. It is authenticated, not stored: what
    was sealed for one row opens for no other.
    """

    def __init__(self, keys: Sequence[SigningKey]) -> None:
        self.kid = keys[0].kid
        self._ciphers = {key.kid: AESGCM(_derive(key.secret)) for key in keys}

    @property
    def kids(self) -> list[str]:
        """The names of the keys that open."""
        return list(self._ciphers)

    def seal(self, secret: bytes, label: bytes) -> Sealed:
        """Encrypt and authenticate a secret with the first key."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return Sealed(self.kid, nonce + self._ciphers[self.kid].encrypt(nonce, secret, label))

    def open(self, sealed: Sealed, label: bytes) -> bytes:
        """The secret. Raises CannotOpen."""
        cipher = self._ciphers.get(sealed.kid)
        if cipher is None:
            raise CannotOpen(f"it is sealed with the signing key {sealed.kid}, which is not here")
        try:
            return cipher.decrypt(sealed.data[:NONCE_BYTES], sealed.data[NONCE_BYTES:], label)
        except (InvalidTag, ValueError):
            raise CannotOpen(f"the signing key {sealed.kid} does not open it") from None


def channel_label(channel_id: UUID) -> bytes:
    """The label of a channel's settings."""
    return b"channel " + channel_id.bytes


def _derive(secret: bytes) -> bytes:
    return HKDF(SHA256(), KEY_BYTES, salt=None, info=b"relay channels").derive(secret)
