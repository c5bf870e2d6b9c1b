"""Seals what processes send each other through a server that others use, too, and opens it.

Every role that may connect to the database can LISTEN and NOTIFY there, without a right on any
table, and a Valkey between processes may serve other programs. So events are encrypted and
authenticated (AES-256-GCM) with a key that only Relay's processes have: derived from a signing key
and the sender's id, so that each process has its own and counts its messages for the nonce.

A sealed message is the sender's id, the nonce and the ciphertext; as text, the last two in base64.
"""

import binascii
import hashlib
import hmac
from base64 import b64decode, b64encode
from collections.abc import Sequence
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from relay.config.parsers import SigningKey

NONCE_BYTES = 12
ID_BYTES = 16
ID_CHARACTERS = 36
MAX_SENDERS = 256  # whose keys are kept; past it all are derived anew when they are needed


class Sealer:
    """The first of the signing keys seals; all of them open, as with tokens."""

    def __init__(self, keys: Sequence[SigningKey], sender: UUID) -> None:
        self._secrets = [key.secret for key in keys]
        self._sender = sender
        self._sender_bytes = sender.bytes  # it takes a while to compute them
        self._cipher = _cipher(self._secrets[0], self._sender_bytes)
        self._count = 0
        self._ciphers: dict[bytes, list[AESGCM]] = {}  # by the bytes of the sender's id

    def seal(self, message: bytes) -> str:
        """Encrypt and authenticate a message, for where only text can be sent."""
        return _text(self._sender, self._encrypt(message))

    def seal_bytes(self, message: bytes) -> bytes:
        """Encrypt and authenticate a message."""
        return self._sender_bytes + self._encrypt(message)

    def open(self, text: str) -> bytes | None:
        """The message of a text; None if no process with one of the keys has sealed this text."""
        try:
            sender = UUID(text[:ID_CHARACTERS])
            sealed = b64decode(text[ID_CHARACTERS:], validate=True)
        except (ValueError, binascii.Error):
            return None
        if text != _text(sender, sealed):  # an id and base64 have other spellings
            return None
        return self._decrypt(sender.bytes, sealed)

    def open_bytes(self, sealed: bytes) -> bytes | None:
        """The same for bytes."""
        if len(sealed) < ID_BYTES:
            return None
        return self._decrypt(sealed[:ID_BYTES], sealed[ID_BYTES:])

    def is_own(self, sealed: bytes) -> bool:
        """Whether these bytes claim to be of this process; they are not opened."""
        return sealed.startswith(self._sender_bytes)

    def _encrypt(self, message: bytes) -> bytes:
        self._count += 1
        nonce = self._count.to_bytes(NONCE_BYTES, "big")
        return nonce + self._cipher.encrypt(nonce, message, None)

    def _decrypt(self, sender: bytes, sealed: bytes) -> bytes | None:
        for cipher in self._ciphers_of(sender):
            try:
                return cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], None)
            except (InvalidTag, ValueError):  # ValueError: no nonce of that length
                continue
        return None

    def _ciphers_of(self, sender: bytes) -> list[AESGCM]:
        if (ciphers := self._ciphers.get(sender)) is None:
            if len(self._ciphers) >= MAX_SENDERS:
                self._ciphers.clear()
            ciphers = [_cipher(secret, sender) for secret in self._secrets]
            self._ciphers[sender] = ciphers
        return ciphers


def _text(sender: UUID, sealed: bytes) -> str:
    return str(sender) + b64encode(sealed).decode()


def _cipher(secret: bytes, sender: bytes) -> AESGCM:
    return AESGCM(hmac.digest(secret, b"relay backplane " + sender, hashlib.sha256))
