"""Looks after the outbox, for one of several processes: notes lost tasks, seals secrets anew."""

import trio

from relay.channels.attempts import channel_label
from relay.channels.sealing import CannotOpen, Sealed, Vault
from relay.channels.vapid import Vapid
from relay.db.channels import replace_sealed, select_sealed_otherwise
from relay.db.notifications import note_lost_tasks, select_waiting
from relay.db.outbox import Outbox
from relay.db.pool import DATABASE_ERRORS, Database
from relay.db.work_failures import WorkFailures
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
        failures = _failures()
        while True:
            failures.begin_attempt()
            try:
                if await note_lost_tasks(self._database, self._outbox.bounds):
                    self._outbox.wake()
            except DATABASE_ERRORS as error:
                failures.note(error)
            await trio.sleep(LOST_SECONDS)

    async def count(self) -> None:
        """Count what waits until cancelled. Then another process does, and this one shows 0."""
        failures = _failures()
        try:
            while True:
                failures.begin_attempt()
                try:
                    _show_waiting(*await select_waiting(self._database))
                except DATABASE_ERRORS as error:
                    failures.note(error)
                await trio.sleep(COUNT_SECONDS)
        finally:
            _show_waiting(0, 0.0)

    async def reseal(self, interval: float) -> None:
        """Seal anew what another key than the first has sealed, every `interval` seconds."""
        failures = _failures()
        while True:
            failures.begin_attempt()
            try:
                await reseal_channels(self._database, self._vault)
                await self._vapid.reseal()
            except DATABASE_ERRORS as error:
                failures.note(error)
            await trio.sleep(interval)


def _show_waiting(count: int, oldest: float) -> None:
    metrics.notifications_waiting.set(count)
    metrics.notifications_oldest.set(oldest)


async def reseal_channels(database: Database, vault: Vault) -> None:
    """Seal the settings of all channels with the first key, as far as a key opens them."""
    other_kids = [kid for kid in vault.kids if kid != vault.kid]
    left = 0  # with a key of the same name that is another one: they stay as they are
    while other_kids and len(found := await select_sealed_otherwise(database, other_kids)) > left:
        left = 0
        for channel in found:
            label = channel_label(channel.channel_id.bytes)
            try:
                secret = vault.open(Sealed(channel.kid, channel.sealed), label)
            except CannotOpen:
                left += 1
                continue
            await replace_sealed(database, channel, *vault.seal(secret, label))


def _failures() -> WorkFailures:
    return WorkFailures("relay.channels", waits="channels_wait", refused="channels_refused")
