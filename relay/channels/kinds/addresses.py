"""Checks the addresses that people copy from a service."""

import re
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from relay.channels.addresses import MAX_URL_CHARACTERS, check_url
from relay.channels.kinds.base import KindContext
from relay.channels.urls import parse_url
from relay.errors import Invalid

if TYPE_CHECKING:
    from httpx import URL


def _url(description: str) -> Meta:
    return Meta(
        description=description,
        max_length=MAX_URL_CHARACTERS,
        extra_json_schema={"format": "uri"},
    )


PublicUrl = Annotated[str, _url("A public https address.")]
ServiceUrl = Annotated[str, _url("The address that the service shows.")]


def checked_url(text: str, context: KindContext, path: str) -> "URL | None":
    """The address, if its path is of this pattern; else None. Raises Invalid for an address that
    Relay does not call."""
    try:
        url = parse_url(check_url(text.strip(), private=context.outbound.private))
    except ValueError as error:
        raise Invalid.of("url", str(error)) from None
    return url if re.fullmatch(path, url.raw_path.decode("ascii")) else None
