"""What a kind of channel is: its settings, their check, and how it sends a notification."""

from typing import Annotated, Any, ClassVar, Generic, Protocol, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from relay.channels.calls import Calls
from relay.channels.mail import Mailer
from relay.channels.notification import Event, Notification
from relay.channels.sealing import Vault
from relay.channels.vapid import Vapid
from relay.config.settings import Settings
from relay.db.pool import Database

MAX_MIN_DURATION_SECONDS = 30 * 86_400
MIN_DURATION_SECONDS = 120.0  # of a success that is worth a notification by default


class ChannelRequest(
    msgspec.Struct, tag_field="kind", forbid_unknown_fields=True, kw_only=True, omit_defaults=True
):
    """A channel to be added: its kind, what that needs, and the rules.

    `on`: the states that make a notification. Without it these are `failed`, `lost`, `waiting`, and
    `succeeded` of tasks that took `min_duration_s`, 120 seconds, or longer. With it
    `min_duration_s` is 0 unless given. `unless_watched`: not while a page of the user is looked at.
    `message`: whether the last line of the task is sent along.
    """

    on: Annotated[list[Event], Meta(min_length=1, max_length=5)] | UnsetType = UNSET
    min_duration_s: Annotated[float, Meta(ge=0, le=MAX_MIN_DURATION_SECONDS)] | UnsetType = UNSET
    unless_watched: bool = True
    message: bool = True


class KindContext(msgspec.Struct, frozen=True):
    """What kinds use of the process: its settings, its address, the way out, and the keys.

    `mailer` is None if the operator has set no mail server.
    """

    settings: Settings
    base_url: str
    database: Database
    outbound: Calls
    vault: Vault
    vapid: Vapid
    mailer: Mailer | None = None


class Delivered(msgspec.Struct, frozen=True):
    """The receiver has it."""

    status: int | None = None


class Retry(msgspec.Struct, frozen=True):
    """It is to be tried again, not before `after_s` seconds if the receiver says so.

    `pauses_channel`: what waits for the channel would meet the same, and waits, too.
    """

    reason: str
    status: int | None = None
    after_s: float | None = None
    pauses_channel: bool = True


class Refused(msgspec.Struct, frozen=True):
    """It will not be delivered. `ends_channel`: nor will any other."""

    reason: str
    status: int | None = None
    ends_channel: bool = False


Outcome = Delivered | Retry | Refused

Request = TypeVar("Request", bound=ChannelRequest, contravariant=True)
Config = TypeVar("Config", bound=msgspec.Struct)


class Kind(Protocol, Generic[Request, Config]):
    """A kind of channel.

    `request` is what a person sends to add one, with the kind's name as its tag; `settings` is what
    is kept of it, encrypted. `example` is a request for the reference.
    """

    name: ClassVar[str]
    request: ClassVar[type[Any]]
    settings: ClassVar[type[Any]]
    example: ClassVar[ChannelRequest]

    async def check(self, request: Request, context: KindContext) -> Config:
        """The settings of a new channel. Raises Invalid, with the field that is wrong."""
        ...

    def shown(self, settings: Config) -> dict[str, str]:
        """What lists show of the settings: enough to recognize it, and no secret."""
        ...

    def host(self, settings: Config) -> str | None:
        """The host that is called, whose bounds hold for all channels there; None: it has none."""
        ...

    def issued(self, settings: Config) -> dict[str, str]:
        """What the answer that adds the channel shows, this once."""
        ...

    async def send(
        self, settings: Config, notification: Notification, context: KindContext
    ) -> Outcome:
        """Send a notification. A failure of the network or the receiver is an outcome, too."""
        ...


AnyKind = Kind[Any, Any]
