"""The bounds of receiving hosts, which the database keeps for all processes together, and turns."""

from collections.abc import Collection
from datetime import timedelta
from typing import NamedTuple, Self

from relay.config.parsers import Rate
from relay.config.settings import Settings

NO_INTERVAL = timedelta(0)


class ReceiverBounds(NamedTuple):
    """How fast a host is called, and how often at a time. An interval of zero, as here, is no rate.

    So many users' channels to one host neither flood it, nor take all senders when it is slow.
    """

    interval: timedelta = NO_INTERVAL
    burst: int = 1
    calls: int = 16

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The bounds of the settings."""
        rate = settings.rate_receiver
        return cls(interval_of(settings, rate), rate.burst, settings.receiver_calls)


def last_in_turn(after: str, hosts: Collection[str]) -> str:
    """The one of these hosts that comes last in a round which starts after the host `after`.

    `after` itself is the last one of a whole round; it is also returned if there are no hosts.
    """
    return max((host for host in hosts if host <= after), default=max(hosts, default=after))


def interval_of(settings: Settings, rate: Rate) -> timedelta:
    """The time between two of a rate; zero if there are no rates."""
    return timedelta(seconds=rate.interval) if settings.rate_limits else NO_INTERVAL
