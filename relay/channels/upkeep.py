"""Looks after the outbox, for one of several processes: notes lost tasks, seals secrets anew."""

from contextlib import suppress

import trio

from relay.channels.database_failures import database_failures
from relay.channels.sealing import CannotOpen, Sealed, Vault, channel_label
from relay.channels.vapid import Vapid
from relay.db.channels import SealedChannel, replace_sealed, select_sealed_otherwise
from relay.db.notifications import Waiting, note_lost_tasks, select_waiting
from relay.db.outbox import Outbox
from relay.db.pool import Database
from relay.observability import metrics

LOST_SECONDS = 1.0  # between two looks for tasks that were lost
COUNT_SECONDS = 10.0  # between two counts of what waits


class OutboxUpkeep:
    """Keeps the outbox up while its tasks run."""

    def __init__(self, database: Database, outbox: Outbox, vault: Vault, vapid: Vapid) -> None:
        self._database = database
        self._outbox = outbox
        self._vault = vault
        self._vapid = vapid

    async def note_lost(self) -> None:
        """Note lost tasks, soon after their leases have run out, until cancelled."""
        failures = database_failures()
        while True:
            with failures.attempt():
                if await note_lost_tasks(self._database, self._outbox.bounds):
                    self._outbox.wake()
            await trio.sleep(LOST_SECONDS)

    async def count(self) -> None:
        """Count what waits until cancelled. Then another process does, and this one shows 0."""
        failures = database_failures()
        try:
            while True:
                with failures.attempt():
                    _show_waiting(await select_waiting(self._database, self._outbox.receivers))
                await trio.sleep(COUNT_SECONDS)
        finally:
            _show_waiting(Waiting(0, 0.0, 0))

    async def reseal(self, interval: float) -> None:
        """Seal anew what another key than the first has sealed, every `interval` seconds."""
        failures = database_failures()
        while True:
            with failures.attempt():
                await reseal_channels(self._database, self._vault)
                await self._vapid.reseal()
            await trio.sleep(interval)


def _show_waiting(found: Waiting) -> None:
    metrics.notifications_waiting.set(found.waiting)
    metrics.notifications_oldest.set(found.oldest_s)
    metrics.notifications_held.set(found.held)


async def reseal_channels(database: Database, vault: Vault) -> None:
    """Seal the settings of all channels with the first key, as far as a key opens them.

    Settings that the key of their name does not open stay as they are.
    """
    other_kids = [kid for kid in vault.kids if kid != vault.kid]
    last: SealedChannel | None = None
    while other_kids and (found := await select_sealed_otherwise(database, other_kids, last)):
        for channel in found:
            label = channel_label(channel.channel_id)
            with suppress(CannotOpen):
                secret = vault.open(Sealed(channel.kid, channel.sealed), label)
                await replace_sealed(database, channel, *vault.seal(secret, label))
        last = found[-1]
