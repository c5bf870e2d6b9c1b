"""Codes that prove that a mail address belongs to its user, before a notification goes there.

A code is made of the user, the address and the time, under a key that is derived (HKDF) from a
signing key: nothing is stored, every process knows it, and it is worth nothing for another user,
another address, or later. Rate limits bound how many are mailed and how many are tried.
"""

import hmac
import time
from collections.abc import Callable, Sequence
from uuid import UUID

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from relay.config.parsers import SigningKey

DIGITS = 8  # 5 tries a day of 10^8
PERIOD_SECONDS = 900
PERIODS = 3  # a code is taken in the period in which it was made, and in the two after it
VALID_MINUTES = PERIOD_SECONDS * (PERIODS - 1) // 60  # at least


class MailCodes:
    """Makes and checks codes with the signing keys of a process. The first makes, all check."""

    def __init__(self, keys: Sequence[SigningKey], clock: Callable[[], float] = time.time) -> None:
        self._keys = [_derive(key.secret) for key in keys]
        self._clock = clock

    def make(self, user_id: UUID, address: str) -> str:
        """The code of now, as `1234 5678`."""
        code = self._code(self._keys[0], user_id, address, self._period())
        return f"{code[:4]} {code[4:]}"

    def check(self, user_id: UUID, address: str, given: str) -> bool:
        """Whether it is the code for this address. Spaces and dashes in it count for nothing."""
        digits = given.replace(" ", "").replace("-", "").encode()
        now = self._period()
        matches = [
            hmac.compare_digest(self._code(key, user_id, address, period).encode(), digits)
            for key in self._keys
            for period in range(now - PERIODS + 1, now + 1)
        ]
        return any(matches)

    def _period(self) -> int:
        return int(self._clock() // PERIOD_SECONDS)

    def _code(self, key: bytes, user_id: UUID, address: str, period: int) -> str:
        # a mailbox's name may tell upper and lower case apart; a domain does not
        name, _, domain = address.rpartition("@")
        content = f"{user_id} {period} {name}@{domain.lower()}"
        number = int.from_bytes(hmac.digest(key, content.encode(), "sha256"))
        return f"{number % 10**DIGITS:0{DIGITS}}"


def _derive(secret: bytes) -> bytes:
    return HKDF(SHA256(), 32, salt=None, info=b"relay mail codes").derive(secret)
