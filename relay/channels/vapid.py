"""The VAPID keys (RFC 8292), by which push services recognize this Relay: made once, and kept.

A subscription is bound to the public key that it was made with, so all processes use one pair. It
is in the database, and its private key is sealed there as the secrets of channels are. A pair that
is replaced ends every device's channel, so a process does that only if the pair is lost for sure.
"""

import base64
import time
from typing import NamedTuple

import structlog
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    derive_private_key,
    generate_private_key,
)
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from py_vapid import Vapid02

from relay.channels.sealing import CannotOpen, Sealed, Vault
from relay.db.pool import Database
from relay.db.vapid_keys import (
    StoredVapidKeys,
    insert_vapid_keys,
    replace_vapid_keys,
    select_vapid_keys,
)
from relay.errors import PushKeysSealed, Unavailable

KEY_BYTES = 32  # of a private key on P-256
TOKEN_SECONDS = 12 * 3_600  # RFC 8292: at most 24 hours; clocks differ

log = structlog.get_logger("relay.channels")


class VapidKeys(NamedTuple):
    """A pair of keys. `public_key` is what browsers call the applicationServerKey."""

    public_key: str
    private_key: EllipticCurvePrivateKey

    def authorization(self, audience: str, contact: str) -> str:
        """The Authorization header for a push service. `audience` is its origin."""
        claims = {"aud": audience, "exp": int(time.time()) + TOKEN_SECONDS, "sub": contact}
        # "no-strict": `contact` may have a port, which the library's own check does not expect
        signed = Vapid02(self.private_key, conf={"no-strict": True}).sign(claims)
        return str(signed["Authorization"])


class Vapid:
    """The keys of this Relay, as one process knows them."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault
        self._known: VapidKeys | None = None
        self._logged: str | None = None

    async def keys_of(self, public_key: str) -> VapidKeys | None:
        """The pair with this public key; None if Relay has others by now.

        Raises CannotOpen.
        """
        if self._known is None or self._known.public_key != public_key:
            stored = await select_vapid_keys(self._database)
            self._known = None if stored is None else self._opened(stored)
        known = self._known
        return known if known is not None and known.public_key == public_key else None

    async def present(self) -> VapidKeys:
        """The pair for a new subscription, which is made if there is none.

        It is also made if the signing key that is named beside the stored one is here, and does not
        open it: then every subscription is void, and pages subscribe again when they are opened. A
        key that is not here may be at another process, whose list of keys is newer.

        Raises PushKeysSealed.
        """
        stored = await select_vapid_keys(self._database)
        if stored is None:
            await insert_vapid_keys(self._database, self._new())
            return await self._stored()
        try:
            self._known = self._opened(stored)
        except CannotOpen as reason:
            if stored.kid not in self._vault.kids:
                raise self._refusal(reason) from None
            log.warning("vapid_keys_replaced", error=str(reason))
            await replace_vapid_keys(self._database, stored, self._new())
            return await self._stored()
        return self._known

    async def reseal(self) -> None:
        """Seal the private key with the first signing key, if another one did."""
        stored = await select_vapid_keys(self._database)
        if stored is None or stored.kid == self._vault.kid or stored.kid not in self._vault.kids:
            return
        try:
            keys = self._opened(stored)
        except CannotOpen:  # a key of the same name that is another one: left as it is
            return
        await replace_vapid_keys(self._database, stored, self._sealed(keys))

    async def _stored(self) -> VapidKeys:
        """The pair that is there by now: this process's, or that of one that was quicker."""
        stored = await select_vapid_keys(self._database)
        if stored is None:
            raise Unavailable()  # an operator has deleted it meanwhile
        try:
            self._known = self._opened(stored)
        except CannotOpen as reason:
            raise self._refusal(reason) from None
        return self._known

    def _refusal(self, reason: CannotOpen) -> PushKeysSealed:
        error = str(reason)
        if error != self._logged:  # once, not at each visit
            log.warning("vapid_keys_sealed", error=error)
            self._logged = error
        return PushKeysSealed()

    def _new(self) -> StoredVapidKeys:
        private_key = generate_private_key(SECP256R1())
        return self._sealed(VapidKeys(public_text(private_key), private_key))

    def _sealed(self, keys: VapidKeys) -> StoredVapidKeys:
        number = keys.private_key.private_numbers().private_value
        sealed = self._vault.seal(number.to_bytes(KEY_BYTES), _label(keys.public_key))
        return StoredVapidKeys(keys.public_key, sealed.kid, sealed.data)

    def _opened(self, stored: StoredVapidKeys) -> VapidKeys:
        sealed = Sealed(stored.kid, stored.sealed)
        number = int.from_bytes(self._vault.open(sealed, _label(stored.public_key)))
        return VapidKeys(stored.public_key, derive_private_key(number, SECP256R1()))


def public_text(private_key: EllipticCurvePrivateKey) -> str:
    """The public key as an uncompressed point in base64url, without padding."""
    point = private_key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return base64.urlsafe_b64encode(point).rstrip(b"=").decode()


def _label(public_key: str) -> bytes:
    return b"vapid " + public_key.encode()
