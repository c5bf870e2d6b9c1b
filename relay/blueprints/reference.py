"""The OpenAPI and AsyncAPI documents and their page, made on the first request."""

from functools import partial
from typing import cast

import msgspec
import trio
from quart import Blueprint, current_app

from relay.media_types import JSON
from relay.web.answers import Answer
from relay.web.needs import NOTHING
from relay.web.openapi.asyncapi import asyncapi as make_asyncapi
from relay.web.openapi.describe import Text, described
from relay.web.openapi.openapi import RouteProvider
from relay.web.openapi.page import page
from relay.web.rate_limits import PAGES, limited
from relay.web.request import HTTPRequest
from relay.web.routes import needs
from relay.web.static_files import FILE_HEADER_NAMES, NOT_MODIFIED, File, file_answer

reference = Blueprint("reference", __name__)


@reference.get("/openapi.json")
@described(
    "reference",
    answers={200: Text("OpenAPI 3.1.", ("application/json",)), 304: NOT_MODIFIED},
    headers=FILE_HEADER_NAMES,
)
@limited(PAGES)
@needs(NOTHING)
async def openapi(request: HTTPRequest) -> Answer:
    """The OpenAPI document of all calls."""
    return file_answer(request, await _document(request, "openapi"))


@reference.get("/asyncapi.json")
@described(
    "reference",
    answers={200: Text("AsyncAPI 3.0.", ("application/json",)), 304: NOT_MODIFIED},
    headers=FILE_HEADER_NAMES,
)
@limited(PAGES)
@needs(NOTHING)
async def asyncapi(request: HTTPRequest) -> Answer:
    """The AsyncAPI document of a stream's messages."""
    return file_answer(request, await _document(request, "asyncapi"))


@reference.get("/docs")
@described(
    "reference",
    answers={200: Text("The reference.", ("text/html",)), 304: NOT_MODIFIED},
    headers=FILE_HEADER_NAMES,
)
@limited(PAGES)
@needs(NOTHING)
async def docs(request: HTTPRequest) -> Answer:
    """The API reference, as a page."""
    return file_answer(request, await _document(request, "docs"))


class DocumentCache:
    """The documents of one app, each made on its first request."""

    def __init__(self) -> None:
        self._files: dict[str, File] = {}
        self._lock = trio.Lock()

    async def get(self, name: str, base_url: str) -> File:
        """The document. It is made in a thread, because that takes a tenth of a second."""
        async with self._lock:
            if name not in self._files:
                make = partial(_MAKERS[name], _provider(), base_url)
                self._files[name] = await trio.to_thread.run_sync(make)
        return self._files[name]


async def _document(request: HTTPRequest, name: str) -> File:
    documents: DocumentCache = current_app.extensions.setdefault(
        "relay.web.openapi", DocumentCache()
    )
    return await documents.get(name, request.services.base_url)


def _provider() -> RouteProvider:
    return cast("RouteProvider", current_app.extensions["QUART_SCHEMA"].openapi_provider)


def _openapi(provider: RouteProvider, _base_url: str) -> File:
    return File.of(msgspec.json.encode(provider.schema()), JSON)


def _asyncapi(_provider: RouteProvider, base_url: str) -> File:
    return File.of(msgspec.json.encode(make_asyncapi(base_url)), JSON)


def _docs(provider: RouteProvider, base_url: str) -> File:
    """Make the page from the documents as they are sent."""
    calls, streams = _openapi(provider, base_url), _asyncapi(provider, base_url)
    html = page(msgspec.json.decode(calls.body), msgspec.json.decode(streams.body), base_url)
    return File.of(html.encode(), "text/html; charset=utf-8")


_MAKERS = {"openapi": _openapi, "asyncapi": _asyncapi, "docs": _docs}
