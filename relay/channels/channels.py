"""The channels of users: added, tested, and sent to."""

from typing import NamedTuple
from uuid import UUID, uuid4

import msgspec
from msgspec import UNSET

from relay.channels.kinds import KINDS, kind_of
from relay.channels.kinds.base import MIN_DURATION_SECONDS, ChannelRequest, KindContext
from relay.channels.kinds.email import Email
from relay.channels.kinds.webpush import WebPushRequest
from relay.channels.sealing import channel_label
from relay.channels.senders import Senders
from relay.channels.upkeep import OutboxUpkeep
from relay.channels.urls import load_httpx
from relay.db.channels import MadeTest, NewChannel, add_channel, add_test
from relay.db.outbox import Outbox
from relay.db.pool import Database
from relay.errors import NotFound, Problem, Unavailable

MAX_CHANNELS = 20  # of one user
MAX_TURNS = 3  # of one request, while others change which channel a device has

DEFAULT_EVENTS = ("failed", "lost", "waiting", "succeeded")


class NoSuchChannel(NotFound):
    hint = "There is no such channel. It may have been deleted, or belong to another user."


class TooManyChannels(Problem):
    status, code, title = 409, "too_many_channels", "Too many channels"
    hint = f"This user has {MAX_CHANNELS} channels. Remove one first."


class IssuedChannel(NamedTuple):
    """A channel that was just added, or replaced. `issued` is shown this once."""

    channel_id: UUID
    issued: dict[str, str]
    replaced: bool


class Channels:
    """The channels, for one process."""

    def __init__(self, database: Database, outbox: Outbox, context: KindContext) -> None:
        self._database = database
        self._outbox = outbox
        self.context = context
        self.senders = Senders(database, outbox, context)
        self.upkeep = OutboxUpkeep(database, outbox, context.vault, context.vapid)

    @property
    def addable_kinds(self) -> list[str]:
        """The kinds of channels: with `email` only if the operator has set a mail server."""
        return [name for name in KINDS if name != Email.name or self.context.mailer is not None]

    async def run(self) -> None:
        """Send what is due until cancelled."""
        try:
            await self.senders.run()
        finally:
            await self.context.outbound.close()

    async def add(self, user_id: UUID, request: ChannelRequest, *, by: UUID) -> IssuedChannel:
        """Add a channel for a session; a device that has one replaces it.

        Raises Invalid, TooManyChannels, and NoSuchChannel where it replaces what is not there.
        """
        kind = kind_of(request)
        await load_httpx()
        settings = await kind.check(request, self.context)
        secret, shown = msgspec.json.encode(settings), kind.shown(settings)
        chosen, channel_id = request.on is not UNSET, uuid4()
        new = NewChannel(
            user_id=user_id,
            channel_id=channel_id,
            kind=kind.name,
            kid="",
            sealed=b"",
            shown=msgspec.json.encode(shown).decode(),
            events=list(DEFAULT_EVENTS if request.on is UNSET else dict.fromkeys(request.on)),
            min_duration_s=(
                (0.0 if chosen else MIN_DURATION_SECONDS)
                if request.min_duration_s is UNSET
                else request.min_duration_s
            ),
            unless_watched=request.unless_watched,
            with_message=request.message,
            created_by=by,
            host=kind.host(settings),
            device=shown.get("subscription_id"),
            replaces=_replaced_by(request),
        )
        for _ in range(MAX_TURNS):
            sealed = self.context.vault.seal(secret, channel_label(channel_id))
            new = new._replace(channel_id=channel_id, kid=sealed.kid, sealed=sealed.data)
            outcome, kept = await add_channel(self._database, new, at_most=MAX_CHANNELS)
            if outcome == "full":
                raise TooManyChannels()
            if kept is None:
                raise NoSuchChannel("There is no channel of the subscription that it replaces.")
            if kept == channel_id:
                return IssuedChannel(kept, kind.issued(settings), outcome == "replaced")
            channel_id = kept  # which the settings are sealed for
        raise Unavailable("This device's channel is being changed by other requests. Try again.")

    async def test(self, user_id: UUID, channel_id: UUID, *, by: UUID) -> MadeTest:
        """Send a test through the outbox, unless something is in the way."""
        made = await add_test(
            self._database, user_id, channel_id, by=by, bounds=self._outbox.bounds
        )
        self._outbox.wake()
        return made


def _replaced_by(request: ChannelRequest) -> str | None:
    """The subscription in whose place a device's new one comes."""
    if isinstance(request, WebPushRequest) and request.replaces is not UNSET:
        return request.replaces
    return None
