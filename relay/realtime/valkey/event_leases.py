"""Rate limits on events, counted over all processes, mostly without a wait.

A process may take up to one *part* of a limit before it pays for it: its debt, which it pays in the
background. It also holds a *lease*: events that are paid in advance, as many as it needed lately,
but one part at most. A post that needs more asks, and waits.

The nodes lend at most `burst - reserve`, so the total never exceeds the limit. The reserve covers,
for each process, three parts: one that is taken and not paid yet; one that is paid beyond what the
nodes lend (the process takes nothing until that is past); and a lease that was paid so long ago
that the limit has recovered since. A burst too small for a reserve has no parts: each post asks.
"""

import math
from collections.abc import Sequence
from functools import partial

import hiredis
import trio

from relay.config.parsers import Rate
from relay.realtime.valkey.connection import OnReply
from relay.realtime.valkey.greeting import Reply
from relay.realtime.valkey.names import CountNames, Key
from relay.realtime.valkey.scripts import LOST, Scripts
from relay.realtime.valkey.shared_rates import LEND, MICROSECONDS, ExactRates, microseconds
from relay.shared_limits import Charge, OnOwed, Taken

RESERVED_SHARE = 8  # an eighth of the burst: small enough to go unnoticed
LARGEST_POST = 1_000  # events; it must fit into what is lent
MAY_JOIN = 3  # processes that others may not know yet
MANY = 64  # processes, as long as one that has just begun does not know how many there are
PAY_SECONDS = 0.05  # until a debt is paid: with those of other limits, and their answers together
LEASE_SECONDS = 0.25  # a lease is for so long, at the rate of the last events
HOLD_SECONDS = 1.0  # then what is left of it is lost, as the producer posts elsewhere, or rests
MAX_ACCOUNTS = 20_000  # limits with something at hand; past it posts ask


def reserve_of(rate: Rate) -> int:
    """The events of the burst that the nodes do not lend; 0 if each post asks for itself."""
    reserve = rate.burst // RESERVED_SHARE
    return reserve if rate.burst - reserve >= LARGEST_POST else 0


class _Account:
    """What this process has at hand of one limit, and what it owes."""

    __slots__ = (
        "charge",
        "closed_until",
        "debt",
        "key",
        "lease",
        "lease_until",
        "request_pending",
        "reserve",
        "settled_at",
        "spent",
    )

    def __init__(self, charge: Charge, key: Key) -> None:
        self.charge = charge
        self.key = key
        self.reserve = reserve_of(charge.rate)
        self.debt = 0  # events that are taken and, as far as is known, not paid
        self.lease = 0  # events that are paid and not taken
        self.lease_until = 0.0
        self.closed_until = 0.0  # until then more is owed than the nodes lend
        self.request_pending = False
        self.settled_at = float("-inf")
        self.spent = 0  # since then

    @property
    def lent(self) -> int:
        """How many events may be owed after a lease or a post."""
        return self.charge.rate.burst - self.reserve

    def at_hand(self, part: int, now: float) -> int:
        lease = self.lease if now < self.lease_until else 0
        return lease + (max(0, part - self.debt) if now >= self.closed_until else 0)

    def take(self, events: int, now: float) -> None:
        leased = min(events, self.lease) if now < self.lease_until else 0
        self.lease -= leased
        self.debt += events - leased
        self.spent += events

    def wanted(self, part: int, now: float) -> int:
        """How large a lease should be, by what was taken since the last one."""
        elapsed = now - self.settled_at
        share = 1.0 if elapsed <= LEASE_SECONDS else LEASE_SECONDS / elapsed
        return min(part, int(self.spent * share))

    def is_idle(self, now: float) -> bool:
        return not self.debt and now >= max(self.lease_until, self.closed_until)


