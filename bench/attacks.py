"""Measure what attacks cost other clients: the event loop's longest turn, and the time of a post.

The attacks are those of `tests/security`, which tests their results. Here each attack is repeated
for some seconds while another client posts:

    python -m bench.attacks [NAME ...] [--seconds 3]

A turn is the time between two polls of the sockets, in CPU time of the loop's thread. It must be
shorter than MAX_TURN_SECONDS, and the median time of a post shorter than MAX_MEDIAN_WAIT_SECONDS.
"""

import argparse
import sys
import tempfile
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import count
from pathlib import Path
from statistics import median

import trio

from bench.loop_timing import TIMING_FILE, longest_times
from tests.support import attacks
from tests.support.accounts import Account
from tests.support.attackers import Attacked, answer_to, dialled, for_ever, post
from tests.support.client.caller import Caller
from tests.support.ledger import Ledger
from tests.support.relay_process import running

MAX_TURN_SECONDS = 0.1  # CPU time
MAX_MEDIAN_WAIT_SECONDS = 1.0
# short, so that each attacker's connection times out several times
HEAD_TIMEOUT_SECONDS, BODY_TIMEOUT_SECONDS = 2.0, 1.0
POST_PAUSE_SECONDS = 0.01
DIALLED_AT_ONCE = 100
INCOMPLETE_REQUESTS = "2000 incomplete requests"

Attack = Callable[[int, Account], Awaitable[object]]


class TimedRelay(Attacked):
    """A Relay that records the turns of its event loop."""

    module = "bench.loop_timing"

    def __init__(self, folder: Path) -> None:
        self.watch = folder / "watch"
        super().__init__(
            folder,
            keep_alive=HEAD_TIMEOUT_SECONDS,
            body_timeout=BODY_TIMEOUT_SECONDS,
            **{TIMING_FILE: str(self.watch)},
        )


def all_attacks() -> dict[str, tuple[int, Attack]]:
    """Each attack, with the number of attackers."""
    found: dict[str, tuple[int, Attack]] = {}
    for name, pieces in attacks.BOMBS.items():
        found[f"bomb: {name}"] = 5, partial(_bomb, pieces)
    for name in attacks.ENDLESS:
        found[f"endless body {name}"] = 20, partial(_with_name, attacks.shout, name)
    for name in attacks.ENDINGS:
        found[name] = 50, partial(_with_name, attacks.talk, name)
    for name in attacks.FLOODS:
        found[f"flood of {name}"] = 8, partial(_with_name, _flood, name)
    found["slow heads"] = 200, _send_head_slowly
    found["bad tokens"] = 20, _send_bad_tokens
    found[INCOMPLETE_REQUESTS] = (
        2_000,
        partial(_send_incomplete_request, trio.CapacityLimiter(DIALLED_AT_ONCE), count()),
    )
    return found


async def _bomb(pieces: tuple[bytes, ...], port: int, account: Account) -> None:
    await answer_to(port, *pieces)


async def _with_name(
    act: Callable[[int, Account, str], Awaitable[object]], name: str, port: int, account: Account
) -> None:
    await act(port, account, name)


async def _flood(port: int, account: Account, flood: str) -> None:
    await attacks.pour(port, account, flood, listens=False)


async def _send_bad_tokens(port: int, account: Account) -> None:
    await attacks.guess(port, account, 0)


async def _send_head_slowly(port: int, account: Account) -> None:
    async with dialled(port) as tcp, trio.open_nursery() as nursery:
        await tcp.send(b"GET / HTTP/1.1\r\nHost: relay\r\nX-Slow: ")
        nursery.start_soon(for_ever, tcp, b"x", 0.1)
        await tcp.rest()
        nursery.cancel_scope.cancel()


async def _send_incomplete_request(
    dialling: trio.CapacityLimiter, number: "count[int]", port: int, account: Account
) -> None:
    words = list(attacks.HALVES.values())
    async with dialling:
        opened = dialled(port)
        tcp = await opened.__aenter__()
        await tcp.send(words[next(number) % len(words)])
    try:
        await tcp.rest()
    finally:
        await tcp.aclose()


async def measure(program: TimedRelay, account: Account, name: str, seconds: float) -> bool:
    """Run one attack; returns whether the loop and the other client stayed within the limits."""
    attackers, act = all_attacks()[name]
    waits: list[float] = []

    async def repeat_attack() -> None:
        while True:
            await act(program.port, account)

    async def keep_posting() -> None:
        async with Caller(program.port) as caller:
            while True:
                began = trio.current_time()
                await post(caller, account)
                waits.append(trio.current_time() - began)
                await trio.sleep(POST_PAUSE_SECONDS)

    with longest_times(program.watch) as longest, trio.move_on_after(seconds):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keep_posting)
            for _ in range(attackers):
                nursery.start_soon(repeat_attack)
    passed = (
        longest.turn < MAX_TURN_SECONDS and bool(waits) and median(waits) < MAX_MEDIAN_WAIT_SECONDS
    )
    print(
        f"{name:42} longest turn {longest.turn * 1e3:6.1f} ms"
        f"   {len(waits):5} posts: median {median(waits or [seconds]) * 1e3:6.1f} ms,"
        f" longest {max(waits, default=seconds) * 1e3:7.1f} ms{'' if passed else '   FAILED'}",
        flush=True,
    )
    return passed


async def run(names: list[str], seconds: float) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        program = TimedRelay(Path(folder))
        async with running(program):
            account = await Ledger(program).enrol("bystander", [])
            return all([await measure(program, account, name, seconds) for name in names])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.attacks", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    known = all_attacks()
    parser.add_argument("names", nargs="*", metavar="NAME", help="attacks to run; default: all")
    parser.add_argument(
        "--seconds", type=float, default=3.0, help="seconds for each attack (%(default)s)"
    )
    options = parser.parse_args()
    if unknown := set(options.names) - known.keys():
        parser.error(f"no such attack: {', '.join(unknown)}; there are {', '.join(known)}")
    passed = trio.run(run, options.names or list(known), options.seconds)
    print("limits: a turn under 100 ms, and a median post under a second")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
