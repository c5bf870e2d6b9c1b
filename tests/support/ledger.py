"""The checker: a load of producers and readers, and a record of every response they got.

Producers know what was acknowledged, readers what they saw; in the end both are held against
what the service says it has stored. Nothing here trusts the program under test.
"""

import json
import random
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import trio

from tests.support.accounts import Account, Attempt, Reader, book, reckon
from tests.support.client.caller import RETRY_INTERVAL, Caller
from tests.support.client.connection import Lost
from tests.support.client.protocol import Answer
from tests.support.client.streams import TRANSPORTS, Ended, Refused, stream
from tests.support.patience import PATIENCE, eventually
from tests.support.relay_process import Program

PAUSE = 0.02  # seconds: a load, not a benchmark
IN_A_ROW = 20  # posts alike, after which another kind is not expected
BATCH = 7  # events of a batch; every third post is one
NDJSON = "application/x-ndjson"
TRY_ELSEWHERE = (1012, 1013)  # the process stops, or cannot serve now


class Ledger:
    """The book of one load. `faults` are broken promises, found while it went on."""

    def __init__(self, *programs: Program, fill: int = 200) -> None:
        """The programs serve one database; `fill` is the size in bytes of the largest payload."""
        self.programs = programs
        self.program = programs[0]
        self.fill = fill
        self.accounts: list[Account] = []
        self.attempts: list[Attempt] = []
        self.faults: list[str] = []
        self.pause = PAUSE
        self._stopping = False
        self._producing = 0
        self._quiet = trio.Event()

    # -- what tests ask

    @property
    def acknowledged(self) -> int:
        return sum(len(account.acknowledged) for account in self.accounts)

    @property
    def readers(self) -> list[Reader]:
        return [reader for account in self.accounts for reader in account.readers]

    async def goes_on(self, more: int = 30) -> None:
        """Wait until so many more events are acknowledged."""
        until = self.acknowledged + more
        await eventually(lambda: self.acknowledged >= until)

    async def all_arrives(self) -> None:
        """Wait until each reader has everything that is acknowledged by now."""
        lasts = [(account, account.last_acknowledged) for account in self.accounts]
        await eventually(
            lambda: all(reader.seq >= last for account, last in lasts for reader in account.readers)
        )

    def since(self, mark: int) -> list[Attempt]:
        """The posts that began after so many others, and have ended."""
        return [attempt for attempt in self.attempts[mark:] if attempt.ended]

    async def answers(self, status: int) -> None:
        """Wait until posts that begin from now on are answered so, one after the other."""
        mark = len(self.attempts)

        def settled() -> bool:
            latest = self.since(mark)[-IN_A_ROW:]
            return len(latest) == IN_A_ROW and all(each.status == status for each in latest)

        await eventually(settled)

    async def loses_connections(self, mark: int) -> None:
        """Wait until a post that began after so many others has no answer."""
        await eventually(lambda: any(one.status is None for one in self.since(mark)))

    # -- producing

    async def enrol(self, name: str, readers: Iterable[Reader]) -> Account:
        async with Caller(self.program.port) as caller:
            made = (await caller.insist("POST", "/api/user")).json
            token = await caller.insist("POST", "/api/token", made["session_token"])
        account = Account(name, made["user_id"], made["session_token"], token.json["token"])
        account.readers.extend(readers)
        self.accounts.append(account)
        return account

    async def produce(self, account: Account, name: str, at: Program) -> None:
        """Post until stopped, each event until it has its answer."""
        self._producing += 1
        number = 0
        rng = random.Random(f"{account.name}{name}")
        async with Caller(at.port) as caller:
            while not self._stopping:
                ids = []
                for _ in range(BATCH if number % 3 == 2 else 1):
                    ids.append(f"{account.name}:{name}:{number}")
                    account.sent[ids[-1]] = {"n": number, "fill": "x" * rng.randrange(self.fill)}
                    number += 1
                if len(ids) == 1 and number % 10 == 1 and account.acknowledged:
                    ids = [rng.choice(list(account.acknowledged))]  # an old one, once more
                await self._settle(account, caller, ids)
                await trio.sleep(self.pause)
        self._producing -= 1
        if not self._producing:
            self._quiet.set()

    async def _settle(self, account: Account, caller: Caller, ids: list[str]) -> None:
        """Post one event, or a batch, again and again with the same ids until it is answered."""
        body = b"\n".join(
            json.dumps(
                {
                    "event_type": "log",
                    "event_id": event_id,
                    "ts": "2026-01-31T12:00:00Z",
                    "payload": account.sent[event_id],
                }
            ).encode()
            for event_id in ids
        )
        doubtful = False  # an earlier try may have been stored
        while True:
            attempt = Attempt()
            self.attempts.append(attempt)
            try:
                answer = await caller.call(
                    "POST",
                    "/api/webhook/cli",
                    account.hook,
                    body,
                    "application/json" if len(ids) == 1 else NDJSON,
                )
                attempt.status = answer.status
            except Lost:
                doubtful = True
            finally:
                attempt.ended = True
            if attempt.status == 200:
                self.faults += book(account, ids, answer.json, doubtful=doubtful)
                return
            if attempt.status is not None:
                self._check_refusal(answer)
                doubtful = True
            await trio.sleep(RETRY_INTERVAL)

    def _check_refusal(self, answer: Answer) -> None:
        if answer.status != 503:
            self.faults.append(f"a post was answered {answer.status}: {answer.body!r}")
        elif "retry-after" not in answer.headers:
            self.faults.append(f"a 503 without Retry-After: {answer.body!r}")

    # -- reading

    async def read(self, account: Account, reader: Reader) -> None:
        """Watch for ever, from the very first event on, coming back with the cursor."""
        rng = random.Random(f"{account.name}{account.readers.index(reader)}")
        at = rng.choice(self.programs)
        while True:
            after = reader.cursor or "oldest"
            patience = rng.randrange(20, 120) if reader.hops else None
            try:
                async with stream(
                    at.port, reader.transport, account.session, f"?after={after}"
                ) as opened:
                    await self._watch(account, reader, opened, patience)
            except Refused as refused:
                reader.refusals.append(refused.answer.status)
                self._check_refusal(refused.answer)
                await trio.sleep(RETRY_INTERVAL)
            except Lost:
                await trio.sleep(RETRY_INTERVAL)
            except Ended as ended:
                reader.ends.append(ended.code)
            if reader.hops:
                reader.transport = TRANSPORTS[1 - TRANSPORTS.index(reader.transport)]
                at = rng.choice(self.programs)

    async def _watch(
        self, account: Account, reader: Reader, opened: Any, patience: int | None
    ) -> None:
        asked, greeted, start = reader.cursor, False, len(reader.seen)
        while patience is None or len(reader.seen) < start + patience:
            for message in await opened.read():
                if not greeted:
                    greeted = True
                    self._check_hello(account, asked, message)
                elif "event_type" in message:
                    self._see(account, reader, message)
                elif message["type"] == "gap":
                    self.faults.append(f"{account.name}: was sent a gap that is none: {message}")

    def _check_hello(self, account: Account, asked: str | None, hello: dict[str, Any]) -> None:
        if hello.get("type") == "close" and hello["code"] in TRY_ELSEWHERE:
            return  # a WebSocket is refused in band
        if hello.get("type") != "hello":
            self.faults.append(f"{account.name}: no hello but {hello}")
        elif asked is not None and (hello["cursor"], hello["resumed"]) != (asked, True):
            self.faults.append(f"{account.name}: asked for {asked}, got {hello}")

    def _see(self, account: Account, reader: Reader, event: dict[str, Any]) -> None:
        seq, event_id, cursor = event["seq"], event["id"], event["cursor"]
        if seq != reader.seq + 1:
            self.faults.append(f"{account.name} ({reader.transport}): {seq} after {reader.seq}")
        if event_id not in account.sent:
            self.faults.append(f"{account.name} saw what is not its own: {event_id}")
        elif event["payload"] != account.sent[event_id]:
            self.faults.append(f"{event_id}: came with another payload")
        if reader.cursor and cursor.partition(".")[0] != reader.cursor.partition(".")[0]:
            self.faults.append(f"{account.name}: the epoch changed to {cursor}")
        reader.seen.append((seq, event_id))
        reader.cursor = cursor

    # -- the reckoning

    async def settle(self) -> None:
        """Stop producing; every post gets its answer, every reader sees everything stored."""
        self._stopping = True
        with trio.move_on_after(PATIENCE) as waited:
            await self._quiet.wait()
        assert not waited.cancelled_caught, f"posts without an answer: {self.attempts[-10:]}"
        for account in self.accounts:
            stored = await self.stored(account)
            last = len(stored)
            with trio.move_on_after(PATIENCE) as waited:
                while any(reader.seq < last for reader in account.readers):  # noqa: ASYNC110
                    await trio.sleep(0.02)
            if waited.cancelled_caught:
                late = [(r.transport, r.seq, r.ends, r.refusals) for r in account.readers]
                self.faults.append(f"{account.name}: {last} are stored, its readers are at {late}")
            self.faults += reckon(account, stored)
        assert not self.faults, "\n".join(self.faults[:20])

    async def stored(self, account: Account) -> list[dict[str, Any]]:
        """Everything the service says it has of one user."""
        events: list[dict[str, Any]] = []
        query = ""
        while True:
            async with Caller(self.program.port) as caller:
                answer = await caller.insist("GET", f"/api/events{query}", account.session)
            page = answer.json
            if not page["events"]:
                return events
            events += page["events"]
            query = f"?after={page['cursor']}"


@asynccontextmanager
async def load(
    *programs: Program,
    users: int = 3,
    producers: int = 2,
    steady: int = 2,
    hopping: int = 1,
    fill: int = 200,
    pause: float = PAUSE,
) -> AsyncIterator[Ledger]:
    """A running load for the length of the block, then the reckoning.

    Each user has `producers` producers, `steady` readers on each transport by turns, and `hopping`
    ones that change transports. Producers rest for `pause` seconds between two posts. Fails with
    every promise that was broken.
    """
    ledger = Ledger(*programs, fill=fill)
    ledger.pause = pause
    async with trio.open_nursery() as nursery:
        for n in range(users):
            readers = [Reader(TRANSPORTS[m % 2], hops=False) for m in range(steady)]
            readers += [Reader(TRANSPORTS[m % 2], hops=True) for m in range(hopping)]
            account = await ledger.enrol(f"user{n}", readers)
            for reader in readers:
                nursery.start_soon(ledger.read, account, reader)
            for m in range(producers):
                at = programs[m % len(programs)]
                nursery.start_soon(ledger.produce, account, f"p{m}", at)
        await ledger.goes_on()
        yield ledger
        await ledger.settle()
        nursery.cancel_scope.cancel()
