"""The reference, for machines and for people: made of the running program, once."""

from collections.abc import Callable
from typing import Any, cast

import msgspec
from quart import Blueprint, Response, current_app

from relay.bodies import JSON
from relay.described import Text, described
from relay.files import File, send_file
from relay.limited import PAGES, limited
from relay.reference.asyncapi import asyncapi as make_asyncapi
from relay.requests import needs_nothing
from relay.services import services

reference = Blueprint("reference", __name__)

_UNCHANGED = Text("You have it already.")
_TAGGED = {200: ("ETag", "Cache-Control"), 304: ("ETag", "Cache-Control")}


@reference.get("/openapi.json")
@described(
    "reference",
    answers={200: Text("OpenAPI 3.1.", ("application/json",)), 304: _UNCHANGED},
    headers=_TAGGED,
)
@limited(PAGES)
@needs_nothing
async def openapi() -> Response:
    """The calls, for machines."""
    return send_file(_made("openapi"))


@reference.get("/asyncapi.json")
@described(
    "reference",
    answers={200: Text("AsyncAPI 3.0.", ("application/json",)), 304: _UNCHANGED},
    headers=_TAGGED,
)
@limited(PAGES)
@needs_nothing
async def asyncapi() -> Response:
    """The two doors of a stream, for machines."""
    return send_file(_made("asyncapi"))


def _made(name: str) -> File:
    """A document, made when it is first asked for: nothing in it changes while we serve."""
    made: dict[str, File] = current_app.extensions.setdefault("relay.reference", {})
    if name not in made:
        made[name] = _MAKERS[name]()
    return made[name]


def _openapi() -> dict[str, Any]:
    provider = cast("Any", current_app.extensions["QUART_SCHEMA"]).openapi_provider
    return cast("dict[str, Any]", provider.schema())


def _asyncapi() -> dict[str, Any]:
    return make_asyncapi(services().base_url)


def _json(document: dict[str, Any]) -> File:
    return File.of(msgspec.json.encode(document), JSON)


_MAKERS: dict[str, Callable[[], File]] = {
    "openapi": lambda: _json(_openapi()),
    "asyncapi": lambda: _json(_asyncapi()),
}
