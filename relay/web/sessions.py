"""Open sessions, and make and redeem the one-time links that open one on another device."""

import time
from datetime import UTC, datetime
from uuid import UUID, uuid4

import msgspec

from relay.auth.credentials import SESSION_DAYS, Credential
from relay.auth.one_time_secrets import LINK_BYTES, hash_secret, new_secret, secret_owner
from relay.auth.tokens import Kind
from relay.db.links import find_link_owner, insert_link, is_link_valid, spend_link
from relay.errors import Problem, SessionRequired
from relay.events import rfc3339
from relay.schema_types import Moment, Uuid
from relay.services import Services

LINK_SECONDS = 300  # enough to fetch a phone and scan the code, too short to share the link
MAX_SESSIONS = 100  # live sessions of one user: many times the devices of a person


class NewSession(msgspec.Struct):
    """A new session. Its token is shown only once; browsers also get it as a cookie."""

    user_id: Uuid
    session_token: str
    expires_at: Moment


class KnownSession(msgspec.Struct):
    """The user of the session that was sent. No new session was made."""

    user_id: Uuid
    expires_at: Moment


class TooManySessions(Problem):
    status, code, title = 409, "too_many_sessions", "Too many sessions"
    hint = f"This user has {MAX_SESSIONS} live sessions. End some of them first."


class LinkGone(Problem):
    status, code, title = 410, "link_gone", "Link gone"
    hint = "The link was used or replaced by a newer one, or has expired after five minutes."


class AlreadySignedIn(Problem):
    status, code, title = 409, "already_signed_in", "Already signed in as another user"
    hint = "You are signed in as another user. Opening this link ends that session."
    former_code = "already_somebody"


def known_session(credential: Credential) -> KnownSession:
    """Describe the session that a request for a new one was sent with. Raises SessionRequired."""
    if credential.kind is not Kind.SESSION:
        raise SessionRequired()
    expires_at = datetime.fromtimestamp(credential.expiry_after_use(time.time()), tz=UTC)
    return KnownSession(str(credential.user_id), rfc3339(expires_at))


async def make_link(services: Services, credential: Credential) -> str:
    """Make a one-time link to this user. Its secret is in the fragment, which is never sent.

    Raises TooManySessions.
    """
    code = new_secret(credential.user_id, LINK_BYTES)
    inserted = await insert_link(
        services.database,
        link_hash=hash_secret(code),
        session_id=credential.id,
        user_id=credential.user_id,
        seconds=LINK_SECONDS,
        sessions_at_most=MAX_SESSIONS,
    )
    if not inserted:
        raise TooManySessions()
    return f"{services.credentials.keyring.issuer}/#link={code}"


async def link_user(services: Services, code: str) -> UUID:
    """The user of a link, which stays unspent. Raises LinkGone."""
    hashed, database = hash_secret(code), services.database
    owner = secret_owner(code, LINK_BYTES) or await find_link_owner(database, hashed)
    if owner is None or not await is_link_valid(database, owner, hashed):
        raise LinkGone()
    return owner


async def open_link(services: Services, code: str, user_id: UUID) -> NewSession:
    """Spend the link, and open a session of its user. Raises LinkGone."""
    session_id = uuid4()
    expires_at = await spend_link(
        services.database, hash_secret(code), user_id, session_id, SESSION_DAYS, MAX_SESSIONS
    )
    if expires_at is None:
        raise LinkGone()
    token = services.credentials.keyring.issue_session(user_id, session_id)
    return NewSession(str(user_id), token, rfc3339(expires_at))
