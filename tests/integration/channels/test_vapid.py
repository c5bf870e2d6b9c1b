"""The VAPID keys: one pair for all processes, kept through a rotation of the signing keys."""

import pytest
import trio
from structlog.testing import capture_logs

from relay.channels.sealing import CannotOpen, Vault
from relay.channels.vapid import Vapid, VapidKeys
from relay.config.parsers import SigningKey
from relay.db.vapid_keys import select_vapid_keys
from relay.errors import PushKeysSealed
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


async def test_a_process_without_the_key_that_seals_the_pair_replaces_nothing(
    database_url: str,
) -> None:
    async with database_of(database_url) as database:
        others = Vapid(database, Vault([NEW, OLD]))
        before = await others.present()
        stored = await select_vapid_keys(database)
        behind = Vapid(database, Vault([OLD]))  # it has still, or again, the list of before
        with capture_logs() as logged:
            for _ in range(2):
                with pytest.raises(PushKeysSealed):
                    await behind.present()
        assert [(line["event"], line["error"]) for line in logged] == [
            ("vapid_keys_sealed", "it is sealed with the signing key new, which is not here")
        ]
        assert await select_vapid_keys(database) == stored
        assert (await Vapid(database, Vault([NEW])).present()).public_key == before.public_key
        await database.execute("DELETE FROM vapid_keys")  # as rotate-keys.md has it, after a leak
        after = await behind.present()
        assert after.public_key != before.public_key
        assert await others.keys_of(after.public_key) is not None


async def test_of_processes_with_other_keys_that_start_at_once_one_makes_the_pair(
    database_url: str,
) -> None:
    made, refused = set[str](), list[SigningKey]()
    async with database_of(database_url) as database:

        async def start(key: SigningKey) -> None:
            try:
                made.add((await Vapid(database, Vault([key])).present()).public_key)
            except PushKeysSealed:
                refused.append(key)

        async with trio.open_nursery() as nursery:
            for key in [OLD, NEW] * 4:
                nursery.start_soon(start, key)
        assert len(made) == 1
        assert refused in ([OLD] * 4, [NEW] * 4)


async def test_a_pair_is_replaced_when_the_key_of_its_name_is_another_one(
    database_url: str,
) -> None:
    async with database_of(database_url) as database:
        known = Vapid(database, Vault([OLD]))
        before = await known.present()
        other = Vapid(database, Vault([SigningKey("old", b"x" * 32)]))
        with pytest.raises(CannotOpen):  # an attempt to send replaces nothing
            await other.keys_of(before.public_key)
        after = await other.present()
        assert after.public_key != before.public_key
        assert await other.keys_of(before.public_key) is None
        assert await other.keys_of(after.public_key) is not None
        impostor = Vapid(database, Vault([NEW, OLD]))
        await impostor.reseal()  # the name of the key alone opens nothing
        assert (await other.present()).public_key == after.public_key
