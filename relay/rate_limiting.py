"""Rate limits by the generic cell rate algorithm (GCRA), in bounded memory.

GCRA keeps one number a key, the theoretical arrival time (TAT): the time at which all that was
taken so far is paid for at the steady rate. A request is allowed while its TAT is at most one
burst ahead of now. (ITU-T I.371, annex A; the virtual scheduling form.) No function here waits, so
limits are exact under concurrency. Clocks are monotonic.
"""

import heapq
import math
import time
from collections.abc import Callable, Collection, Hashable
from ipaddress import IPv6Address
from typing import NamedTuple
from uuid import UUID

from relay.config.parsers import Rate
from relay.config.settings import Settings
from relay.errors import RateLimited
from relay.observability import metrics
from relay.observability.logs import extend_log_context

MAX_KEYS = 100_000  # about 20 MiB: the users and addresses of a busy minute
ROUNDING_ERROR_SECONDS = 1e-9  # the error that sums of intervals may have
WAITS_OF_USER = 100  # times the rate of one ask or task: asks that are open, tasks of one beat
EVICTED_SHARE = 0.1  # the share of keys dropped when there are too many: those that owe least

Clock = Callable[[], float]


class Allowances:
    """Stores each key's TAT, on a monotonic clock, until it is past."""

    def __init__(self, max_keys: int = MAX_KEYS, clock: Clock = time.monotonic) -> None:
        self.clock = clock
        self._max_keys = max_keys
        self._arrivals: dict[Hashable, float] = {}

    def __len__(self) -> int:
        return len(self._arrivals)

    def get(self, key: Hashable, now: float) -> float:
        """The key's TAT; `now` if the key owes nothing."""
        return max(self._arrivals.get(key, now), now)

    def set(self, key: Hashable, arrival: float) -> None:
        """Store the key's TAT. If there are too many keys, those that owe least are dropped."""
        if len(self._arrivals) >= self._max_keys and key not in self._arrivals:
            self._evict()
        self._arrivals[key] = arrival

    def _evict(self) -> None:
        now = self.clock()
        self._arrivals = {key: at for key, at in self._arrivals.items() if at > now}
        surplus = len(self._arrivals) - int(self._max_keys * (1 - EVICTED_SHARE))
        if surplus > 0:
            metrics.rate_limit_keys_evicted.inc(surplus)
            for key in heapq.nsmallest(surplus, self._arrivals, key=self._arrivals.__getitem__):
                del self._arrivals[key]


class Charge(NamedTuple):
    """The cost of one request against one limit."""

    limit: str
    key: Hashable
    rate: Rate
    cost: int
    what: str  # what is counted, for the text of a refusal


class Quota(NamedTuple):
    """What is left of a limit, for the RateLimit-* header fields. `reset` is in seconds."""

    limit: int
    remaining: int
    reset: int

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """The RateLimit-* header fields of a response."""
        return [
            (b"ratelimit-limit", b"%d" % self.limit),
            (b"ratelimit-remaining", b"%d" % self.remaining),
            (b"ratelimit-reset", b"%d" % self.reset),
        ]


class OverLimit(RateLimited):
    """A charge was refused, and nothing was taken from any limit."""

    def __init__(self, charge: Charge, wait: float, quota: Quota) -> None:
        retry_after = max(1, math.ceil(wait))
        self.quota = quota
        if charge.cost > charge.rate.burst:
            detail = (
                f"At most {charge.rate.burst} {charge.what} are allowed at once,"
                f" and this request has {charge.cost}: send fewer at a time."
            )
        else:
            detail = f"More than {charge.rate} {charge.what}: try again in {retry_after} s."
        super().__init__(detail, retry_after=retry_after)


class Limits:
    """The rate limits that no Quart extension counts: on events, handshakes and waiting calls."""

    def __init__(self, settings: Settings, clock: Clock = time.monotonic) -> None:
        self._settings = settings
        self.allowances = Allowances(clock=clock)

    def publish(self, token_id: UUID, address: str, events: int) -> Quota | None:
        """Charge this many events to a hook token and its address. Raises OverLimit."""
        token = self._settings.rate_events_per_token
        block = self._settings.rate_events_per_address
        return self._take(
            Charge("events_token", token_id, token, events, "events of this token"),
            Charge("events_address", address, block, events, "events from this address"),
        )

    def connect_from(self, address: str) -> Quota | None:
        """Charge a stream's handshake to its address. Raises OverLimit."""
        rate, what = self._settings.rate_handshakes, "new streams from this address"
        return self._take(Charge("handshakes_address", address, rate, 1, what))

    def connect_as(self, user_id: UUID) -> Quota | None:
        """Charge a stream's handshake to its user. Raises OverLimit."""
        rate, what = self._settings.rate_handshakes, "new streams of this user"
        return self._take(Charge("handshakes_user", user_id, rate, 1, what))

    def beat(self, user_id: UUID, task_ids: Collection[str]) -> Quota | None:
        """Charge a beat to each of a user's tasks, and all to the user. Raises OverLimit."""
        return self._wait_for(user_id, task_ids, "beats of one task")

    def look(self, user_id: UUID, ask_id: UUID) -> Quota | None:
        """Charge a look at one of a user's asks to the ask and to the user. Raises OverLimit."""
        return self._wait_for(user_id, [ask_id], "looks at one ask")

    def _wait_for(self, user_id: UUID, keys: Collection[Hashable], what: str) -> Quota | None:
        """Charge each of the keys, and the user, whose calls may name what does not exist."""
        rate = self._settings.rate_waits
        of_user = Rate(rate.count * WAITS_OF_USER, rate.period, rate.burst * WAITS_OF_USER)
        return self._take(
            *(Charge("waits", (user_id, key), rate, 1, what) for key in keys),
            Charge("waits_user", user_id, of_user, len(keys), "beats and looks of this user"),
        )

    def _take(self, *charges: Charge) -> Quota | None:
        """Take all charges, or none. Raises OverLimit.

        Returns the quota with the fewest left; None if rate limits are off.
        """
        if not self._settings.rate_limits:
            return None
        now = self.allowances.clock()
        paid = []
        for charge in charges:
            rate, key = charge.rate, (charge.limit, charge.key)
            arrival = self.allowances.get(key, now)
            paid_at = arrival + charge.cost * rate.interval
            wait = paid_at - rate.burst * rate.interval - now
            if wait > ROUNDING_ERROR_SECONDS:
                metrics.rate_limited.labels(charge.limit).inc()
                extend_log_context(limit=charge.limit)
                raise OverLimit(charge, wait, _quota(rate, arrival - now))
            paid.append((key, paid_at, rate))
        tightest: Quota | None = None
        for key, paid_at, rate in paid:
            self.allowances.set(key, paid_at)
            quota = _quota(rate, paid_at - now)
            if tightest is None or quota.remaining < tightest.remaining:
                tightest = quota
        return tightest


def _quota(rate: Rate, owed: float) -> Quota:
    """The quota left of a rate when `owed` seconds of its burst are taken."""
    remaining = rate.burst - math.ceil(owed / rate.interval - 1e-6)
    return Quota(rate.burst, max(0, remaining), math.ceil(owed))


def address_block(address: str) -> str:
    """The key for an address: an IPv4 address, or the /64 block that an IPv6 subscriber gets."""
    if ":" not in address:
        return address
    try:
        parsed = IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return f"{IPv6Address(int(parsed) >> 64 << 64)}/64"
