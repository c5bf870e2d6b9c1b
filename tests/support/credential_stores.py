"""A credential store at work, and a crowd that it has never seen."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import pytest
import trio

from relay.auth.credentials import CredentialStore
from relay.auth.revocations import RevocationKnowledge
from relay.auth.tokens import Claims, Keyring, Kind, Scope
from relay.config.parsers import signing_keys
from relay.db.pool import Database
from relay.db.tokens import LiveToken
from relay.db.user_credentials import UserCredential
from relay.errors import InvalidToken
from tests.support.relay_server import User
from tests.support.tokens import KEYS


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
