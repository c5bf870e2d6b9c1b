"""The channels of users: added, tested, and sent to."""

from typing import NamedTuple
from uuid import UUID, uuid4

import msgspec
from msgspec import UNSET

from relay.channels.attempts import channel_label
from relay.channels.kinds import KINDS
from relay.channels.kinds.base import MIN_DURATION_SECONDS, ChannelRequest, KindContext
from relay.channels.senders import Senders
from relay.channels.upkeep import OutboxUpkeep
from relay.db.channels import NewChannel, add_channel, add_test
from relay.db.outbox import Outbox
from relay.db.pool import Database

MAX_CHANNELS = 20  # of one user

DEFAULT_EVENTS = ("failed", "lost", "waiting", "succeeded")


class IssuedChannel(NamedTuple):
    """A channel that was just added. `issued` is shown this once."""

    channel_id: UUID
    issued: dict[str, str]


class Channels:
    """The channels, for one process."""

    def __init__(self, database: Database, outbox: Outbox, context: KindContext) -> None:
        self._database = database
        self._outbox = outbox
        self.context = context
        self.senders = Senders(database, outbox, context)
        self.upkeep = OutboxUpkeep(database, outbox, context.vault, context.vapid)

    async def run(self) -> None:
        """Send what is due until cancelled."""
        try:
            await self.senders.run()
        finally:
            await self.context.outbound.close()

    async def add(
        self, user_id: UUID, request: ChannelRequest, *, by: UUID
    ) -> IssuedChannel | None:
        """Add a channel for a session; None if the user has `MAX_CHANNELS`. Raises Invalid."""
        kind = KINDS[request.__struct_config__.tag]  # type: ignore[index]
        settings = await kind.check(request, self.context)
        channel_id = uuid4()
        sealed = self.context.vault.seal(
            msgspec.json.encode(settings), channel_label(channel_id.bytes)
        )
        chosen = request.on is not UNSET
        new = NewChannel(
            user_id=user_id,
            channel_id=channel_id,
            kind=kind.name,
            kid=sealed.kid,
            sealed=sealed.data,
            shown=msgspec.json.encode(kind.shown(settings)).decode(),
            events=list(DEFAULT_EVENTS if request.on is UNSET else dict.fromkeys(request.on)),
            min_duration_s=(
                (0.0 if chosen else MIN_DURATION_SECONDS)
                if request.min_duration_s is UNSET
                else request.min_duration_s
            ),
            unless_watched=request.unless_watched,
            with_message=request.message,
            created_by=by,
        )
        if await add_channel(self._database, new, at_most=MAX_CHANNELS) is None:
            return None
        return IssuedChannel(channel_id, kind.issued(settings))

    async def test(self, user_id: UUID, channel_id: UUID, *, by: UUID) -> UUID | None:
        """Send a test through the outbox; returns its id, or None if nothing can be sent there."""
        made = await add_test(
            self._database, user_id, channel_id, by=by, max_waiting=self._outbox.bounds.max_waiting
        )
        self._outbox.wake()
        return made
