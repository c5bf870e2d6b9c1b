"""The live page's files, read once and served from memory."""

from pathlib import Path

from quart import Blueprint
from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_accept_header

import relay
from relay.errors import NotFound
from relay.media_types import JSON, PROBLEM
from relay.web.answers import NO_STORE, Answer, add_vary, text_answer
from relay.web.joined_modules import join_modules
from relay.web.middleware.security_headers import SERVICE_WORKER_PATH
from relay.web.needs import NOTHING
from relay.web.openapi.describe import Parameter, Text, described
from relay.web.own_wheel import wheel_name
from relay.web.rate_limits import PAGES, limited
from relay.web.request import HTTPRequest, Request
from relay.web.routes import needs
from relay.web.static_files import FILE_HEADER_NAMES, NOT_MODIFIED, File, file_answer

console = Blueprint("console", __name__)

CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".png": "image/png",  # icons, for systems that take no SVG
    ".svg": "image/svg+xml",
    ".ts": "text/plain; charset=utf-8",  # type declarations of relay-stream.js
    ".webmanifest": "application/manifest+json",
}

MEDIA_TYPES = tuple(sorted({one.partition(";")[0] for one in CONTENT_TYPES.values()}))


def _read(path: Path) -> bytes:
    """Read a file. A module with a folder of the same name is joined with its parts from there."""
    return join_modules(path) if path.with_suffix("").is_dir() else path.read_bytes()


def _naming_the_wheel(page: bytes) -> bytes:
    """The page with the address that pip needs, which carries the version."""
    return page.replace(b"install/relay.whl", f"install/{wheel_name()}".encode())


def _load(folder: Path) -> dict[str, File]:
    return {
        path.name: File.of(_read(path), content_type)
        for path in sorted(folder.iterdir())
        if (content_type := CONTENT_TYPES.get(path.suffix)) is not None
    }


_FILES = _load(Path(relay.__file__).parent / "console")
_PAGE = _FILES["index.html"]
_FILES["index.html"] = File.of(_naming_the_wheel(_PAGE.body), _PAGE.content_type)
_NOT_FOUND_PAGE = _FILES.pop("nowhere.html")  # served at unknown addresses only
_SERVICE_WORKER = _FILES.pop("service-worker.js")  # served above all that it is in charge of


def not_found_answer(request: Request, problem: Answer) -> Answer:
    """The 404 of an unknown address: an HTML page for a browser, else the problem.

    A browser that opens an address prefers HTML in its Accept header.
    """
    wanted = parse_accept_header(request.headers.get("Accept"), MIMEAccept)
    answer = problem
    if request.method in ("GET", "HEAD") and wanted["text/html"] > max(
        wanted[JSON], wanted[PROBLEM]
    ):
        page = text_answer(_NOT_FOUND_PAGE.body, _NOT_FOUND_PAGE.content_type)
        answer = Answer(problem.status, [*page.headers, NO_STORE], page.body)
    add_vary(answer, "Accept")
    return answer


@console.get("/")
@described(
    "page",
    answers={200: Text("The live page.", ("text/html",)), 304: NOT_MODIFIED},
    headers=FILE_HEADER_NAMES,
)
@limited(PAGES)
@needs(NOTHING)
async def page(request: HTTPRequest) -> Answer:
    """The live page."""
    return file_answer(request, _FILES["index.html"])


@console.get(SERVICE_WORKER_PATH)
@described(
    "page",
    answers={200: Text("The script.", ("text/javascript",)), 304: NOT_MODIFIED},
    headers=FILE_HEADER_NAMES,
)
@limited(PAGES)
@needs(NOTHING)
async def service_worker(request: HTTPRequest) -> Answer:
    """The page's service worker: shows what is pushed. Its path makes it the whole page's."""
    return file_answer(request, _SERVICE_WORKER)


@console.get("/console/<name>")
@described(
    "page",
    parameters=(Parameter("name", str, "A file of the page.", "favicon.svg", "path"),),
    answers={200: Text("The file.", MEDIA_TYPES), 304: NOT_MODIFIED},
    headers=FILE_HEADER_NAMES,
    refuses=(NotFound,),
)
@limited(PAGES)
@needs(NOTHING)
async def asset(request: HTTPRequest) -> Answer:
    """A file of the live page."""
    if (found := _FILES.get(request.path_args["name"])) is None:
        raise NotFound()
    return file_answer(request, found)
