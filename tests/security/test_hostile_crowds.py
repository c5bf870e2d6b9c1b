"""Thousands of attackers hold what they can, and other clients are served."""

import resource
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import trio

from tests.support.accounts import Account
from tests.support.attackers import (
    Attacked,
    crowd,
    dialled,
    highest,
    others_are_served,
    post,
    unharmed,
)
from tests.support.attacks import ASKING, GUESSES, HALVES, guess
from tests.support.client.caller import Caller
from tests.support.client.connection import ClientConnection, connected
from tests.support.client.protocol import head
from tests.support.client.streams import Refused, stream
from tests.support.ledger import Ledger
from tests.support.patience import eventually
from tests.support.relay_process import Program, running

THOUSANDS = 2_000
AT_ONCE = 100  # of them that dial at one time
PER_CONNECTION = 50 * 1024  # bytes that a silent one may cost


async def hold_thousands(port: int) -> list[ClientConnection]:
    """Connections that have sent a part of a request each."""
    words = list(HALVES.values())
    held: list[ClientConnection] = []
    dialling = trio.CapacityLimiter(AT_ONCE)

    async def dial(word: bytes) -> None:
        async with dialling:
            tcp = ClientConnection(await connected(port))
            held.append(tcp)
            if word:
                await tcp.send(word)

    async with trio.open_nursery() as nursery:
        for n in range(THOUSANDS):
            nursery.start_soon(dial, words[n % len(words)])
    return held


