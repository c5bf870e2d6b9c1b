"""Which credential a command acts with, where it is from, and whose stream it opens."""

import os
from datetime import UTC, datetime

import msgspec

from relay.cli.api_answers import Events, request
from relay.cli.output import note
from relay.client.api_client import ApiClient, ApiError
from relay.client.credentials import (
    Credentials,
    InvalidAddress,
    NoCredentials,
    RelayTokens,
    credentials_path,
    load_credentials,
    normalize_url,
)
from relay.client.token_text import token_claims


class Identity(msgspec.Struct, omit_defaults=True):
    """What a token says of itself; the server may still refuse it. Times are RFC 3339, in UTC."""

    user_id: str | None
    type: str | None  # session or hook
    token_id: str | None
    scopes: list[str]
    expires_at: str | None

    @property
    def is_hook_token(self) -> bool:
        return self.type == "hook"

    @property
    def kind(self) -> str:
        """The kind of the credential, in words."""
        return f"token that can {permission(self.scopes)}" if self.is_hook_token else "session"


def identity_of(token: str) -> Identity:
    """Read what a token says of itself. A field that it does not have is None or empty."""
    claims = token_claims(token)
    user_id, kind, token_id = (
        value if isinstance(value := claims.get(name), str) else None
        for name in ("sub", "type", "jti")
    )
    scopes = claims.get("scopes")
    return Identity(
        user_id,
        kind,
        token_id,
        [str(scope) for scope in scopes] if isinstance(scopes, list) else [],
        _time(claims.get("exp")),
    )


def permission(scopes: list[str]) -> str:
    """What a token with these scopes can do, in words."""
    return "publish and watch" if "webhook" in scopes else " and ".join(scopes)


def check_hook_token(relay: ApiClient) -> None:
    """Ask Relay whether the connection's hook token is valid. Raises ApiError if it is not."""
    try:
        request(relay, Events, "GET", "/api/events?last=1")
    except ApiError as error:
        if error.code != "insufficient_scope":  # it is valid, but can only publish
            raise


def note_other_identity(url: str, user_id: str | None) -> None:
    """After a login: note that the environment's variables take precedence over it."""
    if token := os.environ.get("RELAY_TOKEN", "").strip():
        theirs = identity_of(token).user_id
        same = theirs is not None and theirs == user_id
        user = "the same user" if same else f"user {theirs}" if theirs else "another user, perhaps"
        note(
            f"RELAY_TOKEN is set: other commands use that token ({user}), not this login."
            " To use the login, unset RELAY_TOKEN."
        )
    elif (other := os.environ.get("RELAY_URL", "").strip()) and not _is(other, url):
        note(f"RELAY_URL is set: other commands use {other}, not this login's address.")


def note_other_publisher(url: str, user_id: str | None) -> None:
    """Note a stored token of another user: `relay run` and `relay send` use it."""
    hook_token = load_credentials().relays.get(url, RelayTokens()).hook_token
    publisher = identity_of(hook_token).user_id if hook_token else None
    if publisher is not None and user_id is not None and publisher != user_id:
        note(
            f"`relay run` and `relay send` publish as user {publisher}: {credentials_path()} has"
            f" a token of that user. To publish as yourself: relay login {url} --replace"
        )


def note_unused_login(found: Credentials, user_id: str | None) -> None:
    """Note a login at the same Relay, of another user, that the given token hides."""
    path = str(credentials_path())
    if found.source == path:
        return
    try:
        session = load_credentials().relays.get(found.url, RelayTokens()).session_token
    except NoCredentials:  # the command does not use the file
        return
    login = identity_of(session).user_id if session else None
    if login is not None and login != user_id:
        note(f"The login of user {login} in {path} is not used, because of {found.source}.")


def _is(url: str, other: str) -> bool:
    try:
        return normalize_url(url) == other
    except InvalidAddress:
        return False


def _time(seconds: object) -> str | None:
    try:
        moment = datetime.fromtimestamp(float(str(seconds)), UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
