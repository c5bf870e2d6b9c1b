"""The VAPID keys: one pair for all processes, kept through a rotation of the signing keys."""

import pytest
import trio

from relay.channels.sealing import CannotOpen, Vault
from relay.channels.vapid import Vapid, VapidKeys
from relay.config.parsers import SigningKey
from relay.db.vapid_keys import select_vapid_keys
from tests.support.databases import database_of

OLD, NEW = SigningKey("old", b"o" * 32), SigningKey("new", b"n" * 32)


async def test_processes_that_start_at_once_have_one_pair(database_url: str) -> None:
    made: list[VapidKeys] = []
    async with database_of(database_url) as database:

        async def start() -> None:
            made.append(await Vapid(database, Vault([OLD])).present())

        async with trio.open_nursery() as nursery:
            for _ in range(8):
                nursery.start_soon(start)
        assert len({keys.public_key for keys in made}) == 1
        found = await Vapid(database, Vault([OLD])).keys_of(made[0].public_key)
        assert found is not None
        assert found.private_key.private_numbers() == made[0].private_key.private_numbers()
        stored = await select_vapid_keys(database)
        assert stored is not None
        number = made[0].private_key.private_numbers().private_value
        assert number.to_bytes(32) not in stored.sealed


async def test_the_pair_stays_while_the_signing_keys_are_rotated(database_url: str) -> None:
    async with database_of(database_url) as database:
        before = await Vapid(database, Vault([OLD])).present()
        both = Vapid(database, Vault([NEW, OLD]))
        await both.reseal()
        await both.reseal()  # nothing is left to do
        after = Vapid(database, Vault([NEW]))
        assert (await after.present()).public_key == before.public_key
        assert await after.keys_of(before.public_key) is not None
        with pytest.raises(CannotOpen):
            await Vapid(database, Vault([OLD])).keys_of(before.public_key)


async def test_a_pair_that_no_key_opens_is_replaced_for_new_subscriptions(
    database_url: str,
) -> None:
    async with database_of(database_url) as database:
        known = Vapid(database, Vault([OLD]))
        before = await known.present()
        other = Vapid(database, Vault([NEW]))
        with pytest.raises(CannotOpen):  # an attempt to send replaces nothing
            await other.keys_of(before.public_key)
        after = await other.present()
        assert after.public_key != before.public_key
        assert await other.keys_of(before.public_key) is None
        assert await other.keys_of(after.public_key) is not None
        impostor = Vapid(database, Vault([SigningKey("new", b"x" * 32), OLD]))
        await impostor.reseal()  # the name of the key alone opens nothing
        assert (await other.present()).public_key == after.public_key
