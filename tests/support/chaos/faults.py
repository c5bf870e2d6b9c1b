"""What is done to the hosts: each fault begins, lasts a while, and ends."""

import random
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import trio

from tests.support.chaos.kept_relay import KeptRelay
from tests.support.hosts.machines import CLIENT
from tests.support.hosts.stage import DATABASE, VALKEYS, Stage
from tests.support.valkey_servers import Server

Act = Callable[[], Awaitable[None]]


@dataclass(frozen=True)
class Fault:
    """One fault. No other one has the same `holds` meanwhile."""

    kind: str
    where: str
    holds: str
    begin: Act
    end: Act

    def __str__(self) -> str:
        return f"{self.kind}: {self.where}"


class Faults:
    """All faults that a stage can have."""

    def __init__(self, stage: Stage, relays: list[KeptRelay]) -> None:
        assert stage.cluster is not None
        self._stage = stage
        self._relays = relays
        self._servers = dict(zip(VALKEYS, stage.cluster.servers, strict=True))
        self._everything = [name for name in stage.network.names if name != CLIENT]
        processes = [self._kill_relay, self._stop_relay, self._kill_valkey, self._stop_valkey]
        rare = [self._kill_postgres, self._stop_postgres]  # everything stands still meanwhile
        ways = [
            self._cut_database, self._cut_valkeys, self._cut_clients, self._cut_one_way,
            self._cut_valkey, self._bad_ways,
        ]  # fmt: skip
        self._kinds = 2 * processes + rare + (2 * ways if stage.network.breaks else [])

    def draw(self, rng: random.Random) -> Fault:
        """One of them, each kind as often as the others but for those of Postgres."""
        return rng.choice(self._kinds)(rng)

    # -- processes

    def _kill_relay(self, rng: random.Random) -> Fault:
        relay = rng.choice(self._relays)
        return Fault("kill a Relay", relay.name, relay.name, relay.kill, relay.start)

    def _stop_relay(self, rng: random.Random) -> Fault:
        relay = rng.choice(self._relays)
        return Fault("stop a Relay", relay.name, relay.name, relay.pause, relay.go_on)

    def _kill_valkey(self, rng: random.Random) -> Fault:
        name, server = rng.choice(list(self._servers.items()))
        return Fault("kill a Valkey", name, name, _soon(server.end), _soon(server.start))

    def _stop_valkey(self, rng: random.Random) -> Fault:
        name, server = rng.choice(list(self._servers.items()))
        return Fault(
            "stop a Valkey", name, name,
            _signalled(server, signal.SIGSTOP), _signalled(server, signal.SIGCONT),
        )  # fmt: skip

    def _kill_postgres(self, rng: random.Random) -> Fault:
        postgres = self._stage.postgres
        return Fault("kill Postgres", DATABASE, DATABASE, postgres.kill, postgres.start)

    def _stop_postgres(self, rng: random.Random) -> Fault:
        postgres = self._stage.postgres
        return Fault(
            "stop Postgres", DATABASE, DATABASE,
            _soon(lambda: postgres.signal(signal.SIGSTOP)),
            _soon(lambda: postgres.signal(signal.SIGCONT)),
        )  # fmt: skip

    # -- ways

    def _cut_database(self, rng: random.Random) -> Fault:
        return self._cut("cut a Relay from Postgres", rng.choice(self._relays).name, DATABASE)

    def _cut_valkeys(self, rng: random.Random) -> Fault:
        return self._cut("cut a Relay from all Valkeys", rng.choice(self._relays).name, *VALKEYS)

    def _cut_clients(self, rng: random.Random) -> Fault:
        return self._cut("cut a Relay from its clients", rng.choice(self._relays).name, CLIENT)

    def _cut_valkey(self, rng: random.Random) -> Fault:
        """From all others but one Relay, perhaps: that one goes on to use it."""
        name = rng.choice(VALKEYS)
        spared = rng.choice([*(relay.name for relay in self._relays), ""])
        others = [one for one in self._everything if one not in (name, spared)]
        return self._cut("cut a Valkey from others", name, *others)

    def _cut_one_way(self, rng: random.Random) -> Fault:
        relay = rng.choice(self._relays).name
        other = rng.choice([DATABASE, CLIENT, *VALKEYS])
        way = rng.choice([(relay, other), (other, relay)])
        return self._ways("cut one way", " to ".join(way), [way], loss=1)

    def _bad_ways(self, rng: random.Random) -> Fault:
        relay = rng.choice(self._relays).name
        others = [one for one in self._stage.network.names if one != relay]
        ways = [way for other in others for way in ((relay, other), (other, relay))]
        bad = {"delay": rng.uniform(0.02, 0.2), "loss": rng.uniform(0.01, 0.08)}
        return self._ways("slow and lossy ways", relay, ways, **bad)

    def _cut(self, kind: str, one: str, *others: str) -> Fault:
        ways = [way for other in others for way in ((one, other), (other, one))]
        return self._ways(kind, f"{one} | {' '.join(others)}", ways, loss=1)

    def _ways(
        self, kind: str, where: str, ways: list[tuple[str, str]], *, delay: float = 0,
        loss: float = 0,
    ) -> Fault:  # fmt: skip
        network = self._stage.network

        async def begin() -> None:
            await network.set_ways(ways, delay=delay, loss=loss)

        async def end() -> None:
            await network.set_ways(ways)

        return Fault(kind, where, f"ways of {ways[0]}", begin, end)


def _soon(act: Callable[[], object]) -> Act:
    async def run() -> None:
        act()
        await trio.lowlevel.checkpoint()

    return run


def _signalled(server: Server, number: signal.Signals) -> Act:
    return _soon(lambda: server.signal(number))
