"""Strangers by the thousand: they hold what they can, and others do not notice."""

import resource
import socket
import struct
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import trio

from tests.faults.ledger import Account, Ledger
from tests.faults.program import Program, eventually, running
from tests.faults.wire import Caller, Refused, connected, stream
from tests.raw import HANDSHAKE, head
from tests.security.strangers import (
    Attacked,
    crowd,
    dialled,
    heard,
    highest,
    unharmed,
)

THOUSANDS = 2_000
AT_ONCE = 100  # of them that dial at one time
PER_CONNECTION = 50 * 1024  # bytes that a silent one may cost
LINGER = struct.pack("ii", 1, 0)
WAIT = 1.0  # seconds that somebody else may have to wait, at the worst

ASKING = [f"{name}: {value}" for name, value in HANDSHAKE.items()]
HALVES = {
    "nothing": b"",
    "half a request": b"GET /api/me HTTP/1.1\r\nHost: rel",
    "half a handshake": head("/api/rt", *ASKING, method="GET")[:-20],
    "half a body": head("/api/webhook/cli", "Content-Length: 100000") + b"{",
}


async def answer_times(program: Program, account: Account, until: trio.Event) -> list[float]:
    """How long somebody else waits for each of their posts, in order of length."""
    times: list[float] = []
    body = b'{"event_type":"log","ts":"2026-01-31T12:00:00Z","payload":{}}'
    async with Caller(program.port) as caller:
        while not until.is_set():
            started = trio.current_time()
            answer = await caller.call("POST", "/api/webhook/cli", account.hook, body)
            assert answer.status == 200
            times.append(trio.current_time() - started)
            await trio.sleep(0.01)
    return sorted(times)


async def test_thousands_that_say_half_a_word_cost_little_and_leave_nothing(
    attacked: Attacked, victim: Account
) -> None:
    words = list(HALVES.values())
    held: list[trio.SocketStream] = []
    dialling = trio.CapacityLimiter(AT_ONCE)

    async def dial(word: bytes) -> None:
        async with dialling:
            tcp = await connected(attacked.port)
            held.append(tcp)
            if word:
                await tcp.send_all(word)

    async with unharmed(attacked, memory=THOUSANDS * PER_CONNECTION // 2):
        was = attacked.memory()
        async with highest(attacked.memory) as memory, trio.open_nursery() as nursery:
            for n in range(THOUSANDS):
                nursery.start_soon(dial, words[n % len(words)])
        assert (await attacked.ask("/api/me", victim.session)).status == 200
        assert memory() - was < THOUSANDS * PER_CONNECTION
        async with trio.open_nursery() as nursery:
            for tcp in held:  # each is ended in its time, though it says nothing more
                nursery.start_soon(heard, tcp)
        for tcp in held:
            await tcp.aclose()


async def test_resets_at_any_moment_leave_nothing(attacked: Attacked, victim: Account) -> None:
    mine, hook = (f"Authorization: Bearer {token}" for token in (victim.session, victim.hook))
    said = [
        b"",
        head("/api/me", mine, method="GET"),
        head("/api/rt", *ASKING, mine, method="GET"),
        head("/api/sse", mine, method="GET"),
        head("/api/webhook/cli", hook, "Content-Length: 9") + b"{",
    ]

    async def reset(n: int) -> None:
        async with dialled(attacked.port) as tcp:
            await tcp.send_all(said[n % len(said)])
            await trio.sleep(n % 7 * 0.01)
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER)

    async with unharmed(attacked), trio.open_nursery() as nursery:
        for n in range(500):
            nursery.start_soon(reset, n)
    assert await live(attacked) == 0


async def live(program: Program) -> float:
    text = (await program.ask("/metrics")).body.decode()
    found = [line for line in text.splitlines() if line.startswith("relay_connected_sockets{")]
    return sum(float(line.split()[-1]) for line in found)


async def test_a_request_behind_a_stream_waits_and_is_gone_with_it(
    tmp_path: Path, database_url: str
) -> None:
    program = Attacked(tmp_path, database_url, RELAY_HEARTBEAT="0.2", RELAY_IDLE_TIMEOUT="1")
    async with running(program):
        account = await Ledger(program).enrol("reader", [])
        mine = f"Authorization: Bearer {account.session}"
        behind = head("/api/sse", mine, method="GET") + head("/api/me", mine, method="GET") * 20
        async with unharmed(program):

            async def ask_on() -> None:
                async with dialled(program.port) as tcp:
                    await tcp.send_all(behind)
                    received = b""
                    while b"event: hello" not in received:
                        received += await tcp.receive_some()
                    assert await live(program) > 0
                    assert received.count(b"HTTP/1.1 ") == 1  # the next one's turn has not come

            await crowd(30, ask_on)
            with trio.fail_after(20):
                while await live(program):  # noqa: ASYNC110 - another process tells no Event
                    await trio.sleep(0.05)


