"""Rate limits by the generic cell rate algorithm (GCRA), in bounded memory.

GCRA keeps one number a key, the theoretical arrival time (TAT): the time at which all that was
taken so far is paid for at the steady rate. A request is allowed while its TAT is at most one
burst ahead of now. (ITU-T I.371, annex A; the virtual scheduling form.) Clocks are monotonic.

A process that counts alone decides without a wait, so limits are exact under concurrency. Where
processes count together (`shared_limits.py`), what is stored here is what this process knows of it:
a charge that it refuses need not be asked for.
"""

import heapq
import math
import time
from collections.abc import Callable, Collection, Hashable, Sequence
from typing import NamedTuple
from uuid import UUID

from relay.config.parsers import Rate
from relay.config.settings import Settings
from relay.errors import RateLimited
from relay.observability import metrics
from relay.observability.logs import extend_log_context
from relay.shared_limits import Charge, SharedRates, Taken

MAX_KEYS = 100_000  # about 20 MiB: the users and addresses of a busy minute
ROUNDING_ERROR_SECONDS = 1e-9  # the error that sums of intervals may have
CALL_ROUNDING_SECONDS = 1e-5  # more than what datetimes and timedeltas round
WAITS_OF_USER = 100  # times the rate of one ask or task: asks that are open, tasks of one beat
CODES_OF_CLIENT = 4  # times the rate of one mail address: people behind one network address
TRIES_OF_CODE = 4  # times the rate of mails: a code that was mistyped is entered again
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
                f" and this request counts as {charge.cost}: send fewer at a time."
            )
        else:
            detail = f"More than {charge.rate} {charge.what}: try again in {retry_after} s."
        super().__init__(detail, retry_after=retry_after)


