"""The answers about channels that `relay channels` reads."""

import msgspec


class ChannelRow(msgspec.Struct):
    """A channel. `shown` tells it apart, by name; times are RFC 3339, in UTC."""

    channel_id: str
    kind: str
    shown: dict[str, str]
    on: list[str]
    min_duration_s: float
    unless_watched: bool
    message: bool
    created_at: str
    delivered_at: str | None
    failed_at: str | None
    last_error: str | None
    ended_at: str | None
    waiting: int = 0


class ChannelList(msgspec.Struct):
    channels: list[ChannelRow]


class AddedChannel(msgspec.Struct):
    channel_id: str
    signing_secret: str | None = None


class CodeSent(msgspec.Struct):
    """A code was mailed to the address, valid for `expires_in` seconds."""

    address: str
    expires_in: int


class SentTest(msgspec.Struct):
    notification_id: str


class DeliveryRow(msgspec.Struct):
    """A notification of a channel, and what became of it so far."""

    notification_id: str
    type: str
    task_id: str | None
    made_at: str
    outcome: str
    attempts: int
    status: int | None
    error: str | None

    @property
    def is_decided(self) -> bool:
        """Whether it is over, or its first attempt has failed."""
        return self.outcome != "waiting" or self.error is not None


class DeliveryList(msgspec.Struct):
    deliveries: list[DeliveryRow]
