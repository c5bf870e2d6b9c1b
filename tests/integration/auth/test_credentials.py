"""Revocations reach open streams: at once when announced, otherwise by the next poll."""

import time
from datetime import datetime
from uuid import UUID

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from relay.db.pool import Database
from relay.db.tokens import select_revoked
from relay.errors import DatabaseAway
from tests.support.credential_stores import Crowd, listening
from tests.support.patience import PATIENCE, eventually
from tests.support.relay_server import Relay


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
