"""The live page: static files, read once, served from memory."""

from pathlib import Path

from quart import Blueprint, Response, request

import relay
from relay.errors import MEDIA_TYPE, NotFound
from relay.media_types import JSON
from relay.web.auth import needs_nothing
from relay.web.openapi.describe import Parameter, Text, described
from relay.web.rate_limits import PAGES, limited
from relay.web.static_files import File, send_file

console = Blueprint("console", __name__)

CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".ts": "text/plain; charset=utf-8",  # the types of relay-stream.js, for people to read
}


def _load(folder: Path) -> dict[str, File]:
    return {
        path.name: File.of(path.read_bytes(), content_type)
        for path in sorted(folder.iterdir())
        if (content_type := CONTENT_TYPES.get(path.suffix)) is not None
    }


_FILES = _load(Path(relay.__file__).parent / "console")
_UNCHANGED = Text("You have it already.")
_TAGGED = {200: ("ETag", "Cache-Control"), 304: ("ETag", "Cache-Control")}


_NOWHERE = _FILES.pop("nowhere.html")  # it has no address of its own


def put_for_people(response: Response) -> None:
    """Make the answer to an address that is none readable, where a person opened it.

    Who asks for a page before all else gets one; everybody else keeps the problem document.
    """
    response.vary.add("Accept")
    wanted = request.accept_mimetypes
    if request.method in ("GET", "HEAD") and wanted["text/html"] > max(
        wanted[JSON], wanted[MEDIA_TYPE]
    ):
        response.set_data(_NOWHERE.body)
        response.content_type = _NOWHERE.content_type


@console.get("/")
@described(
    "page",
    answers={200: Text("The page.", ("text/html",)), 304: _UNCHANGED},
    headers=_TAGGED,
)
@limited(PAGES)
@needs_nothing
async def page() -> Response:
    """The live page."""
    return send_file(_FILES["index.html"])


@console.get("/console/<name>")
@described(
    "page",
    parameters=(Parameter("name", str, "A file of the page.", "favicon.svg", "path"),),
    answers={200: Text("The file.", ("*/*",)), 304: _UNCHANGED},
    headers=_TAGGED,
    refuses=(NotFound,),
)
@limited(PAGES)
@needs_nothing
async def asset(name: str) -> Response:
    """One of the page's files; nothing else has a name here."""
    if (found := _FILES.get(name)) is None:
        raise NotFound()
    return send_file(found)
