"""A token that is revoked on one host while it reads on another one."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import trio

from tests.support.accounts import Account
from tests.support.client.caller import Caller
from tests.support.client.streams import TRANSPORTS, Ended, Stream, stream
from tests.support.hosts.machines import RelayHost
from tests.support.ledger import Ledger
from tests.support.patience import PATIENCE

SECRET = "stored after the revoke"
ENDS = {1013, 4401}  # how a process ends a stream that it may not serve any more


async def call(host: RelayHost, path: str, token: str, **body: object) -> Any:
    async with Caller(host.port) as caller:
        answer = await caller.insist("POST", path, token, json.dumps(body).encode())
    assert answer.status in (200, 201), answer
    return answer.json


def an_event(payload: object, **fields: object) -> dict[str, object]:
    return {"event_type": "log", "ts": "2026-01-31T12:00:00Z", "payload": payload, **fields}


class RevokedReader:
    """Streams of one token, on both transports, on one host; it is revoked on another one."""

    def __init__(
        self, account: Account, token: str, streams: tuple[Stream, ...], at: RelayHost,
        elsewhere: RelayHost,
    ) -> None:  # fmt: skip
        self._account = account
        self._token = token
        self._streams = streams
        self._at = at
        self._elsewhere = elsewhere

    async def until_refused(self) -> None:
        """Wait until posts on the readers' host are refused, because the database is away."""
        body = json.dumps(an_event("again", event_id="again")).encode()
        with trio.fail_after(PATIENCE):
            async with Caller(self._at.port) as caller:
                while True:
                    answer = await caller.call("POST", "/api/webhook/cli", self._account.hook, body)
                    if answer.status == 503:
                        assert answer.json["code"] == "database_away"
                        return

    async def revoke(self) -> None:
        await call(self._elsewhere, "/api/token/revoke", self._token)

    async def store(self) -> None:
        """Store an event that the token must not read."""
        await call(self._elsewhere, "/api/webhook/cli", self._account.hook, **an_event(SECRET))

    async def reads_nothing_more(self) -> set[int | None]:
        """Each stream ends without that event; returns their codes, None for a cut connection."""
        codes = set()
        for opened in self._streams:
            payloads, code = await _to_its_end(opened)
            assert SECRET not in payloads, "a revoked token read an event"
            codes.add(code)
        return codes


@asynccontextmanager
async def revoked_reader(at: RelayHost, elsewhere: RelayHost) -> AsyncIterator[RevokedReader]:
    """One that is not revoked yet, of a user of its own."""
    account = await Ledger(elsewhere).enrol("watched", [])
    token = (await call(elsewhere, "/api/token", account.session))["token"]
    async with (
        stream(at.port, TRANSPORTS[0], token, insist=True) as one,
        stream(at.port, TRANSPORTS[1], token, insist=True) as other,
    ):
        for opened in (one, other):
            await _greeted(opened)
        yield RevokedReader(account, token, (one, other), at, elsewhere)


async def a_revoke_is_known(at: RelayHost, elsewhere: RelayHost) -> None:
    """A token that reads on one host is revoked on the other one, and its streams end."""
    async with revoked_reader(at, elsewhere) as reader:
        await reader.revoke()
        assert await reader.reads_nothing_more() <= ENDS


async def _greeted(opened: Stream) -> None:
    """Wait for its hello. Raises Ended if it ended before: a blind process ends what is opened."""
    first = (await opened.read())[0]
    if first["type"] == "close":
        raise Ended(first["code"])
    assert first["type"] == "hello", first


async def _to_its_end(opened: Stream) -> tuple[list[Any], int | None]:
    """The payloads that still come, and the close code."""
    messages: list[dict[str, Any]] = []
    with trio.fail_after(PATIENCE), suppress(Ended):
        while True:
            messages += await opened.read()
    codes = [one["code"] for one in messages if one.get("type") == "close"]
    return [one["payload"] for one in messages if "payload" in one], codes[0] if codes else None
