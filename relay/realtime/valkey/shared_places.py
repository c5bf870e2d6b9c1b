"""Places that all processes count together: live streams, waiting calls and downloads.

Each user and address has a hash on the node of its key, with a number for each process and the time
until which it counts. A process writes its whole number each time, never a difference, so what was
lost or written twice is right again with the next one. Numbers are written anew before they expire,
and after a node has been away: those of a process that died expire, by the node's clock.
"""

from collections.abc import Hashable, Sequence
from itertools import islice
from types import TracebackType
from uuid import UUID

import hiredis
import trio

from relay.realtime.valkey.connection import NodeConnection
from relay.realtime.valkey.greeting import Reply
from relay.realtime.valkey.names import CountNames, Key
from relay.realtime.valkey.scripts import Script, Scripts
from relay.shared_limits import HeldPlaces, Place

# How long the places of a process that died are taken: longer than a process may be held up
# (three renewals), and short enough for streams that come back to another process.
EXPIRY_SECONDS = 15.0
RENEWAL_SECONDS = 5.0
TICK_SECONDS = 0.1  # between two looks for numbers to write
SCAN_SECONDS = 1.0  # between two looks at all numbers, while some are not written
MAX_RENEWALS = 400  # in one tick, a few milliseconds: 20 000 in five seconds
MAX_PROCESSES = 1_000  # in one hash: more were written by another program, so it begins anew

# The process, its number before, how many more it wants, the most of all, and milliseconds until
# they expire. Numbers of others that are none, or are past, are dropped; none counts for longer
# than that from now, whatever the clock was when it was written. It answers 1 if they are granted.
_HOLD = Script(
    f"""
local key, me = KEYS[1], ARGV[1]
local held, wanted, most = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local expiry = tonumber(ARGV[5])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local stored = redis.pcall('HGETALL', key)
if stored.err or #stored > {2 * MAX_PROCESSES} then
  redis.call('DEL', key)
  stored = {{}}
end
local others = 0
for n = 1, #stored, 2 do
  if stored[n] ~= me then
    local number, past = string.match(stored[n + 1], '^(%d%d?%d?%d?%d?%d?%d?) (%d+)$')
    if not number or tonumber(past) <= now then
      redis.call('HDEL', key, stored[n])
    else
      others = others + tonumber(number)
      if tonumber(past) > now + expiry then
        redis.call('HSET', key, stored[n], number .. ' ' .. string.format('%d', now + expiry))
      end
    end
  end
end
if others + held + wanted > most and wanted > 0 then return 0 end
if held + wanted > 0 then
  redis.call('HSET', key, me, held + wanted .. ' ' .. string.format('%d', now + expiry))
  redis.call('PEXPIRE', key, expiry)
else
  redis.call('HDEL', key, me)
end
return 1
"""
)


class _Count:
    """The places that this process holds, or asks for, of one user or address."""

    __slots__ = ("held", "key", "place", "written_at", "written_on")

    def __init__(self, place: Place, key: Key) -> None:
        self.place = place
        self.key = key
        self.held = 0
        self.written_at = float("-inf")
        self.written_on: NodeConnection | None = None

    def is_old(self, now: float) -> bool:
        """Whether the number expires soon."""
        return now - self.written_at >= RENEWAL_SECONDS


class PlaceCounts:
    """The places of one process."""

    def __init__(self, scripts: Scripts, names: CountNames, process_id: UUID) -> None:
        self._scripts = scripts
        self._names = names
        self._process = process_id.bytes
        self._counts: dict[tuple[str, Hashable], _Count] = {}  # those written longest ago first
        self._known: set[NodeConnection] = set()
        self._unwritten = False  # whether some may not be as they were written
        self._scan_at = 0.0

    def hold(self, places: Sequence[Place]) -> HeldPlaces:
        """What holds these places."""
        return _Held(self, places)

    async def enter(self, places: Sequence[Place]) -> None:
        """Take all places, or none. Raises the refusal of the first that is not left."""
        asked: list[Place] = []
        entered = False
        try:
            for place in places:
                asked.append(place)
                if not await self._take(place):
                    raise place.refusal()
            entered = True
        finally:
            if not entered:
                self.leave(asked)

    async def _take(self, place: Place) -> bool:
        """Ask for one place. While this process counts alone it is granted."""
        count = self._find(place)
        count.held += 1
        self._note_write(place, count)
        arguments = self._arguments(count, held=count.held - 1, wanted=1)
        key = count.key
        reply = await self._scripts.ask(_HOLD, key.slot, [key.name], arguments)
        if reply is None:
            self._note_unwritten(count)
        return reply != 0

    def leave(self, places: Sequence[Place]) -> None:
        """Give places back."""
        for place in places:
            count = self._find(place)
            count.held -= 1
            self._write(place, count)

    def _find(self, place: Place) -> _Count:
        name = (place.bound, place.key)
        count = self._counts.get(name)
        if count is None:
            count = self._counts[name] = _Count(place, self._names.of_place(*name))
        return count

    def _write(self, place: Place, count: _Count) -> None:
        """Write the number of places that are held, in the background."""
        self._note_write(place, count)
        if not count.held:
            del self._counts[place.bound, place.key]

        def check(reply: Reply) -> None:
            if isinstance(reply, hiredis.ReplyError):
                self._note_unwritten(count)

        key, arguments = count.key, self._arguments(count, held=count.held, wanted=0)
        if not self._scripts.run(_HOLD, key.slot, [key.name], arguments, check):
            self._note_unwritten(count)

    def _note_write(self, place: Place, count: _Count) -> None:
        name = (place.bound, place.key)
        self._counts[name] = self._counts.pop(name)  # the last one now
        count.written_at = trio.current_time()
        count.written_on = self._scripts.connection_of(count.key.slot)

    def _note_unwritten(self, count: _Count) -> None:
        count.written_on = None
        self._unwritten = True

    def _arguments(self, count: _Count, *, held: int, wanted: int) -> list[bytes]:
        numbers = (held, wanted, count.place.most, int(EXPIRY_SECONDS * 1000))
        return [self._process, *(b"%d" % number for number in numbers)]

    async def run(self) -> None:
        """Write all numbers before they expire, and after a node was away, until cancelled."""
        while True:
            await trio.sleep(TICK_SECONDS)
            self._renew()

    def _renew(self) -> None:
        now = trio.current_time()
        due = [one for one in islice(self._counts.values(), MAX_RENEWALS) if one.is_old(now)]
        connections = self._scripts.connections
        if not connections <= self._known:  # what was written to a node before it may be lost
            self._unwritten = True
        self._known = connections
        if self._unwritten and now >= self._scan_at:
            self._scan_at = now + SCAN_SECONDS
            lost = [one for one in self._counts.values() if not self._is_written(one)]
            due += lost[:MAX_RENEWALS]
            self._unwritten = len(lost) > MAX_RENEWALS
        for count in dict.fromkeys(due):
            self._write(count.place, count)

    def _is_written(self, count: _Count) -> bool:
        connection = self._scripts.connection_of(count.key.slot)
        return connection is not None and connection is count.written_on


class _Held:
    """The HeldPlaces: less than a generator's frame for each open stream."""

    __slots__ = ("_counts", "_places")

    def __init__(self, counts: PlaceCounts, places: Sequence[Place]) -> None:
        self._counts = counts
        self._places = places

    async def take(self) -> None:
        await self._counts.enter(self._places)

    def release(self) -> None:
        self._counts.leave(self._places)

    async def __aenter__(self) -> None:
        await self._counts.enter(self._places)

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._counts.leave(self._places)
