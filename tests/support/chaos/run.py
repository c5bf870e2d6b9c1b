"""One run: a load, faults at random for a while, then the reckoning."""

import random
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import trio

from tests.support.chaos.faults import Faults
from tests.support.chaos.kept_relay import KeptRelay
from tests.support.chaos.report import History, evidence, progress, table
from tests.support.chaos.revokes import Revokes
from tests.support.hosts.loopback import Loopback
from tests.support.hosts.network import Network, NoHosts, network
from tests.support.hosts.stage import Stage, hosts, stage
from tests.support.ledger import Ledger, load

RELAYS = ("a", "b", "c")
AT_ONCE = 2  # faults, at most
REST = 0.5, 3.0  # seconds without a fault, at least and at most
LASTS = 0.5, 8.0  # seconds of a fault
PROGRESS_EVERY = 10.0  # seconds
PAUSE = 0.05  # of a producer: so that ten minutes of events can be read again at the end
KEPT = {"RELAY_RETENTION_EVENTS": "1000000000", "RELAY_RETENTION_BYTES": str(2**50)}

Print = Callable[[str], None]


@dataclass
class Outcome:
    """What was found; `findings` is empty if every promise was kept."""

    findings: list[str]
    report: str
    revokes: int


class Chaos:
    """The faults of one run."""

    def __init__(self, stage: Stage, seed: int, show: Print) -> None:
        self.history = History()
        self.relays = [KeptRelay(relay) for relay in stage.relays]
        self.revokes = Revokes(stage.relays, random.Random(f"{seed} revokes"))
        self._stage = stage
        self._seed = seed
        self._show = show
        self._faults = Faults(stage, self.relays)
        self._held: dict[str, str] = {}  # what a fault holds -> that fault
        self._over = trio.Event()
        self._began = trio.current_time()

    async def run(self, seconds: float, ledger: Ledger) -> None:
        """Do faults for so long, then end them all, and wait until each Relay serves again.

        A revoke is checked then, too: while there are faults none may be.
        """
        self._began = trio.current_time()
        async with trio.open_nursery() as background:
            for relay in self.relays:
                background.start_soon(relay.keep)
            background.start_soon(self.revokes.run)
            background.start_soon(self._tell, ledger)
            async with trio.open_nursery() as faults:
                for number in range(AT_ONCE):
                    faults.start_soon(self._break, random.Random(f"{self._seed} {number}"))
                await trio.sleep(seconds)
                self._over.set()
            await self._stage.network.heal()
            for relay in self.relays:
                await relay.serves()
            await self.revokes.goes_on()
            background.cancel_scope.cancel()

    @property
    def findings(self) -> list[str]:
        found = [fault for relay in self.relays for fault in relay.faults]
        return list(dict.fromkeys([*self.revokes.faults, *found]))

    @property
    def now(self) -> float:
        return trio.current_time() - self._began

    async def _break(self, rng: random.Random) -> None:
        """One fault after the other."""
        while True:
            await self._rest(rng.uniform(*REST))
            fault, lasts = self._faults.draw(rng), rng.uniform(*LASTS)
            if self._over.is_set():
                return
            if fault.holds in self._held:
                continue
            self._held[fault.holds] = str(fault)
            began = self.now
            await fault.begin()
            await self._rest(lasts)
            await fault.end()
            del self._held[fault.holds]
            self.history.note(self.now, fault.kind, str(fault), self.now - began)

    async def _rest(self, seconds: float) -> None:
        with trio.move_on_after(seconds):
            await self._over.wait()

    async def _tell(self, ledger: Ledger) -> None:
        while True:
            await trio.sleep(PROGRESS_EVERY)
            faults = self.history.times.total()
            self._show(progress(self.now, ledger.accounts, self._held.values(), faults))


async def chaos(
    folder: Path, made: Path, seconds: float, seed: int, show: Print, *, loopback: bool = False
) -> Outcome:
    """`made` is a data folder with a cluster; everything that is begun works in `folder`.

    With `loopback` all hosts are addresses of this machine.
    """
    names = hosts(*RELAYS, valkeys=True)
    async with (
        _network(names, show, loopback=loopback) as net,
        stage(net, folder, made, *RELAYS, **KEPT) as on,
    ):
        run = Chaos(on, seed, show)
        ledgers: list[Ledger] = []
        findings: list[str] = []
        show(f"seed {seed}: {seconds:g} s of faults begin")
        try:
            async with load(*on.relays, producers=3, steady=3, pause=PAUSE) as ledger:
                ledgers.append(ledger)
                await run.run(seconds, ledger)
        except* (AssertionError, trio.TooSlowError) as broken:
            findings += _lines(broken)
        findings += run.findings
        book = ledgers[0] if ledgers else Ledger(*on.relays)
        report = table(run.history, book.accounts, book.attempts)
        report += f"\nrevokes while a stream reads elsewhere: {run.revokes.checked}"
        report += f"\nstarts that found no database: {sum(one.own_ends for one in run.relays)}"
        if findings:
            report += "\n\n" + evidence(findings, run.history, folder)
        return Outcome(findings, report, run.revokes.checked)


@asynccontextmanager
async def _network(
    names: tuple[str, ...], show: Print, *, loopback: bool
) -> AsyncIterator[Network]:
    async with AsyncExitStack() as stack:
        made: Network = Loopback(names)
        if not loopback:
            try:
                made = await stack.enter_async_context(network(*names))
            except NoHosts as error:
                show(f"no way between hosts can be cut here: this machine {error}")
        yield made


def _lines(broken: BaseExceptionGroup[BaseException]) -> list[str]:
    """The messages of all that is in a group."""
    found: list[str] = []
    for error in broken.exceptions:
        if isinstance(error, BaseExceptionGroup):
            found += _lines(error)
        else:
            found += (str(error) or repr(error)).splitlines()
    return found
