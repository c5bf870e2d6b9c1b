"""Hook tokens, and the revocations that every process polls."""

from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from relay.db.pool import Database
from relay.db.user_credentials import UserCredential, columns
from relay.errors import UserGone

LOOK_BACK_SECONDS = 15.0  # for revocations, at least: other processes may have a longer timeout


class StoredToken(msgspec.Struct, frozen=True):
    token_id: UUID
    name: str | None
    scopes: list[str]
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None


class LiveToken(msgspec.Struct, frozen=True):
    """What the database stores of a token beside its claims. `key` has the driver's UUIDs."""

    key: UserCredential
    expires_at: datetime
    signed: bool
    kid: str


async def insert_token(
    database: Database,
    *,
    token_id: UUID,
    user_id: UUID,
    name: str | None,
    scopes: list[str],
    expires_at: datetime,
    signed: bool,
    kid: str,
    at_most: int,
) -> bool:
    """Store a new token. Returns False, and stores nothing, if the user has `at_most` already.

    The user is locked meanwhile, so the bound holds for calls at the same moment. Raises UserGone.
    """
    active: int | None = await database.fetchval(
        """
        WITH counted AS MATERIALIZED (
            SELECT count_active_tokens($2) AS active
        ), kept AS (
            INSERT INTO tokens (token_id, user_id, name, scopes, expires_at, signed, kid)
            SELECT $1, $2, $3, $4, $5, $6, $7 FROM counted WHERE active < $8
            RETURNING user_id, token_id
        ), audited AS (
            INSERT INTO audit_log (user_id, action, subject)
            SELECT user_id, 'token_created', token_id FROM kept
        )
        SELECT active FROM counted
        """,
        token_id,
        user_id,
        name,
        scopes,
        expires_at,
        signed,
        kid,
        at_most,
    )
    if active is None:
        raise UserGone()
    return active < at_most


async def select_live_tokens(
    database: Database, tokens: list[UserCredential]
) -> dict[UserCredential, LiveToken]:
    """Those of the tokens that are neither expired nor revoked."""
    rows = await database.fetch(
        """
        SELECT user_id, token_id, expires_at, signed, kid FROM tokens
        WHERE (user_id, token_id) IN (SELECT * FROM unnest($1::uuid[], $2::uuid[]))
            AND revoked_at IS NULL AND expires_at > now()
        """,
        *columns(tokens),
    )
    found = [LiveToken(UserCredential(user_id, of), *live) for user_id, of, *live in rows]
    return {live.key: live for live in found}


async def select_tokens(database: Database, user_id: UUID, limit: int) -> list[StoredToken]:
    """A user's active tokens, the newest first."""
    rows = await database.fetch(
        """
        SELECT token_id, name, scopes, created_at, expires_at, last_used_at FROM tokens
        WHERE user_id = $1 AND revoked_at IS NULL AND expires_at > now()
        ORDER BY created_at DESC, token_id
        LIMIT $2
        """,
        user_id,
        limit,
    )
    return [StoredToken(**row) for row in rows]


async def revoke_token(database: Database, token_id: UUID, user_id: UUID) -> bool:
    """Revoke a token of this user. True also if it already was; False if there is no such token."""
    found: bool = await database.fetchval(
        """
        WITH revoked AS (
            UPDATE tokens SET revoked_at = clock_timestamp() -- it may have waited for the row
            WHERE user_id = $2 AND token_id = $1 AND revoked_at IS NULL
            RETURNING user_id, token_id
        ), audited AS (
            INSERT INTO audit_log (user_id, action, subject)
            SELECT user_id, 'token_revoked', token_id FROM revoked
        )
        SELECT EXISTS (SELECT FROM tokens WHERE user_id = $2 AND token_id = $1)
        """,
        token_id,
        user_id,
    )
    return found


async def touch_tokens(database: Database, tokens: list[UserCredential]) -> None:
    """Record the use of tokens, at most every 15 seconds.

    As in `touch_sessions`, it never waits for a row that another statement has locked.
    """
    await database.execute(
        """
        WITH used AS MATERIALIZED (
            SELECT user_id, token_id FROM tokens
            WHERE (user_id, token_id) IN (SELECT * FROM unnest($1::uuid[], $2::uuid[]))
                AND (last_used_at IS NULL OR last_used_at < now() - interval '15 seconds')
            FOR NO KEY UPDATE SKIP LOCKED
        )
        UPDATE tokens SET last_used_at = now() FROM used
        WHERE tokens.user_id = used.user_id AND tokens.token_id = used.token_id
        """,
        *columns(tokens),
    )


async def select_revoked(database: Database, since: datetime | None) -> tuple[list[UUID], datetime]:
    """Tokens and sessions revoked since then, by the database's clock, and its present time.

    The query looks further back, because a revocation gets its time before its commit, and may
    wait for that as long as the database's timeout.
    """
    look_back = timedelta(seconds=max(LOOK_BACK_SECONDS, 2 * database.timeout))
    rows = await database.fetch(
        """
        SELECT now() AS at, revoked.id
        FROM (VALUES (coalesce($1, now()) - $2::interval)) AS horizon (since)
        LEFT JOIN LATERAL (
            SELECT token_id AS id FROM tokens WHERE revoked_at > since
            UNION ALL
            SELECT session_id FROM sessions WHERE revoked_at > since
        ) AS revoked ON true
        """,
        since,
        look_back,
    )
    return [row["id"] for row in rows if row["id"] is not None], rows[0]["at"]
