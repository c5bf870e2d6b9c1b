"""Revocations reach open streams: at once when announced, otherwise by the next poll."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from uuid import UUID

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from relay.auth.credentials import CredentialStore
from relay.auth.revocations import RevocationKnowledge
from relay.auth.tokens import Claims, Keyring, Kind, Scope
from relay.config.parsers import signing_keys
from relay.db.pool import Database, connect
from relay.db.tokens import LiveToken, select_revoked, touch_tokens
from relay.db.user_credentials import UserCredential
from relay.errors import DatabaseAway, InvalidToken
from tests.support.databases import begin, database_of
from tests.support.patience import PATIENCE, eventually
from tests.support.relay_server import Relay, User
from tests.support.tokens import KEYS


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with database_of(database_url) as database:
        yield database


@asynccontextmanager
async def listening(
    database: Database,
) -> AsyncIterator[tuple[CredentialStore, list[UUID], list[UUID]]]:
    """Access at work, what it ended here, and what it announced."""
    ended: list[UUID] = []
    announced: list[UUID] = []
    access = CredentialStore(
        Keyring(signing_keys(KEYS), "http://here"),
        database,
        RevocationKnowledge(),
        on_revoked=ended.append,
        announce=announced.append,
        in_use=lambda: (),
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(access.run)
        yield access, ended, announced
        nursery.cancel_scope.cancel()


async def test_a_local_revoke_is_announced_and_a_remote_one_is_not_repeated(
    database: Database,
) -> None:
    mine, theirs = UUID(int=1), UUID(int=2)
    async with listening(database) as (access, ended, announced):
        access.end_everywhere(mine)
        access.end_here(theirs)
        assert (ended, announced) == ([mine, theirs], [mine])


async def test_a_requested_poll_runs_at_once(
    relay: Relay, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.auth.credentials.REVOCATION_POLL_INTERVAL", 3600)
    tokens = [UUID((await (await relay.user()).token())["token_id"]) for _ in range(3)]
    async with listening(database) as (access, ended, announced):
        for token_id in tokens:
            await database.execute(
                "UPDATE tokens SET revoked_at = now() WHERE token_id = $1", token_id
            )
            access.poll_soon()
            await eventually(lambda: token_id in ended)  # noqa: B023
        assert announced == []


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


async def test_a_late_poll_is_waited_for_and_a_failed_one_is_not(
    relay: Relay, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = await relay.user()
    token_id = (await user.token())["token_id"]
    answers: list[trio.Event] = []
    fails = False

    async def select(asked: Database, since: datetime | None) -> tuple[list[UUID], datetime]:
        if asked is database:  # and not Relay's own, which looks in this process, too
            answers.append(trio.Event())
            await answers[-1].wait()
            if fails:
                raise DatabaseAway()
        return await select_revoked(asked, since)

    # an answer counts from when it was asked for, however late it is read
    monkeypatch.setattr("relay.auth.revocations.TRUST_SECONDS", PATIENCE)
    async with listening(database) as (access, _, _):
        crowd = Crowd(access, monkeypatch)
        crowd.answer.set()
        token = crowd.token(user, token_id)
        monkeypatch.setattr("relay.auth.credentials.select_revoked", select)
        access.poll_soon()
        await eventually(lambda: len(answers) == 1)
        for fails in (False, True):
            access._revocations._trusted_until = 0.0  # as if this process had stood still
            refused = trio.Event()
            async with trio.open_nursery() as nursery:

                @nursery.start_soon
                async def ask(refused: trio.Event = refused) -> None:
                    try:
                        await access.authenticate(token, time.time())
                    except DatabaseAway:
                        refused.set()

                await wait_all_tasks_blocked()
                assert nursery.child_tasks  # it waits
                answers[-1].set()
            assert refused.is_set() is fails
            if not fails:
                access.poll_soon()
                await eventually(lambda: len(answers) == 2)
        with pytest.raises(DatabaseAway):  # at once
            await access.authenticate(token, time.time())


class Crowd:
    """Users with a token each that `access` has never seen, and what the database was asked."""

    def __init__(self, access: CredentialStore, monkeypatch: pytest.MonkeyPatch) -> None:
        self.access = access
        self.asked: list[list[UserCredential]] = []
        self.answer = trio.Event()
        self._select = access._live_tokens._select
        monkeypatch.setattr(access._live_tokens, "_select", self._look)

    async def _look(self, tokens: list[UserCredential]) -> dict[UserCredential, LiveToken]:
        self.asked.append(tokens)
        found = await self._select(tokens)
        await self.answer.wait()
        return found

    def token(self, user: User, token_id: str) -> str:
        now = int(time.time())
        ids = UUID(user.user_id), UUID(token_id)
        return self.access.keyring.issue(
            Claims(*ids, Kind.HOOK, (Scope.WATCH,), now, now + 3600),
        )

    async def outcome(self, token: str) -> UUID | str:
        try:
            return (await self.access.authenticate(token, time.time())).user_id
        except InvalidToken as refused:
            return refused.reason

    def remembers(self, token: str) -> bool:
        return self.access.cached(token, time.time()) is not None


async def test_concurrent_lookups_share_queries_and_get_their_own_results(
    relay: Relay, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = [await relay.user() for _ in range(20)]
    rows = [(user, (await user.token())["token_id"]) for user in users]
    monkeypatch.setattr("relay.auth.credentials.MAX_CACHED_CREDENTIALS", 15)
    async with listening(database) as (access, _, _):
        crowd = Crowd(access, monkeypatch)
        tokens = [crowd.token(user, token_id) for user, token_id in rows]
        foreign = crowd.token(users[0], rows[1][1])
        outcomes: dict[str, UUID | str] = {}

        async def come(token: str) -> None:
            outcomes[token] = await crowd.outcome(token)

        async with trio.open_nursery() as nursery:
            for token in (*tokens, foreign):
                nursery.start_soon(come, token)
            await wait_all_tasks_blocked()
            crowd.answer.set()
        assert outcomes == {
            **{token: UUID(user.user_id) for token, (user, _) in zip(tokens, rows, strict=True)},
            foreign: "revoked",
        }
        assert len(crowd.asked) <= 3
        assert sum(map(crowd.remembers, tokens)) >= 14  # the foreign one may have cost its owner's
        assert not crowd.remembers(foreign)


@pytest.mark.parametrize("ended", ["it", "another"])
async def test_a_credential_revoked_during_its_lookup_is_not_cached(
    relay: Relay, database: Database, monkeypatch: pytest.MonkeyPatch, ended: str
) -> None:
    user = await relay.user()
    token_id = (await user.token())["token_id"]
    async with listening(database) as (access, _, _):
        crowd = Crowd(access, monkeypatch)
        token = crowd.token(user, token_id)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(crowd.outcome, token)
            await eventually(lambda: bool(crowd.asked))
            access.end_everywhere(UUID(token_id) if ended == "it" else UUID(int=1))
            crowd.answer.set()
        assert not crowd.remembers(token)
        assert await crowd.outcome(token) == UUID(user.user_id)  # it has not been revoked in truth
        assert crowd.remembers(token)
