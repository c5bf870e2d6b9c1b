"""When a credential was used last is recorded after a poll, and delays none."""

import time
from datetime import datetime
from uuid import UUID

import pytest
import trio

from relay.auth.tokens import Kind
from relay.db.pool import Database, connect
from relay.db.tokens import select_revoked, touch_tokens
from relay.db.user_credentials import UserCredential
from tests.support.credential_stores import Crowd, listening
from tests.support.databases import begin
from tests.support.patience import PATIENCE, eventually
from tests.support.relay_server import Relay


async def test_last_used_is_recorded_once_a_minute(
    relay: Relay, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = await relay.user()
    token_id = UUID((await user.token())["token_id"])
    noted: list[list[UserCredential]] = []
    looked = trio.Event()

    async def touch(asked: Database, tokens: list[UserCredential]) -> None:
        if asked is database:  # and not Relay's own, which looks in this process, too
            noted.append(tokens)
        await touch_tokens(asked, tokens)

    async def select(asked: Database, since: datetime | None) -> tuple[list[UUID], datetime]:
        if asked is database:
            looked.set()
        return await select_revoked(asked, since)

    monkeypatch.setattr("relay.auth.credentials.TOUCH_INTERVAL", 3600)  # this minute lasts
    monkeypatch.setattr("relay.auth.credentials.touch_tokens", touch)
    monkeypatch.setattr("relay.auth.credentials.select_revoked", select)
    async with listening(database) as (access, _, _):
        crowd = Crowd(access, monkeypatch)
        crowd.answer.set()
        token = crowd.token(user, str(token_id))
        for use in range(3):
            if use == 2:
                access._touched_until[token_id] = 0.0  # a minute later
            await access.authenticate(token, time.time())
            for _ in range(2):  # the second begins after the first has noted what was used
                looked = trio.Event()
                access.poll_soon()
                await looked.wait()
    assert noted == [[(UUID(user.user_id), token_id)]] * 2


async def test_many_uses_are_recorded_over_several_polls(
    relay: Relay, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A poll waits until the last one has recorded uses, so that must not take long."""
    user = await relay.user()
    token_ids = [(await user.token())["token_id"] for _ in range(5)]
    noted: list[list[UserCredential]] = []

    async def touch(asked: Database, tokens: list[UserCredential]) -> None:
        await touch_tokens(asked, tokens)
        if asked is database:  # and not Relay's own, which looks in this process, too
            noted.append(tokens)

    monkeypatch.setattr("relay.auth.credentials.MAX_TOUCHED", 2)
    monkeypatch.setattr("relay.auth.credentials.REVOCATION_POLL_INTERVAL", 3600)
    monkeypatch.setattr("relay.auth.revocations.TRUST_SECONDS", 3600)
    monkeypatch.setattr("relay.auth.credentials.touch_tokens", touch)
    async with listening(database) as (access, _, _):
        crowd = Crowd(access, monkeypatch)
        crowd.answer.set()
        for token_id in token_ids:
            await access.authenticate(crowd.token(user, token_id), time.time())
        for polls in (1, 2, 3):
            access.poll_soon()
            await eventually(lambda: len(noted) == polls)  # noqa: B023
    assert [len(tokens) for tokens in noted] == [2, 2, 1]
    assert {used.id for tokens in noted for used in tokens} == set(map(UUID, token_ids))


async def test_a_lock_on_one_user_delays_no_poll(
    relay: Relay, database: Database, database_url: str
) -> None:
    """A poll stores the uses of credentials, too: it passes over what is locked."""
    user = await relay.user()
    tokens = [UUID((await user.token())["token_id"]) for _ in range(2)]
    await database.execute("UPDATE sessions SET last_used_at = now() - interval '1 hour'")
    (session_id,) = (await database.fetch("SELECT session_id FROM sessions"))[0]
    async with (
        listening(database) as (access, ended, _),
        connect(database_url, timeout=PATIENCE) as holder,
    ):
        await begin(holder, "SELECT FROM users FOR UPDATE; SELECT FROM sessions FOR UPDATE")
        token = access.keyring.issue_session(UUID(user.user_id), session_id)
        await access.authenticate(token, time.time())
        for token_id in tokens:
            await database.execute(
                "UPDATE tokens SET revoked_at = now() WHERE token_id = $1", token_id
            )
            access.poll_soon()
            await eventually(lambda: token_id in ended)  # noqa: B023


async def test_a_lock_on_all_tokens_delays_no_poll(
    relay: Relay, database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As while an index is made: a poll can read, and what it cannot store follows later."""
    user, _ = [await relay.user() for _ in range(2)]
    token_id = (await user.token())["token_id"]
    sessions = [row["session_id"] for row in await database.fetch("SELECT * FROM sessions")]
    async with (
        listening(database) as (access, ended, _),
        connect(database_url, timeout=PATIENCE) as holder,
    ):
        await begin(holder, "LOCK TABLE tokens IN SHARE MODE")
        crowd = Crowd(access, monkeypatch)
        crowd.answer.set()
        await access.authenticate(crowd.token(user, token_id), time.time())
        for session_id in sessions:  # the poll that finds the first then waits to store the use
            await database.execute(
                "UPDATE sessions SET revoked_at = now() WHERE session_id = $1", session_id
            )
            access.poll_soon()
            await eventually(lambda: session_id in ended)  # noqa: B023
        assert access._uses[Kind.HOOK]
        await holder.execute("ROLLBACK")
        await eventually(lambda: not access._uses[Kind.HOOK])
