"""Authenticate tokens and tickets, with a cache so that most requests need no query.

A process trusts its cache only while it learns of revocations: once a second it polls the database
for what was revoked anywhere. A revocation takes effect at once in the process that makes it, and
elsewhere as soon as the backplane announces it.
While the poll fails, requests are refused with 503 at once. While the poll is late, because the
process or the database was too busy, requests wait for its answer.
"""

import hashlib
import secrets
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from functools import partial
from uuid import UUID

import msgspec
import structlog
import trio

from relay.auth.tokens import MAX_LIFETIME, Keyring, Kind, Scope
from relay.db.batched_lookup import SharedQuery
from relay.db.pool import UNANSWERED, Database
from relay.db.tickets import insert_ticket, spend_ticket
from relay.db.tokens import LiveToken, select_live_tokens, select_revoked, touch_tokens
from relay.db.users import LiveSession, select_live_sessions, touch_sessions
from relay.errors import DatabaseAway, InvalidToken
from relay.observability import metrics

SESSION_DAYS = 30.0  # each use moves a session's end this far ahead
TICKET_SECONDS = 30  # enough to open a URL, too short to share it

POLL = 1.0  # seconds: the longest that a revocation takes elsewhere
SOON = 0.1  # seconds between two polls at least, however often `look` is called
RETRY = 0.2  # seconds after a failed poll: all requests are refused until one succeeds
TRUST = 2.5  # seconds the cache is trusted after a successful poll: two polls may be slow
LATE_LOOKS = 2  # late polls that a request waits for: a stalled process is not an outage
NOTED = 45.0  # seconds between two updates of a credential's last use
WATCHING = 60.0  # seconds between two updates for the credentials of open streams
REMEMBERED = 20_000  # about 1 KiB each; past it the oldest are evicted

log = structlog.get_logger("relay.auth.credentials")


class Credential(msgspec.Struct, frozen=True, gc=False):
    """A live session or hook token. Times are in seconds since 1970.

    Using a session moves `expires_at` ahead, up to `ends_at`.
    """

    user_id: UUID
    id: UUID
    kind: Kind
    scopes: tuple[Scope, ...]
    expires_at: float
    ends_at: float
    signing_kid: str | None = None  # if set, requests must be signed with a secret derived from it

    def get_scope(self) -> str:
        """For Authlib's validator: the scopes, separated by spaces (RFC 6749, 3.3)."""
        return " ".join(self.scopes) if self.kind is Kind.HOOK else self.kind

    def is_expired(self) -> bool:
        """For Authlib's validator."""
        return self.expires_at <= time.time()

    def is_revoked(self) -> bool:
        """For Authlib's validator: `Access` returns only live credentials."""
        return False

    def slid(self, now: float) -> float:
        """The new `expires_at` when the credential is used now."""
        if self.kind is Kind.HOOK:
            return self.expires_at
        return min(now + SESSION_DAYS * 86_400, self.ends_at)