async def test_thousands_of_partial_requests_cost_little_and_others_are_served(
    attacked: Attacked, victim: Account
) -> None:
    async with unharmed(attacked, memory=THOUSANDS * PER_CONNECTION // 2):
        was = attacked.memory()
        async with highest(attacked.memory) as memory:
            held = await hold_thousands(attacked.port)
            await others_are_served(attacked, victim)
        assert memory() - was < THOUSANDS * PER_CONNECTION
        for tcp in held:
            await tcp.aclose()


async def test_thousands_of_partial_requests_are_ended_and_leave_nothing(
    short_of_heads: Attacked,
) -> None:
    async with unharmed(short_of_heads, memory=THOUSANDS * PER_CONNECTION // 2):
        held = await hold_thousands(short_of_heads.port)
        async with trio.open_nursery() as nursery:
            for tcp in held:  # each is ended, though it says nothing more
                nursery.start_soon(tcp.rest)
        for tcp in held:
            await tcp.aclose()


async def test_resets_at_any_moment_leave_nothing(attacked: Attacked, victim: Account) -> None:
    mine, hook = (f"Authorization: Bearer {token}" for token in (victim.session, victim.hook))
    halves = [
        b"",
        head("/api/me", mine, method="GET"),
        head("/api/rt", *ASKING, mine, method="GET"),
        head("/api/sse", mine, method="GET"),
        head("/api/webhook/cli", hook, "Content-Length: 9") + b"{",
    ]

    async def reset(n: int) -> None:
        async with dialled(attacked.port) as tcp:
            await tcp.send(halves[n % len(halves)])
            await trio.sleep(n % 7 * 0.01)
            tcp.reset_when_closed()

    async with unharmed(attacked), trio.open_nursery() as nursery:
        for n in range(500):
            nursery.start_soon(reset, n)
    await no_stream_is_open(attacked)


async def no_stream_is_open(program: Program) -> None:
    while await live(program):  # noqa: ASYNC110 - another process tells no Event
        await trio.sleep(0.05)


async def live(program: Program) -> float:
    text = (await program.ask("/metrics")).body.decode()
    found = [line for line in text.splitlines() if line.startswith("relay_connected_sockets{")]
    return sum(float(line.split()[-1]) for line in found)


async def test_a_request_pipelined_behind_a_stream_ends_with_it(
    tmp_path: Path, database_url: str
) -> None:
    program = Attacked(tmp_path, database_url, RELAY_HEARTBEAT="0.2")
    async with running(program):
        account = await Ledger(program).enrol("reader", [])
        mine = f"Authorization: Bearer {account.session}"
        behind = head("/api/sse", mine, method="GET") + head("/api/me", mine, method="GET") * 20
        async with unharmed(program):

            async def ask_on() -> None:
                async with dialled(program.port) as tcp:
                    await tcp.send(behind)
                    received = b""
                    while b"event: hello" not in received:
                        received += await tcp.receive()
                    assert await live(program) > 0
                    assert received.count(b"HTTP/1.1 ") == 1  # the next one's turn has not come

            await crowd(30, ask_on)
            await no_stream_is_open(program)


@pytest.mark.parametrize("count", [2_000, pytest.param(10_000, marks=pytest.mark.soak)])
async def test_thousands_of_bad_tokens_are_refused_while_others_are_served(
    attacked: Attacked, victim: Account, count: int
) -> None:
    served = trio.Event()

    async def try_on(first: int) -> None:
        while True:
            assert await guess(attacked.port, victim, first) == GUESSES
            been.release()
            if served.is_set():
                return

    been = trio.Semaphore(0)
    async with unharmed(attacked), trio.open_nursery() as thieves:
        for first in range(0, count, GUESSES):
            thieves.start_soon(try_on, first)
        for _ in range(0, count, GUESSES):
            await been.acquire()
        await others_are_served(attacked, victim)
        served.set()


async def test_a_process_out_of_descriptors_waits_and_recovers(attacked: Attacked) -> None:
    """Less than it counted on: no new connection is accepted until one ends, and nothing breaks."""
    account = await Ledger(attacked).enrol("reader", [])
    before = resource.prlimit(attacked.pid, resource.RLIMIT_NOFILE)
    async with (
        unharmed(attacked, errors="accept returned EMFILE"),
        stream(attacked.port, "websocket", account.session, insist=True) as reader,
        Caller(attacked.port) as known,
        Caller(attacked.port) as newcomer,
    ):
        await reader.read()
        await post(known, account)
        assert (await reader.read())[0]["seq"] == 1
        most = attacked.itself.num_fds() + 20
        resource.prlimit(attacked.pid, resource.RLIMIT_NOFILE, (most, before[1]))
        try:
            held = [ClientConnection(await connected(attacked.port)) for _ in range(60)]
            await eventually(lambda: attacked.itself.num_fds() >= most)
            came_in = trio.Event()

            async def come_in() -> None:
                assert (await newcomer.call("GET", "/healthz")).status == 200
                came_in.set()

            async with trio.open_nursery() as nursery:
                nursery.start_soon(come_in)
                for seq in range(2, 12):  # open connections are served
                    await post(known, account)
                    assert (await reader.read())[0]["seq"] == seq
                assert not came_in.is_set()  # it is in the queue, not refused and not lost
                for tcp in held:
                    await tcp.aclose()
                await came_in.wait()
        finally:
            resource.prlimit(attacked.pid, resource.RLIMIT_NOFILE, before)
        await others_are_served(attacked, account)
        assert (await reader.read())[0]["seq"] == 12


async def test_with_few_descriptors_excess_connections_get_503(
    tmp_path: Path, database_url: str
) -> None:
    program = Attacked(tmp_path, database_url)
    program.within = ("sh", "-c", 'ulimit -n 200 && exec "$@"', "sh")
    async with running(program), AsyncExitStack() as streams:
        await program.says("descriptors_short")  # its log is written by a thread
        (short,) = program.logged("descriptors_short")
        reader = await Ledger(program).enrol("reader", [])
        async with unharmed(program):
            for _ in range(short["connections"]):
                watching = stream(program.port, "sse", reader.session, insist=True)
                await streams.enter_async_context(watching)
            for _ in range(50):
                with pytest.raises(Refused) as refused:
                    async with stream(program.port, "sse", reader.session):
                        pass
                assert refused.value.answer.status == 503
                assert int(refused.value.answer.headers["retry-after"]) > 0
            assert program.itself.num_fds() < 200
            await streams.aclose()
            await program.ready()
