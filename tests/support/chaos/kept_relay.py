"""A Relay that is started again whenever it ends, as a service manager does it."""

import signal
from contextlib import suppress

import trio

from tests.support.hosts.machines import RelayHost
from tests.support.patience import PATIENCE

RESTART_SECONDS = 0.5  # between its end and its next start
DEFECTS = (
    *("request_failed", "stream_failed", "application_failed", "connection_failed"),
    *("row_refused", "commit_refused", "background_work_died"),
)
"""Log events that no fault of a network or another process may cause."""
SHOWN = 600  # characters of a log line


class KeptRelay:
    """`keep` it while faults kill it and let it start."""

    def __init__(self, relay: RelayHost) -> None:
        self.relay = relay
        self.name = relay.name
        self.faults: list[str] = []
        """What it did that it never may."""
        self.own_ends = 0
        self._may_run = trio.Event()
        self._may_run.set()

    async def keep(self) -> None:
        """Start it again for ever. One that finds no database at its start ends by itself."""
        while True:
            code = await self.relay.process.wait()
            self._look()
            if self._may_run.is_set():
                self.own_ends += 1
                if code < 0:
                    self.faults.append(f"{self.name} was ended by signal {-code}")
            await self._may_run.wait()
            await trio.sleep(RESTART_SECONDS)
            await self.relay.launch()

    def _look(self) -> None:
        """Look for defects in the log since its last start."""
        self.faults += [
            f"{self.name} logged {line}"[:SHOWN]
            for line in self.relay.log
            if line.get("event") in DEFECTS
        ]

    async def serves(self) -> None:
        """Wait until it is ready and uses every Valkey again, and look at its log."""
        with trio.fail_after(PATIENCE):
            while not await self.relay.is_ready():  # noqa: ASYNC110 - another process
                await trio.sleep(0.1)
        await self.relay.shows("relay_backplane_up", lambda up: up == 1)
        self._look()

    async def kill(self) -> None:
        self._may_run = trio.Event()
        self._signal(signal.SIGKILL)
        await self.relay.process.wait()

    async def start(self) -> None:
        self._may_run.set()
        await trio.lowlevel.checkpoint()

    async def pause(self) -> None:
        self._signal(signal.SIGSTOP)
        await trio.lowlevel.checkpoint()

    async def go_on(self) -> None:
        self._signal(signal.SIGCONT)
        await trio.lowlevel.checkpoint()

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):  # it has just ended by itself
            self.relay.signal(number)
