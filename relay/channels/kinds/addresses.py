"""Checks the addresses that people copy from a service."""

import re
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from relay.channels.addresses import MAX_URL_CHARACTERS, check_url
from relay.channels.kinds.base import KindContext
from relay.channels.urls import parse_url
from relay.errors import FieldError, Invalid

if TYPE_CHECKING:
    from httpx import URL

ServiceUrl = Annotated[
    str,
    Meta(
        description="The address that the service shows.",
        max_length=MAX_URL_CHARACTERS,
        extra_json_schema={"format": "uri"},
    ),
]


def checked_url(text: str, context: KindContext, path: str) -> "URL | None":
    """The address, if its path is of this pattern; else None. Raises Invalid for an address that
    Relay does not call."""
    try:
        url = parse_url(check_url(text.strip(), private=context.outbound.private))
    except ValueError as error:
        raise invalid("url", str(error)) from None
    return url if re.fullmatch(path, url.raw_path.decode("ascii")) else None


def invalid(field: str, message: str) -> Invalid:
    """The problem of one field."""
    return Invalid(errors=[FieldError(field, message)])