class Access:
    """Authenticates the requests of one process.

    `on_revoked` is called with the id of each revoked credential, wherever it was revoked.
    `tell` is called with each id revoked here, for other processes.
    `watching` returns the ids of the credentials that open streams use.
    """

    def __init__(
        self,
        keyring: Keyring,
        database: Database,
        *,
        on_revoked: Callable[[UUID], None],
        tell: Callable[[UUID], None],
        watching: Callable[[], Iterable[UUID]],
    ) -> None:
        self.keyring = keyring
        self._database = database
        self._on_revoked = on_revoked
        self._tell = tell
        self._watching = watching
        self._live_tokens: SharedQuery[UUID, LiveToken] = SharedQuery(
            partial(select_live_tokens, database)
        )
        self._live_sessions: SharedQuery[UUID, LiveSession] = SharedQuery(
            partial(select_live_sessions, database)
        )
        self._known: dict[str, Credential] = {}
        self._tokens_of: dict[UUID, str] = {}
        self._used: dict[Kind, set[UUID]] = {Kind.HOOK: set(), Kind.SESSION: set()}
        self._noted: dict[UUID, float] = {}  # id -> when its last use is to be stored again
        self._revocations = 0  # revocations seen so far
        self._note_watching_at = 0.0
        self._trusted_until = 0.0
        self._away = False  # whether the last poll failed
        self._looked = trio.Event()  # set when the poll that is due or running has its answer
        self._seen: datetime | None = None
        self._woken = trio.Event()

    async def authenticate(self, token: str, now: float) -> Credential:
        """The token's credential. Raises InvalidToken, DatabaseAway. `now`: seconds since 1970."""
        await self._wait_until_trusted()
        credential = self.remembered(token, now)
        if credential is None:  # not cached, or expired; a session's end may have moved
            credential = await self._ask(token)
        self._use(credential, trio.current_time())
        return credential

    async def _wait_until_trusted(self) -> None:
        """Wait until the cache may be trusted. Raises DatabaseAway.

        Waits for up to `LATE_LOOKS` late polls, but not after one that failed. The database
        timeout bounds each.
        """
        for _ in range(LATE_LOOKS + 1):
            if trio.current_time() <= self._trusted_until:
                return
            if self._away:
                break  # refuse at once until the next successful poll
            await self._looked.wait()
        raise DatabaseAway()

    def remembered(self, token: str, now: float) -> Credential | None:
        """The token's credential if it is cached and has not expired."""
        credential = self._known.get(token)
        return None if credential is None or credential.expires_at <= now else credential

    def _use(self, credential: Credential, at: float) -> None:
        if self._noted.get(credential.id, 0.0) <= at:
            self._used[credential.kind].add(credential.id)

    async def _ask(self, token: str) -> Credential:
        claims = self.keyring.verify(token)
        seen = self._revocations
        live: LiveToken | LiveSession | None
        if claims.kind is Kind.HOOK:
            live = await self._live_tokens.find(claims.id)
        else:
            live = await self._live_sessions.find(claims.id)
        if live is None or live.user_id != claims.user_id:
            self._drop(claims.id)
            raise InvalidToken("The credential was revoked or has expired.", reason="revoked")
        credential = Credential(
            claims.user_id,
            claims.id,
            claims.kind,
            claims.scopes,
            min(live.expires_at.timestamp(), claims.expires_at),
            claims.expires_at,
            live.kid if isinstance(live, LiveToken) and live.signed else None,
        )
        if seen == self._revocations:  # else this one may have been revoked during the query
            self._remember(token, credential)
        return credential

    async def mint_ticket(self, credential: Credential, origin: str | None) -> str:
        """Make a ticket for the credential, bound to this Origin. Raises DatabaseAway."""
        ticket = secrets.token_urlsafe(32)
        await insert_ticket(
            self._database,
            ticket_hash=hash_secret(ticket),
            user_id=credential.user_id,
            credential_id=credential.id,
            origin=origin,
            seconds=TICKET_SECONDS,
        )
        return ticket

    async def redeem_ticket(self, ticket: str, here: Callable[[str], bool]) -> Credential:
        """Spend the ticket, and return its credential. Raises InvalidToken, DatabaseAway.

        A ticket is valid only for requests of its Origin: `here` returns whether the request
        comes from the given Origin.
        """
        spent = await spend_ticket(self._database, hash_secret(ticket), MAX_LIFETIME)
        if spent is None:
            raise InvalidToken("The ticket is unknown, expired or already used.", reason="ticket")
        if spent.expires_at is None or spent.ends_at is None:
            raise InvalidToken(
                "The ticket's credential was revoked or has expired.", reason="revoked"
            )
        if spent.origin is not None and not here(spent.origin):
            raise InvalidToken("The ticket was made for another Origin.", reason="ticket")
        return Credential(
            spent.user_id,
            spent.credential_id,
            Kind.SESSION if spent.scopes is None else Kind.HOOK,
            tuple(Scope(scope) for scope in spent.scopes or ()),
            spent.expires_at.timestamp(),
            spent.ends_at.timestamp(),
        )

    def revoked(self, credential_id: UUID) -> None:
        """Apply a revocation made by this process, and announce it to the others."""
        self.heard_revoked(credential_id)
        self._tell(credential_id)

    def heard_revoked(self, credential_id: UUID) -> None:
        """Apply a revocation: evict the credential, and end the streams it opened here."""
        self._revocations += 1
        self._drop(credential_id)
        self._on_revoked(credential_id)

    def look(self) -> None:
        """Poll soon: an announcement of a revocation may have been lost."""
        self._woken.set()

    def _drop(self, credential_id: UUID) -> None:
        if (token := self._tokens_of.pop(credential_id, None)) is not None:
            self._known.pop(token, None)

    def _remember(self, token: str, credential: Credential) -> None:
        while len(self._known) >= REMEMBERED:
            self._drop(next(iter(self._known.values())).id)
        self._known.pop(self._tokens_of.get(credential.id, ""), None)
        self._known[token] = credential
        self._tokens_of[credential.id] = token

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run lookups, poll for revocations, store uses of credentials. Never returns."""
        async with trio.open_nursery() as asking:
            asking.start_soon(self._live_tokens.run)
            asking.start_soon(self._live_sessions.run)
            await self._watch(task_status)

    async def _watch(self, task_status: trio.TaskStatus[None]) -> None:
        started = False
        while True:
            asked_at, pause = trio.current_time(), POLL
            self._woken = trio.Event()
            try:
                ids, self._seen = await select_revoked(self._database, self._seen)
                for credential_id in ids:
                    self.heard_revoked(credential_id)
                self._trusted_until = asked_at + TRUST
                await self._note_use()
                metrics.database_away.set(0)
                if self._away:
                    log.warning("database_back")
                self._away = False
            except UNANSWERED as error:
                metrics.database_away.set(1)
                if not self._away:  # once an outage
                    log.warning("database_away", error=repr(error.__cause__)[:300])
                self._away, pause = True, RETRY
            self._looked.set()
            self._looked = trio.Event()
            if not started:
                task_status.started()
                started = True
            await trio.sleep(SOON)
            with trio.move_on_at(asked_at + pause):
                await self._woken.wait()

    async def _note_use(self) -> None:
        now = trio.current_time()
        if now >= self._note_watching_at:
            self._note_watching_at = now + WATCHING
            self._noted = {used: until for used, until in self._noted.items() if until > now}
            watching = [used for used in self._watching() if used not in self._noted]
            for used in self._used.values():
                used.update(watching)  # ids of the other kind match no row
        hooks, sessions = list(self._used[Kind.HOOK]), list(self._used[Kind.SESSION])
        if hooks:
            await touch_tokens(self._database, hooks)
            self._used[Kind.HOOK].difference_update(hooks)
        if sessions:
            await touch_sessions(self._database, sessions, SESSION_DAYS)
            self._used[Kind.SESSION].difference_update(sessions)
        self._noted.update(dict.fromkeys([*hooks, *sessions], now + NOTED))


def hash_secret(secret: str) -> bytes:
    """The stored form of a ticket or a link. Random secrets need neither salt nor stretching."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
