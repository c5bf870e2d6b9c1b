"""What attacks cost others: the loop's longest turn, and the longest wait of somebody else.

The strangers are those of `tests/security`, where what becomes of them is tested. Here they come
again and again for some seconds, attack by attack, while somebody else posts:

    python -m bench.attacks [NAME ...] [--seconds 3]

A turn is everything between two looks at the sockets, in processor time of the loop's own thread.
Promised are less than TURN for it, and less than WAIT for half of the posts.
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

from bench.watched import WATCH, watching
from tests.support import attacks
from tests.support.attackers import Attacked, dialled, for_ever, heard, post, said
from tests.support.ledger import Account, Ledger
from tests.support.relay_process import running
from tests.support.streams import Caller

TURN = 0.1  # seconds of processor time that nothing may hold the loop
WAIT = 1.0  # seconds in which half of somebody else's posts are answered
HEAD, BODY = 2.0, 1.0  # seconds that strangers have: each is to be ended a few times
BETWEEN = 0.01  # seconds between two posts
DIALLED_AT_ONCE = 100
HALF_WORDS = "two thousand half words"

Stranger = Callable[[int, Account], Awaitable[object]]


class Watched(Attacked):
    """A Relay that tells how long its loop was held."""

    module = "bench.watched"

    def __init__(self, folder: Path) -> None:
        self.watch = folder / "watch"
        super().__init__(folder, keep_alive=HEAD, body_timeout=BODY, **{WATCH: str(self.watch)})


def everything() -> dict[str, tuple[int, Stranger]]:
    """Each attack, with its number of strangers."""
    found: dict[str, tuple[int, Stranger]] = {}
    for name, pieces in attacks.BOMBS.items():
        found[f"bomb: {name}"] = 5, partial(_bomb, pieces)
    for name in attacks.ENDLESS:
        found[f"endless body {name}"] = 20, partial(_with_name, attacks.shout, name)
    for name in attacks.ENDINGS:
        found[name] = 50, partial(_with_name, attacks.talk, name)
    for name in attacks.FLOODS:
        found[f"flood of {name}"] = 8, partial(_with_name, _pour, name)
    found["heads that drip"] = 200, _drip
    found["bad tokens"] = 20, _guess
    found[HALF_WORDS] = 2_000, partial(_half_a_word, trio.CapacityLimiter(DIALLED_AT_ONCE), count())
    return found


async def _bomb(pieces: tuple[bytes, ...], port: int, account: Account) -> None:
    await said(port, *pieces)


async def _with_name(
    act: Callable[[int, Account, str], Awaitable[object]], name: str, port: int, account: Account
) -> None:
    await act(port, account, name)


async def _pour(port: int, account: Account, flood: str) -> None:
    await attacks.pour(port, account, flood, listens=False)


async def _guess(port: int, account: Account) -> None:
    await attacks.guess(port, account, 0)


async def _drip(port: int, account: Account) -> None:
    async with dialled(port) as tcp, trio.open_nursery() as nursery:
        await tcp.send_all(b"GET / HTTP/1.1\r\nHost: relay\r\nX-Slow: ")
        nursery.start_soon(for_ever, tcp, b"x", 0.1)
        await heard(tcp)
        nursery.cancel_scope.cancel()


async def _half_a_word(
    dialling: trio.CapacityLimiter, number: "count[int]", port: int, account: Account
) -> None:
    words = list(attacks.HALVES.values())
    async with dialling:
        opened = dialled(port)
        tcp = await opened.__aenter__()
        await tcp.send_all(words[next(number) % len(words)])
    try:
        await heard(tcp)
    finally:
        await trio.aclose_forcefully(tcp)


async def measure(program: Watched, account: Account, name: str, seconds: float) -> bool:
    """Whether it cost others no more than is promised."""
    strangers, act = everything()[name]
    waits: list[float] = []

    async def come_again() -> None:
        while True:
            await act(program.port, account)

    async def post_on() -> None:
        async with Caller(program.port) as caller:
            while True:
                began = trio.current_time()
                await post(caller, account)
                waits.append(trio.current_time() - began)
                await trio.sleep(BETWEEN)

    with watching(program.watch) as longest, trio.move_on_after(seconds):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(post_on)
            for _ in range(strangers):
                nursery.start_soon(come_again)
    kept = longest.turn < TURN and bool(waits) and median(waits) < WAIT
    print(
        f"{name:42} longest turn {longest.turn * 1e3:6.1f} ms"
        f"   {len(waits):5} posts: half within {median(waits or [seconds]) * 1e3:6.1f} ms,"
        f" all within {max(waits, default=seconds) * 1e3:7.1f} ms{'' if kept else '   BROKEN'}",
        flush=True,
    )
    return kept


async def run(names: list[str], seconds: float) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        program = Watched(Path(folder))
        async with running(program):
            account = await Ledger(program).enrol("somebody", [])
            return all([await measure(program, account, name, seconds) for name in names])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.attacks", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    known = everything()
    parser.add_argument("names", nargs="*", metavar="NAME", help="which ones; all if none is named")
    parser.add_argument("--seconds", type=float, default=3.0, help="for each (%(default)s)")
    wanted = parser.parse_args()
    if unknown := set(wanted.names) - known.keys():
        parser.error(f"no such attack: {', '.join(unknown)}; there are {', '.join(known)}")
    kept = trio.run(run, wanted.names or list(known), wanted.seconds)
    print("promised: a turn under 100 ms, and half of somebody else's posts within a second")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
