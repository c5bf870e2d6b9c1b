"""Authenticate tokens and tickets, with a cache so that most requests need no query.

A process trusts its cache only while it learns of revocations: once a second it polls the database
for what was revoked anywhere. A revocation takes effect at once in the process that makes it, and
elsewhere as soon as the backplane announces it.
While the poll fails, requests are refused with 503 at once. While the poll is late, because the
process or the database was too busy, requests wait for its answer.
"""

import time
from collections.abc import Callable, Iterable
from datetime import datetime
from functools import partial
from itertools import islice
from uuid import UUID

import msgspec
import structlog
import trio

from relay.auth.one_time_secrets import TICKET_BYTES, hash_secret, new_secret, secret_owner
from relay.auth.revocations import RevocationKnowledge
from relay.auth.tokens import MAX_LIFETIME_SECONDS, Keyring, Kind, Scope
from relay.db.batched_lookup import BatchedLookup
from relay.db.pool import DATABASE_ERRORS, Database
from relay.db.tickets import find_ticket_owner, insert_ticket, spend_ticket
from relay.db.tokens import LiveToken, select_live_tokens, select_revoked, touch_tokens
from relay.db.user_credentials import UserCredential
from relay.db.users import LiveSession, select_live_sessions, touch_sessions
from relay.errors import InvalidToken
from relay.observability import metrics

SESSION_DAYS = 30.0  # each use moves a session's end this far ahead
TICKET_SECONDS = 30  # enough to open a URL, too short to share it

REVOCATION_POLL_INTERVAL = 1.0  # seconds: the longest that a revocation takes elsewhere
MIN_POLL_INTERVAL = 0.1  # seconds between two polls at least, however often `poll_soon` is called
RETRY_INTERVAL = 0.2  # seconds after a failed poll: all requests are refused until one succeeds
TOUCH_INTERVAL = 45.0  # seconds between two updates of a credential's last use
STREAM_TOUCH_INTERVAL = 60.0  # seconds between two updates for the credentials of open streams
MAX_TOUCHED = 1_000  # of a kind after one poll; the others follow after the next
TOUCH_SECONDS = 1.0  # for these: the next poll waits for them, and what was not stored follows
MAX_CACHED_CREDENTIALS = 20_000  # about 1 KiB each; past it the oldest are evicted

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
        """For Authlib's validator: `CredentialStore` returns only live credentials."""
        return False

    def expiry_after_use(self, now: float) -> float:
        """The new `expires_at` when the credential is used now."""
        if self.kind is Kind.HOOK:
            return self.expires_at
        return min(now + SESSION_DAYS * 86_400, self.ends_at)


