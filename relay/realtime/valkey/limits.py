"""The limits that all processes count together in a Valkey: rates, leases of events, and places.

While a node is away its limits count in this process alone, at their full rate: a limit is there to
protect, so its own failure refuses nothing.
"""

from collections.abc import Callable, Hashable, Sequence
from uuid import UUID

import structlog
import trio

from relay.observability import metrics
from relay.realtime.valkey.event_leases import EventLeases
from relay.realtime.valkey.names import CountNames
from relay.realtime.valkey.nodes import MAX_REASON, Nodes
from relay.realtime.valkey.scripts import Scripts
from relay.realtime.valkey.shared_places import PlaceCounts
from relay.realtime.valkey.shared_rates import ExactRates
from relay.shared_limits import Charge, HeldPlaces, OnOwed, Place, Taken

LOOK_SECONDS = 1.0  # between two looks at whether all limits are shared
WARN_SECONDS = 60.0  # between two warnings that they are not

log = structlog.get_logger("relay.limits")


class ValkeyLimits:
    """Implements `relay.shared_limits.SharedLimits` while `run` runs.

    `count_processes` returns how many there are, or None while that is not known.
    """

    def __init__(
        self,
        nodes: Nodes,
        names: CountNames,
        process_id: UUID,
        count_processes: Callable[[], int | None],
    ) -> None:
        self._scripts = Scripts(nodes)
        self._rates = ExactRates(self._scripts, names)
        self._leases = EventLeases(self._scripts, self._rates, names)
        self._places = PlaceCounts(self._scripts, names, process_id)
        self._count_processes = count_processes
        self._shared = False
        self._warned = False
        self._warn_at = float("-inf")

    async def take(self, charges: Sequence[Charge], beside: Hashable) -> Taken | None:
        return self._noted(await self._rates.take(charges, beside))

    async def spend(self, charges: Sequence[Charge]) -> Taken | None:
        return self._noted(await self._leases.spend(charges))

    def report_owed(self, on_owed: OnOwed) -> None:
        self._leases.report_owed(on_owed)

    def hold(self, places: Sequence[Place]) -> HeldPlaces:
        return self._places.hold(places)

    def _noted(self, taken: Taken | None) -> Taken | None:
        """Count what this process decides alone."""
        if taken is None:
            metrics.limits_alone.inc()
            self._note(self._scripts.find_fault() or "no answer in time")
        return taken

    async def run(self) -> None:
        """Keep what is written, and look whether it is, until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._places.run)
            nursery.start_soon(self._leases.run)
            while True:
                self._leases.set_processes(self._count_processes())
                self._leases.tidy()
                self._note(self._scripts.find_fault())
                await trio.sleep(LOOK_SECONDS)

    def _note(self, fault: str | None) -> None:
        """Note whether limits are shared: not if there is a fault. One warning for an outage."""
        shared = fault is None
        if shared != self._shared:
            self._shared = shared
            metrics.limits_shared.set(shared)
        now = trio.current_time()
        if fault is not None and not self._warned and now >= self._warn_at:
            self._warned, self._warn_at = True, now + WARN_SECONDS
            log.warning("limits_not_shared", reason=fault[:MAX_REASON])
        elif shared and self._warned:
            self._warned = False
            log.warning("limits_shared_again")
