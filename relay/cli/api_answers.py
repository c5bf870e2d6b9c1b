"""The answers of Relay's API that commands read. Anything else is not a Relay's answer."""

from typing import Any, TypeVar

import msgspec

from relay.client.answers import CHECK_ADDRESS
from relay.client.api_client import ApiClient, ApiError


class TokenRow(msgspec.Struct):
    """An active token. Times are RFC 3339, in UTC."""

    token_id: str
    name: str | None
    scopes: list[str]
    created_at: str
    expires_at: str
    last_used_at: str | None


class Me(msgspec.Struct):
    """The user of a session. `connections` are the live streams."""

    user_id: str
    created_at: str
    cursor: str
    connections: int
    tokens: list[TokenRow]


class CreatedUser(msgspec.Struct):
    user_id: str
    session_token: str


class OpenedLink(msgspec.Struct):
    """A link that was opened; without a token if the session is of that user already."""

    user_id: str
    session_token: str | None = None


class CreatedLink(msgspec.Struct):
    """A one-time link, valid for `expires_in` seconds."""

    link: str
    expires_in: int


class CreatedToken(msgspec.Struct):
    token: str
    token_id: str
    scopes: list[str]
    signing_secret: str | None = None


class Events(msgspec.Struct):
    events: list[Any]


class Done(msgspec.Struct):
    ok: bool


class EndedSessions(msgspec.Struct):
    ended: int


Kind = TypeVar("Kind")


def request(
    relay: ApiClient, kind: type[Kind], method: str, path: str, body: object = None
) -> Kind:
    """Call the API and read the answer. Raises `ApiError`."""
    return read_answer(relay, relay.call(method, path, body), kind)


def read_answer(relay: ApiClient, fields: dict[str, Any], kind: type[Kind]) -> Kind:
    """The answer's fields as their type. Raises `ApiError` if it is not a Relay's answer."""
    try:
        return msgspec.convert(fields, kind)
    except msgspec.ValidationError as error:
        text = f"{relay.url} is not a Relay: unexpected answer. {CHECK_ADDRESS}."
        raise ApiError(text, status=200) from error