class CredentialStore:
    """Authenticates the requests of one process.

    It keeps `revocations` current while `run` runs.
    `on_revoked` is called with the id of each revoked credential, wherever it was revoked.
    `announce` is called with each id revoked here, for other processes.
    `in_use` returns the credentials that open streams use.
    """

    def __init__(
        self,
        keyring: Keyring,
        database: Database,
        revocations: RevocationKnowledge,
        *,
        on_revoked: Callable[[UUID], None],
        announce: Callable[[UUID], None],
        in_use: Callable[[], Iterable[tuple[UUID, UUID]]],
    ) -> None:
        self.keyring = keyring
        self._database = database
        self._revocations = revocations
        self._on_revoked = on_revoked
        self._announce = announce
        self._in_use = in_use
        self._live_tokens: BatchedLookup[UserCredential, LiveToken] = BatchedLookup(
            partial(select_live_tokens, database)
        )
        self._live_sessions: BatchedLookup[UserCredential, LiveSession] = BatchedLookup(
            partial(select_live_sessions, database)
        )
        self._cache: dict[str, Credential] = {}
        self._token_by_id: dict[UUID, str] = {}
        self._uses: dict[Kind, set[UserCredential]] = {Kind.HOOK: set(), Kind.SESSION: set()}
        self._touched_until: dict[UUID, float] = {}  # id -> when its last use is to be stored again
        self.revoked_count = 0  # revocations seen so far: while it stays, so does what is live
        self._touch_streams_at = 0.0
        self._seen_until: datetime | None = None
        self._wake_up = trio.Event()

    async def authenticate(self, token: str, now: float) -> Credential:
        """The token's credential. `now`: seconds since 1970.

        Raises InvalidToken, ClockBehind, DatabaseAway.
        """
        await self._revocations.wait_until_current()
        credential = self.cached(token, now)
        if credential is None:  # not cached, or expired; a session's end may have moved
            credential = await self._look_up(token)
        self._mark_used(credential, trio.current_time())
        return credential

    def cached(self, token: str, now: float) -> Credential | None:
        """The token's credential if it is cached and has not expired."""
        credential = self._cache.get(token)
        return None if credential is None or credential.expires_at <= now else credential

    def _mark_used(self, credential: Credential, at: float) -> None:
        if self._touched_until.get(credential.id, 0.0) <= at:
            self._uses[credential.kind].add(UserCredential(credential.user_id, credential.id))

    async def _look_up(self, token: str) -> Credential:
        claims = self.keyring.verify(token)
        seen = self.revoked_count
        live: LiveToken | LiveSession | None
        key = UserCredential(claims.user_id, claims.id)
        if claims.kind is Kind.HOOK:
            live = await self._live_tokens.find(key)
        else:
            live = await self._live_sessions.find(key)
        if live is None:
            self._evict(claims.id)
            raise InvalidToken("The credential was revoked or has expired.", reason="revoked")
        # Ids are keys all the way. The hash of the driver's UUIDs is computed once, and in C.
        credential = Credential(
            live.key.user_id,
            live.key.id,
            claims.kind,
            claims.scopes,
            min(live.expires_at.timestamp(), claims.expires_at),
            claims.expires_at,
            live.kid if isinstance(live, LiveToken) and live.signed else None,
        )
        if seen == self.revoked_count:  # else this one may have been revoked during the query
            self._add_to_cache(token, credential)
        return credential

    async def mint_ticket(self, credential: Credential, origin: str | None) -> str:
        """Make a ticket for the credential, bound to this Origin. Raises DatabaseAway."""
        ticket = new_secret(credential.user_id, TICKET_BYTES)
        await insert_ticket(
            self._database,
            ticket_hash=hash_secret(ticket),
            user_id=credential.user_id,
            credential_id=credential.id,
            origin=origin,
            seconds=TICKET_SECONDS,
        )
        return ticket

    async def redeem_ticket(self, ticket: str, comes_from: Callable[[str], bool]) -> Credential:
        """Spend the ticket, and return its credential. Raises InvalidToken, DatabaseAway.

        A ticket is valid only for requests of its Origin: `comes_from` returns whether the request
        comes from the given Origin.
        """
        database, hashed = self._database, hash_secret(ticket)
        owner = secret_owner(ticket, TICKET_BYTES) or await find_ticket_owner(database, hashed)
        spent = None
        if owner is not None:
            spent = await spend_ticket(database, owner, hashed, MAX_LIFETIME_SECONDS)
        if spent is None:
            raise InvalidToken("The ticket is unknown, expired or already used.", reason="ticket")
        if spent.expires_at is None or spent.ends_at is None:
            raise InvalidToken(
                "The ticket's credential was revoked or has expired.", reason="revoked"
            )
        if spent.origin is not None and not comes_from(spent.origin):
            raise InvalidToken("The ticket was made for another Origin.", reason="ticket")
        return Credential(
            spent.user_id,
            spent.credential_id,
            Kind.SESSION if spent.scopes is None else Kind.HOOK,
            tuple(Scope(scope) for scope in spent.scopes or ()),
            spent.expires_at.timestamp(),
            spent.ends_at.timestamp(),
        )

    def end_everywhere(self, credential_id: UUID) -> None:
        """Apply a revocation made by this process, and announce it to the others."""
        self.end_here(credential_id)
        self._announce(credential_id)

    def end_here(self, credential_id: UUID) -> None:
        """Apply a revocation: evict the credential, and end the streams it opened here."""
        self.revoked_count += 1
        self._evict(credential_id)
        self._on_revoked(credential_id)

    def poll_soon(self) -> None:
        """Poll soon: an announcement of a revocation may have been lost."""
        self._wake_up.set()

    def _evict(self, credential_id: UUID) -> None:
        if (token := self._token_by_id.pop(credential_id, None)) is not None:
            self._cache.pop(token, None)

    def _add_to_cache(self, token: str, credential: Credential) -> None:
        while len(self._cache) >= MAX_CACHED_CREDENTIALS:
            self._evict(next(iter(self._cache.values())).id)
        self._cache.pop(self._token_by_id.get(credential.id, ""), None)
        self._cache[token] = credential
        self._token_by_id[credential.id] = token

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run lookups, poll for revocations, store uses of credentials. Never returns."""
        async with trio.open_nursery() as lookups:
            lookups.start_soon(self._live_tokens.run)
            lookups.start_soon(self._live_sessions.run)
            await self._poll_revocations(task_status)

    async def _poll_revocations(self, task_status: trio.TaskStatus[None]) -> None:
        started = False
        while True:
            polled_at, interval = trio.current_time(), REVOCATION_POLL_INTERVAL
            self._wake_up = trio.Event()
            outage = self._revocations.poll_failed
            try:
                ids, self._seen_until = await select_revoked(self._database, self._seen_until)
                for credential_id in ids:
                    self.end_here(credential_id)
                self._revocations.note_success(polled_at)
                with trio.move_on_after(TOUCH_SECONDS):
                    await self._store_uses()
                metrics.database_away.set(0)
                if outage:
                    log.warning("database_back")
            except DATABASE_ERRORS as error:
                metrics.database_away.set(1)
                if not outage:  # once an outage
                    log.warning("database_away", error=repr(error.__cause__)[:300])
                self._revocations.note_failure()
                interval = RETRY_INTERVAL
            if not started:
                task_status.started()
                started = True
            await trio.sleep(MIN_POLL_INTERVAL)
            with trio.move_on_at(polled_at + interval):
                await self._wake_up.wait()

    async def _store_uses(self) -> None:
        now = trio.current_time()
        if now >= self._touch_streams_at:
            self._touch_streams_at = now + STREAM_TOUCH_INTERVAL
            self._touched_until = {
                used: until for used, until in self._touched_until.items() if until > now
            }
            in_use = [
                UserCredential(user_id, used)
                for user_id, used in self._in_use()
                if used not in self._touched_until
            ]
            for uses in self._uses.values():
                uses.update(in_use)  # those of the other kind match no row
        hooks = list(islice(self._uses[Kind.HOOK], MAX_TOUCHED))
        sessions = list(islice(self._uses[Kind.SESSION], MAX_TOUCHED))
        if hooks:
            await touch_tokens(self._database, hooks)
            self._uses[Kind.HOOK].difference_update(hooks)
        if sessions:
            await touch_sessions(self._database, sessions, SESSION_DAYS)
            self._uses[Kind.SESSION].difference_update(sessions)
        touched = [used.id for used in (*hooks, *sessions)]
        self._touched_until.update(dict.fromkeys(touched, now + TOUCH_INTERVAL))