class EventLeases:
    """The accounts of one process.

    `set_processes` is to be called with how many processes there are, or None while that is not
    known: then a part is as small as with many.
    """

    def __init__(self, scripts: Scripts, rates: ExactRates, names: CountNames) -> None:
        self._scripts = scripts
        self._rates = rates
        self._names = names
        self._accounts: dict[tuple[str, object], _Account] = {}
        self._due: dict[_Account, None] = {}  # whose debts are to be paid soon
        self._woken = trio.Event()
        self._processes = MANY
        self._on_owed: OnOwed = _ignore

    def set_processes(self, count: int | None) -> None:
        """Note how many processes there are, this one included."""
        self._processes = MANY if count is None else count

    def report_owed(self, on_owed: OnOwed) -> None:
        """Call `on_owed` with what the nodes say of a charge."""
        self._on_owed = on_owed

    def tidy(self) -> None:
        """Forget accounts with nothing at hand, and pay debts again. Call it now and then.

        What was sent on a connection that was lost may not have been paid.
        """
        now = trio.current_time()
        for name, account in list(self._accounts.items()):
            if account.is_idle(now):
                del self._accounts[name]
            else:
                self._settle(account, now)

    async def spend(self, charges: Sequence[Charge]) -> Taken | None:
        """Take all charges, or none; None if a node is away."""
        asked: dict[int, float] = {}  # what is owed of those that were asked for
        began = trio.current_time()
        while (short := self._find_short(charges, asked)) is not None:
            charge, account = charges[short], self._account(charges[short])
            taken = await self._rates.take_from([account.key], [charge], [account.lent])
            if taken is None:
                return None
            if taken.refused is not None:
                self._give_back([charges[n] for n in asked], began)
                owed = [taken.owed[0] if n == short else 0.0 for n in range(len(charges))]
                return Taken(owed, short, taken.wait)
            asked[short] = taken.owed[0]
        now = trio.current_time()
        for n, charge in enumerate(charges):
            if n not in asked:
                account = self._account(charge)
                account.take(charge.cost, now)
                self._settle_soon(account, now)
        return Taken([asked.get(n, 0.0) for n in range(len(charges))])

    def _find_short(self, charges: Sequence[Charge], asked: dict[int, float]) -> int | None:
        """The first charge that is neither asked for nor at hand."""
        now = trio.current_time()
        for n, charge in enumerate(charges):
            if n not in asked and self._at_hand(self._account(charge), now) < charge.cost:
                return n
        return None

    def _at_hand(self, account: _Account, now: float) -> int:
        if self._scripts.connection_of(account.key.slot) is None:
            return 0
        return account.at_hand(self._part_of(account), now)

    def _part_of(self, account: _Account) -> int:
        return account.reserve // (3 * (self._processes + MAY_JOIN))

    def _account(self, charge: Charge) -> _Account:
        name = (charge.limit, charge.key)
        account = self._accounts.get(name)
        if account is None:
            account = _Account(charge, self._names.of_limit(*name, charge.key))
            if account.reserve and len(self._accounts) < MAX_ACCOUNTS:
                self._accounts[name] = account
            else:
                account.closed_until = math.inf
        return account

    async def run(self) -> None:
        """Pay debts until cancelled."""
        while True:
            await self._woken.wait()
            await trio.sleep(PAY_SECONDS)
            self._woken = trio.Event()
            due, self._due = self._due, {}
            now = trio.current_time()
            for account in due:
                self._settle(account, now)

    def _settle_soon(self, account: _Account, now: float) -> None:
        """Pay at once what is more than half of a part, and less with other debts."""
        if 2 * account.debt > self._part_of(account):
            self._settle(account, now)
        elif account.debt:
            self._due[account] = None
            self._woken.set()

    def _settle(self, account: _Account, now: float) -> None:
        """Pay what was taken, and ask for a lease, in the background: one request at a time."""
        if account.request_pending or not account.debt:
            return
        wanted = account.wanted(self._part_of(account), now)
        account.settled_at, account.spent = now, 0
        note = partial(self._note, account, account.debt)
        account.request_pending = self._lend(
            account.charge, account.key, account.debt, wanted, note
        )

    def _note(self, account: _Account, paid: int, reply: Reply) -> None:
        account.request_pending = False
        now = trio.current_time()
        if reply is LOST:
            return  # it may not be paid: `tidy` pays it
        if isinstance(reply, hiredis.ReplyError):  # this process counts alone for a while
            account.debt, account.closed_until = 0, now + HOLD_SECONDS
            return
        granted, owed = reply[0], reply[1] / MICROSECONDS
        account.debt -= paid
        account.lease = granted + (account.lease if now < account.lease_until else 0)
        account.lease_until = now + HOLD_SECONDS
        account.closed_until = now + owed - account.lent * account.charge.rate.interval
        self._on_owed(account.charge, owed)
        self._settle_soon(account, now)

    def _give_back(self, charges: Sequence[Charge], began: float) -> None:
        """Give back what was taken for a post that is refused, but for what is past already."""
        elapsed = trio.current_time() - began
        for charge in charges:
            left = charge.cost - elapsed / charge.rate.interval
            if left > 0:
                key = self._names.of_limit(charge.limit, charge.key, charge.key)
                self._lend(charge, key, -left, 0, _take_reply)

    def _lend(self, charge: Charge, key: Key, spent: float, wanted: int, on_reply: OnReply) -> bool:
        burst = charge.rate.burst
        arguments = [
            *(b"%.6f" % spent, b"%d" % wanted, microseconds(charge, 1)),
            *(microseconds(charge, burst - reserve_of(charge.rate)), microseconds(charge, burst)),
        ]
        return self._scripts.run(LEND, key.slot, [key.name], arguments, on_reply)


def _ignore(_charge: Charge, _owed: float) -> None:
    """Note nothing: no one asks."""


def _take_reply(_reply: Reply) -> None:
    """What was given back is not asked about."""