@pytest.mark.parametrize("count", [2_000, pytest.param(10_000, marks=pytest.mark.soak)])
async def test_thousands_of_bad_tokens_are_refused_while_others_are_served(
    attacked: Attacked, victim: Account, count: int
) -> None:
    good = victim.session
    refused = 0

    def bad(n: int) -> str:
        """Random, cut, changed in its signature, and as long as a head may be."""
        body, _, signature = good.rpartition(".")
        kinds = (f"{n}", good[: n % len(good)] + "x", f"{body}.{n:04}{signature[4:]}", "x" * 8_000)
        return kinds[n % 4 if n % 40 else 3]

    async def try_on(first: int) -> None:
        nonlocal refused
        asked = [
            head("/api/me", f"Authorization: Bearer {bad(n)}", method="GET")
            for n in range(first, first + AT_ONCE)
        ]
        asked.append(head("/api/me", "Connection: close", method="GET"))
        async with dialled(attacked.port) as tcp, trio.open_nursery() as nursery:
            nursery.start_soon(tcp.send_all, b"".join(asked))
            answers = await heard(tcp)
            refused += answers.count(b"HTTP/1.1 401 ") - 1

    done, times = trio.Event(), list[float]()
    async with unharmed(attacked), trio.open_nursery() as nursery:

        async def measure() -> None:
            times.extend(await answer_times(attacked, victim, done))

        nursery.start_soon(measure)
        async with trio.open_nursery() as thieves:
            for first in range(0, count, AT_ONCE):
                thieves.start_soon(try_on, first)
        done.set()
    assert refused == count
    assert len(times) > 10
    assert times[len(times) // 2] < WAIT


async def test_a_process_out_of_descriptors_waits_and_recovers(attacked: Attacked) -> None:
    """Less than it counted on: nobody new comes in until somebody leaves, and nothing breaks."""
    account = await Ledger(attacked).enrol("reader", [])
    before = resource.prlimit(attacked.pid, resource.RLIMIT_NOFILE)
    async with (
        unharmed(attacked, errors="accept returned EMFILE"),
        stream(attacked.port, "websocket", account.session) as reader,
    ):
        await reader.next()
        most = attacked.itself.num_fds() + 20
        resource.prlimit(attacked.pid, resource.RLIMIT_NOFILE, (most, before[1]))
        try:
            held = [await connected(attacked.port) for _ in range(60)]
            await eventually(lambda: attacked.itself.num_fds() >= most, within=20)
            async with Caller(attacked.port) as caller:
                with trio.move_on_after(0.5) as waiting:
                    await caller.call("GET", "/healthz")
                assert waiting.cancelled_caught  # it is in the queue, not refused and not lost
            for tcp in held:
                await tcp.aclose()
            async with Caller(attacked.port) as caller:
                assert (await caller.call("GET", "/healthz")).status == 200
        finally:
            resource.prlimit(attacked.pid, resource.RLIMIT_NOFILE, before)
        async with Caller(attacked.port) as caller:
            body = b'{"event_type":"log","ts":"2026-01-31T12:00:00Z","payload":{}}'
            answer = await caller.call("POST", "/api/webhook/cli", account.hook, body)
        assert answer.status == 200
        assert (await reader.next())[0]["seq"] == 1


async def test_with_few_descriptors_one_too_many_is_told_so(
    tmp_path: Path, database_url: str
) -> None:
    program = Attacked(tmp_path, database_url)
    program.within = ("sh", "-c", 'ulimit -n 200 && exec "$@"', "sh")
    async with running(program), AsyncExitStack() as streams:
        (short,) = program.logged("descriptors_short")
        reader = await Ledger(program).enrol("reader", [])
        async with unharmed(program):
            for _ in range(short["connections"]):
                await streams.enter_async_context(stream(program.port, "sse", reader.session))
            for _ in range(50):
                with pytest.raises(Refused) as refused:
                    async with stream(program.port, "sse", reader.session):
                        pass
                assert refused.value.answer.status == 503
                assert int(refused.value.answer.headers["retry-after"]) > 0
            assert program.itself.num_fds() < 200
            await streams.aclose()
            await program.ready()
