"""Makes the documents of the reference from an app's routes.

What they are made with (quart-schema, and Relay's own modules of schemas, rules and samples) serves
nothing else, and most processes are never asked for them. So `relay/blueprints/reference.py`
imports this module when it is asked, in the thread that makes the document.
"""

from collections.abc import Callable
from typing import Any

import msgspec
from quart import Quart
from quart_schema import Info, QuartSchema

from relay import __version__
from relay.media_types import JSON
from relay.web.openapi.asyncapi import asyncapi
from relay.web.openapi.openapi import TITLE, RouteProvider
from relay.web.openapi.page import page
from relay.web.static_files import File


def make_document(name: str, app: Quart, base_url: str) -> File:
    """The document of this name: `openapi`, `asyncapi`, or `docs`, the page made of both."""
    return _MAKERS[name](app, base_url)


def openapi_document(app: Quart) -> dict[str, Any]:
    """The OpenAPI document of an app's routes.

    The extension is not installed on the app: it would convert the answers of views, and Relay's
    handlers make their own.
    """
    extension = QuartSchema(info=Info(title=TITLE, version=__version__), openapi_path=None)
    return RouteProvider(app, extension).schema()


def _openapi(app: Quart, _base_url: str) -> File:
    return File.of(msgspec.json.encode(openapi_document(app)), JSON)


def _asyncapi(_app: Quart, base_url: str) -> File:
    return File.of(msgspec.json.encode(asyncapi(base_url)), JSON)


def _docs(app: Quart, base_url: str) -> File:
    """Make the page from the documents as they are sent."""
    calls, streams = _openapi(app, base_url), _asyncapi(app, base_url)
    html = page(msgspec.json.decode(calls.body), msgspec.json.decode(streams.body), base_url)
    return File.of(html.encode(), "text/html; charset=utf-8")


_MAKERS: dict[str, Callable[[Quart, str], File]] = {
    "openapi": _openapi,
    "asyncapi": _asyncapi,
    "docs": _docs,
}
