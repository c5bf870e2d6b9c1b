"""The reference, for machines and for people: made of the running program, once."""

from typing import Any, cast

import msgspec
from quart import Blueprint, Response, current_app

from relay.described import Text, described
from relay.files import File, send_file
from relay.limited import PAGES, limited
from relay.requests import needs_nothing

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


def _made(name: str) -> File:
    """A document, made when it is first asked for: nothing in it changes while we serve."""
    made: dict[str, File] = current_app.extensions.setdefault("relay.reference", {})
    if name not in made:
        made[name] = File.of(*_MAKERS[name]())
    return made[name]


def _make_openapi() -> tuple[bytes, str]:
    document = cast("Any", current_app.extensions["QUART_SCHEMA"]).openapi_provider.schema()
    return msgspec.json.encode(document), "application/json"


_MAKERS = {"openapi": _make_openapi}
