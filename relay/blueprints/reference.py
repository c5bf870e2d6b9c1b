"""The OpenAPI and AsyncAPI documents and their page, made on the first request."""

from typing import Any

import trio
from quart import Blueprint, Quart, current_app

from relay.media_types import JSON
from relay.web.answers import Answer
from relay.web.needs import NOTHING
from relay.web.openapi.describe import Text, described
from relay.web.rate_limits import PAGES, limited
from relay.web.request import HTTPRequest
from relay.web.routes import needs
from relay.web.static_files import FILE_HEADER_NAMES, NOT_MODIFIED, File, file_answer

reference = Blueprint("reference", __name__)


@reference.get("/openapi.json")
@described(
    "reference",
    answers={200: Text("OpenAPI 3.1.", (JSON,)), 304: NOT_MODIFIED},
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
    answers={200: Text("AsyncAPI 3.0.", (JSON,)), 304: NOT_MODIFIED},
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

    def __init__(self, app: Quart) -> None:
        self._app = app
        self._files: dict[str, File] = {}
        self._lock = trio.Lock()

    async def get(self, name: str, base_url: str) -> File:
        """The document. It is made in a thread: that takes a tenth of a second, at first more."""
        async with self._lock:
            if name not in self._files:
                self._files[name] = await trio.to_thread.run_sync(
                    _make_document, name, self._app, base_url
                )
        return self._files[name]


def _make_document(name: str, app: Quart, base_url: str) -> File:
    """Make a document. What makes it is imported here, by the first request for any of them."""
    from relay.web.openapi.documents import make_document

    return make_document(name, app, base_url)


async def _document(request: HTTPRequest, name: str) -> File:
    app: Any = current_app
    documents: DocumentCache = app.extensions.setdefault(
        "relay.web.openapi", DocumentCache(app._get_current_object())
    )
    return await documents.get(name, request.services.base_url)
