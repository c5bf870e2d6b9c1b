"""Tokens and tickets -> Credential, remembered so that most requests need no query.

A credential is trusted from memory only while this process learns of revocations: one small
query a second asks the database what was revoked anywhere. A revoke done here counts at once,
and on other processes as soon as the backplane announces it.
While that query fails every request is refused with 503, at once. While it is late, because this
process or the database had no time for it, requests wait for its answer.
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

SESSION_DAYS = 30.0  # a session slides this far with every use
TICKET_SECONDS = 30  # time to open a URL, not to pass it around

POLL = 1.0  # seconds between looks for revocations: what a revoke may take elsewhere
SOON = 0.1  # seconds between two looks at least, however often `look` is called
RETRY = 0.2  # seconds after a look that failed: all requests are refused until one succeeds
TRUST = 2.5  # seconds memory is trusted after the last good look: two may be slow
LATE_LOOKS = 2  # that a request waits for; a stalled process or a slow database is late, not away
NOTED = 45.0  # seconds that a note of a credential's use is good for
WATCHING = 60.0  # seconds between two notes that open streams use their credentials
REMEMBERED = 20_000  # credentials kept, about 1 KiB each; beyond, the oldest are asked for again

log = structlog.get_logger("relay.auth.credentials")


class Credential(msgspec.Struct, frozen=True, gc=False):
    """A live session or hook token: its user, its scopes, and its end (seconds since 1970).

    A session's `expires_at` is where its use has moved it; `ends_at` is what no use moves.
    """

    user_id: UUID
    id: UUID
    kind: Kind
    scopes: tuple[Scope, ...]
    expires_at: float
    ends_at: float
    signing_kid: str | None = None  # set: requests must be signed with this key's secret

    def get_scope(self) -> str:
        """Its scopes for Authlib's validator, as RFC 6749 (3.3) writes them."""
        return " ".join(self.scopes) if self.kind is Kind.HOOK else self.kind

    def is_expired(self) -> bool:
        """For Authlib's validator."""
        return self.expires_at <= time.time()

    def is_revoked(self) -> bool:
        """For Authlib's validator: `Access` hands out live credentials alone."""
        return False

    def slid(self, now: float) -> float:
        """When it expires after this use of it."""
        if self.kind is Kind.HOOK:
            return self.expires_at
        return min(now + SESSION_DAYS * 86_400, self.ends_at)


class Access:
    """Verified credentials of one process.

    `on_revoked` is called with the id of each credential that ended, wherever it was revoked;
    `tell` announces those that were revoked here to other processes. `watching` returns the ids
    of the credentials that open streams use.
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
        self._noted: dict[UUID, float] = {}  # uses in the database, and until when that will do
        self._revoked = 0  # how often that was heard
        self._note_watching_at = 0.0
        self._trusted_until = 0.0
        self._away = False  # whether the last look failed
        self._looked = trio.Event()  # set when the look that is due, or under way, has its answer
        self._seen: datetime | None = None
        self._woken = trio.Event()

    async def authenticate(self, token: str, now: float) -> Credential:
        """The token's credential. Raises InvalidToken, DatabaseAway. `now`: seconds since 1970."""
        await self._wait_until_trusted()
        credential = self.remembered(token, now)
        if credential is None:  # never seen, or expired; but a session may have slid on
            credential = await self._ask(token)
        self._use(credential, trio.current_time())
        return credential

    async def _wait_until_trusted(self) -> None:
        """Wait until memory may be trusted.

        A look that is late, but has not failed, is waited for; so is the one after it. Each ends
        by the database's deadline. Raises DatabaseAway.
        """
        for _ in range(LATE_LOOKS + 1):
            if trio.current_time() <= self._trusted_until:
                return
            if self._away:
                break  # refuse at once: the next good look, within a second or so, ends this
            await self._looked.wait()
        raise DatabaseAway()

    def remembered(self, token: str, now: float) -> Credential | None:
        """The token's credential if it is remembered and unexpired; None: ask the database."""
        credential = self._known.get(token)
        return None if credential is None or credential.expires_at <= now else credential

    def _use(self, credential: Credential, at: float) -> None:
        if self._noted.get(credential.id, 0.0) <= at:
            self._used[credential.kind].add(credential.id)

    async def _ask(self, token: str) -> Credential:
        claims = self.keyring.verify(token)
        revoked = self._revoked
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
        if revoked == self._revoked:  # else it may be the one revoked while we asked
            self._remember(token, credential)
        return credential

    async def mint_ticket(self, credential: Credential, origin: str | None) -> str:
        """A ticket for the credential, bound to the page of this Origin. Raises DatabaseAway."""
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
        """The credential that the ticket was made for, once. Raises InvalidToken, DatabaseAway.

        A ticket of a page counts on that page only: `here` returns whether the request comes from
        a page of that Origin.
        """
        spent = await spend_ticket(self._database, hash_secret(ticket), MAX_LIFETIME)
        if spent is None:
            raise InvalidToken("The ticket was spent, is late or unknown.", reason="ticket")
        if spent.expires_at is None or spent.ends_at is None:
            raise InvalidToken("The ticket's credential has ended.", reason="revoked")
        if spent.origin is not None and not here(spent.origin):
            raise InvalidToken("The ticket belongs to another page.", reason="ticket")
        return Credential(
            spent.user_id,
            spent.credential_id,
            Kind.SESSION if spent.scopes is None else Kind.HOOK,
            tuple(Scope(scope) for scope in spent.scopes or ()),
            spent.expires_at.timestamp(),
            spent.ends_at.timestamp(),
        )

    def revoked(self, credential_id: UUID) -> None:
        """A request here ended the credential: end what it opened, on every process."""
        self.heard_revoked(credential_id)
        self._tell(credential_id)

    def heard_revoked(self, credential_id: UUID) -> None:
        """The credential ended, here or elsewhere: forget it, and end what it opened here."""
        self._revoked += 1
        self._drop(credential_id)
        self._on_revoked(credential_id)

    def look(self) -> None:
        """Ask the database soon: a notification of a revoke may have been lost."""
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
        """Answer lookups, look for revocations, note which credentials are used; never returns."""
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
                if not self._away:  # once an outage, not five times a second
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
                used.update(watching)  # of either kind: the other's ids match nothing
        hooks, sessions = list(self._used[Kind.HOOK]), list(self._used[Kind.SESSION])
        if hooks:
            await touch_tokens(self._database, hooks)
            self._used[Kind.HOOK].difference_update(hooks)
        if sessions:
            await touch_sessions(self._database, sessions, SESSION_DAYS)
            self._used[Kind.SESSION].difference_update(sessions)
        self._noted.update(dict.fromkeys([*hooks, *sessions], now + NOTED))


def hash_secret(secret: str) -> bytes:
    """How a ticket or a link is stored: random secrets need no salt and no stretching."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
