"""Tokens that are revoked on one host while they read on another one, again and again."""

import random
from collections.abc import Sequence
from contextlib import suppress

import trio

from tests.support.client.connection import Lost
from tests.support.client.streams import Ended, Refused
from tests.support.hosts.machines import RelayHost
from tests.support.hosts.revoked import RevokedReader, revoked_reader
from tests.support.patience import eventually

PAUSE = 1.0  # seconds
# After a revoke, for which events may still be read. It is that of the Relays, whose processes are
# not this one: here tests alter the constant of that meaning.
STILL_READ_SECONDS = 2.5


class Revokes:
    """`faults` has each stream that went on; `checked` counts the revokes."""

    def __init__(self, relays: Sequence[RelayHost], rng: random.Random) -> None:
        self._relays = relays
        self._rng = rng
        self.checked = 0
        self.faults: list[str] = []

    async def run(self) -> None:
        while True:
            # a fault may be in the way of opening or revoking: the next one is checked
            with suppress(Lost, Refused, Ended):
                await self.one()
            await trio.sleep(PAUSE)

    async def goes_on(self) -> None:
        """Wait until one more is checked."""
        until = self.checked + 1
        await eventually(lambda: self.checked >= until)

    async def one(self) -> None:
        """Revoke a token, and see what it reads. Raises what streams and callers raise."""
        at, elsewhere = self._rng.sample(self._relays, 2)
        async with revoked_reader(at, elsewhere) as reader:
            await reader.revoke()
            await trio.sleep(STILL_READ_SECONDS)
            await reader.store()
            await self._check(reader, f"revoked on {elsewhere.name}, read on {at.name}")

    async def _check(self, reader: RevokedReader, which: str) -> None:
        try:
            await reader.reads_nothing_more()
        except (AssertionError, trio.TooSlowError) as error:
            self.faults.append(f"{which}: {error or 'its stream does not end'}")
        self.checked += 1
