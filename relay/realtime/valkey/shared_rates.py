"""Rates that all processes count together: GCRA on the node of a limit's key.

The node's clock counts, so those of the processes need not agree. A TAT is stored in microseconds,
and expires once it is past.
"""

from collections.abc import Hashable, Sequence

from relay.realtime.valkey.greeting import Reply
from relay.realtime.valkey.names import CountNames, Key
from relay.realtime.valkey.scripts import Script, Scripts
from relay.shared_limits import Charge, Taken

MICROSECONDS = 1_000_000

# A TAT is never further ahead than the burst allows. One that is was stored before the node's clock
# was set back, or by another program: it is shortened there, too, so that it passes even if all is
# refused. What is no number counts as none.
_OWED = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local function store(key, owes)
  if owes > 0 then
    local milliseconds = string.format('%.0f', owes / 1000 + 1000)
    redis.call('SET', key, string.format('%.17g', now + owes), 'PX', milliseconds)
  else
    redis.call('DEL', key)
  end
end
local function owed(key, most)
  local stored = redis.pcall('GET', key)
  local arrival = type(stored) == 'string' and tonumber(stored)
  if not arrival or not (arrival > now) then return 0 end
  if arrival - now <= most then return arrival - now end
  store(key, most)
  return most
end
"""

# Of each key: the cost, the most that may be owed after it, and the most that may be owed at all.
# It answers with the number of the key that was refused, or 0, and what is owed of each.
_TAKE = Script(
    _OWED
    + """
local owes, refused = {}, 0
for n, key in ipairs(KEYS) do
  owes[n] = owed(key, tonumber(ARGV[3 * n]))
  local most = tonumber(ARGV[3 * n - 1])
  if refused == 0 and owes[n] + tonumber(ARGV[3 * n - 2]) > most + 1 then refused = n end
end
local answer = {refused}
for n, key in ipairs(KEYS) do
  if refused == 0 then
    owes[n] = owes[n] + tonumber(ARGV[3 * n - 2])
    store(key, owes[n])
  end
  answer[n + 1] = math.ceil(owes[n])
end
return answer
"""
)

# What was spent already, how many more are wanted, the cost of each, the most that may be owed
# after those, and the most that may be owed at all. It answers with the number of those granted,
# and what is owed. What was spent may be negative: it is given back.
LEND = Script(
    _OWED
    + """
local spent, wanted, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local owes = math.max(0, owed(KEYS[1], tonumber(ARGV[5])) + spent * cost)
local granted = math.floor((tonumber(ARGV[4]) - owes) / cost)
granted = math.max(0, math.min(wanted, granted))
owes = owes + granted * cost
store(KEYS[1], owes)
return {granted, math.ceil(owes)}
"""
)


def microseconds(charge: Charge, count: float) -> bytes:
    """The time that so many take at the charge's rate."""
    return b"%.6f" % (count * charge.rate.interval * MICROSECONDS)


class ExactRates:
    """Takes charges on the nodes, exactly."""

    def __init__(self, scripts: Scripts, names: CountNames) -> None:
        self._scripts = scripts
        self._names = names

    async def take(self, charges: Sequence[Charge], beside: Hashable) -> Taken | None:
        """Take all charges, whose keys are beside one, or none; None if the node is away."""
        keys = [self._names.of_limit(charge.limit, charge.key, beside) for charge in charges]
        most = [charge.rate.burst for charge in charges]
        return await self.take_from(keys, charges, most)

    async def take_from(
        self, keys: Sequence[Key], charges: Sequence[Charge], most: Sequence[int]
    ) -> Taken | None:
        """The same from these keys, with the numbers that may be owed of each after it."""
        arguments = [
            microseconds(charge, count)
            for charge, at_once in zip(charges, most, strict=True)
            for count in (charge.cost, at_once, charge.rate.burst)
        ]
        names = [key.name for key in keys]
        reply = await self._scripts.ask(_TAKE, keys[0].slot, names, arguments)
        return None if reply is None else _taken(reply, charges, most)


def _taken(reply: Reply, charges: Sequence[Charge], most: Sequence[int]) -> Taken:
    number, *owes = reply
    owed = [microseconds / MICROSECONDS for microseconds in owes]
    if not number:
        return Taken(owed)
    refused = charges[number - 1]
    room = (most[number - 1] - refused.cost) * refused.rate.interval
    return Taken(owed, number - 1, owed[number - 1] - room)
