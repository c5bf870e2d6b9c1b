"""The live page: static files, read once, served from memory."""

from hashlib import sha256
from pathlib import Path

import msgspec
from quart import Blueprint, Response, request
from quart_schema import hide

import relay
from relay.errors import NotFound
from relay.requests import needs_nothing

console = Blueprint("console", __name__)

CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".ts": "text/plain; charset=utf-8",  # the types of relay-stream.js, for people to read
}

# asked for every time, sent only when changed: a page never meets scripts of another version
CACHING = "no-cache"


class Asset(msgspec.Struct, frozen=True):
    """One file of the page, as it is sent."""

    body: bytes
    content_type: str
    etag: str


def _load(folder: Path) -> dict[str, Asset]:
    assets: dict[str, Asset] = {}
    for path in sorted(folder.iterdir()):
        if (content_type := CONTENT_TYPES.get(path.suffix)) is not None:
            body = path.read_bytes()
            assets[path.name] = Asset(body, content_type, sha256(body).hexdigest()[:32])
    return assets


_ASSETS = _load(Path(relay.__file__).parent / "console")


@console.get("/")
@hide
@needs_nothing
async def page() -> Response:
    """The live page."""
    return _send(_ASSETS["index.html"])


@console.get("/console/<name>")
@hide
@needs_nothing
async def asset(name: str) -> Response:
    """One of the page's files; nothing else has a name here."""
    if (found := _ASSETS.get(name)) is None:
        raise NotFound()
    return _send(found)


def _send(asset: Asset) -> Response:
    if request.if_none_match.contains(asset.etag):
        response = Response(status=304)
    else:
        response = Response(asset.body, content_type=asset.content_type)
    response.headers["Cache-Control"] = CACHING
    response.set_etag(asset.etag)
    return response