class Limits:
    """The rate limits of one process, or its part in those of all processes with `shared`.

    Its methods count what no Quart extension counts: events, handshakes and waiting calls. Each
    returns the quota with the fewest left, or None if rate limits are off.
    """

    def __init__(
        self,
        settings: Settings,
        clock: Clock = time.monotonic,
        shared: SharedRates | None = None,
    ) -> None:
        self._settings = settings
        self._shared = shared
        self.allowances = Allowances(clock=clock)
        if shared is not None:
            shared.report_owed(self._note_owed)

    @property
    def is_shared(self) -> bool:
        """Whether processes count together."""
        return self._shared is not None

    async def charge_events(self, token_id: UUID, address: str, events: int) -> Quota | None:
        """Charge this many events to a hook token and its address. Raises OverLimit."""
        if not self._settings.rate_limits:
            return None
        token = self._settings.rate_events_per_token
        block = self._settings.rate_events_per_address
        charges = (
            Charge("events_token", token_id, token, events, "events of this token"),
            Charge("events_address", address, block, events, "events from this address"),
        )
        if self._shared is None:
            return self._settle(charges, None)
        self._check(charges, self.allowances.clock())
        return self._settle(charges, await self._shared.spend(charges))

    async def charge_handshake(self, address: str) -> Quota | None:
        """Charge a stream's handshake to its address. Raises OverLimit."""
        rate, what = self._settings.rate_handshakes, "new streams from this address"
        return await self._take([Charge("handshakes_address", address, rate, 1, what)], address)

    async def charge_viewer(self, user_id: UUID) -> Quota | None:
        """Charge a stream's handshake to its user. Raises OverLimit."""
        rate, what = self._settings.rate_handshakes, "new streams of this user"
        return await self._take([Charge("handshakes_user", user_id, rate, 1, what)], user_id)

    async def charge_beat(self, user_id: UUID, task_ids: Collection[str]) -> Quota | None:
        """Charge a beat to each of a user's tasks, and all to the user. Raises OverLimit."""
        return await self._charge_waits(user_id, task_ids, "beats of one task")

    async def charge_look(self, user_id: UUID, ask_id: UUID) -> Quota | None:
        """Charge a look at one of a user's asks to the ask and to the user. Raises OverLimit."""
        return await self._charge_waits(user_id, [ask_id], "looks at one ask")

    async def charge_mail_code(self, user_id: UUID, mailbox: str, address: str) -> Quota | None:
        """Charge a mail with a code to the user, the client and its address, one by one.

        Raises OverLimit: what was charged before stays charged.
        """
        charges = self._mail_code_charges(user_id, mailbox, address)
        quotas = [await self._take([charge], charge.key) for charge in charges]
        return min(filter(None, quotas), key=lambda quota: quota.remaining, default=None)

    async def refund_mail_code(
        self, user_id: UUID, mailbox: str, address: str, *, tried: bool = False
    ) -> None:
        """Give back the charge of a mail that is not sent; not to a client that has `tried` it."""
        of_user, of_client, of_mailbox = self._mail_code_charges(user_id, mailbox, address)
        for one in (of_user, of_mailbox) if tried else (of_user, of_client, of_mailbox):
            await self._take([one._replace(cost=-one.cost)], one.key)

    def _mail_code_charges(self, user_id: UUID, mailbox: str, address: str) -> tuple[Charge, ...]:
        rate = self._settings.rate_mail_codes
        of_client = rate.times(CODES_OF_CLIENT)
        return (
            Charge("mail_codes_user", user_id, rate, 1, "mailed codes of this user"),
            Charge("mail_codes_client", address, of_client, 1, "mailed codes of this network"),
            Charge("mail_codes", mailbox, rate, 1, "codes to this address"),
        )

    async def charge_mail_code_try(self, user_id: UUID, mailbox: str, address: str) -> Quota | None:
        """Charge a try to enter the code of a mail address to the client and its user.

        So no user keeps others from adding an address, and many users of one client try little
        more than one. Raises OverLimit.
        """
        tries, key = self._settings.rate_mail_codes.times(TRIES_OF_CODE), (user_id, mailbox)
        of_client = tries.times(CODES_OF_CLIENT)
        what = "tries to enter a code from this network"
        await self._take([Charge("mail_code_tries_client", address, of_client, 1, what)], address)
        what = "tries to enter a code of this address"
        return await self._take([Charge("mail_code_tries", key, tries, 1, what)], user_id)

    async def _charge_waits(
        self, user_id: UUID, keys: Collection[Hashable], what: str
    ) -> Quota | None:
        """Charge each key, and the user.

        A call may name keys that do not exist, and would be free otherwise.
        """
        rate = self._settings.rate_waits
        of_user = rate.times(WAITS_OF_USER)
        charges = [
            *(Charge("waits", (user_id, key), rate, 1, what) for key in keys),
            Charge("waits_user", user_id, of_user, len(keys), "beats and looks of this user"),
        ]
        return await self._take(charges, user_id)

    async def count_call(self, charge: Charge) -> float | None:
        """Count a call over all processes, and return what was owed before it.

        It is in seconds at the rate; the caller decides by it. A refused call returns more than
        `burst - 1` intervals. None if this process counts alone.
        """
        if self._shared is None:
            return None
        now, interval = self.allowances.clock(), charge.rate.interval
        known = self.allowances.get((charge.limit, charge.key), now) - now
        if known + interval > charge.rate.burst * interval:
            return known + CALL_ROUNDING_SECONDS
        taken = await self._shared.take([charge], charge.key)
        if taken is None:
            return None
        self._note_owed(charge, taken.owed[0])
        if taken.refused is not None:
            return taken.owed[0]
        return max(0.0, taken.owed[0] - interval - CALL_ROUNDING_SECONDS)

    async def _take(self, charges: Sequence[Charge], beside: Hashable) -> Quota | None:
        """Take all charges, or none. Raises OverLimit."""
        if not self._settings.rate_limits:
            return None
        if self._shared is None:
            return self._settle(charges, None)
        self._check(charges, self.allowances.clock())
        return self._settle(charges, await self._shared.take(charges, beside))

    def _settle(self, charges: Sequence[Charge], taken: Taken | None) -> Quota | None:
        """Store the result of charges, and return the tightest quota. Raises OverLimit.

        `taken` is the answer of all processes; if it is None, this process decides.
        """
        now = self.allowances.clock()
        if taken is None:
            paid = self._check(charges, now)
        elif taken.refused is None:
            pairs = zip(charges, taken.owed, strict=True)
            paid = [max(self._paid_at(charge, now), now + owed) for charge, owed in pairs]
        else:
            for charge, owed in zip(charges, taken.owed, strict=True):
                self._note_owed(charge, owed)
            refused = charges[taken.refused]
            raise note_refusal(refused, taken.wait, taken.owed[taken.refused])
        tightest: Quota | None = None
        for charge, paid_at in zip(charges, paid, strict=True):
            self.allowances.set((charge.limit, charge.key), paid_at)
            quota = _quota(charge.rate, paid_at - now)
            if tightest is None or quota.remaining < tightest.remaining:
                tightest = quota
        return tightest

    def _check(self, charges: Sequence[Charge], now: float) -> list[float]:
        """The TATs after these charges. Raises OverLimit if one is known to be over its limit."""
        paid = []
        for charge in charges:
            rate, cost = charge.rate, charge.cost
            owed = self.allowances.get((charge.limit, charge.key), now) - now
            wait = owed + (cost - rate.burst) * rate.interval
            if wait > ROUNDING_ERROR_SECONDS:
                raise note_refusal(charge, wait, owed)
            paid.append(now + owed + cost * rate.interval)
        return paid

    def _paid_at(self, charge: Charge, now: float) -> float:
        """The TAT after a charge, as far as this process knows."""
        arrival = self.allowances.get((charge.limit, charge.key), now)
        return arrival + charge.cost * charge.rate.interval

    def _note_owed(self, charge: Charge, owed: float) -> None:
        """Note what all processes owe of a limit, as it was a moment ago."""
        now, key = self.allowances.clock(), (charge.limit, charge.key)
        if now + owed > self.allowances.get(key, now):
            self.allowances.set(key, now + owed)


def note_refusal(charge: Charge, wait: float, owed: float) -> OverLimit:
    """Count a refused charge, and name its limit in the log; returns the problem to raise."""
    metrics.rate_limited.labels(charge.limit).inc()
    extend_log_context(limit=charge.limit)
    return OverLimit(charge, wait, _quota(charge.rate, owed))


def _quota(rate: Rate, owed: float) -> Quota:
    """The quota left of a rate when `owed` seconds of its burst are taken."""
    remaining = rate.burst - math.ceil(owed / rate.interval - 1e-6)
    return Quota(rate.burst, max(0, remaining), math.ceil(owed))
