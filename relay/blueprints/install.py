"""Relay's own wheel: the command line and the client install from a running Relay."""

from functools import cache

import trio
from quart import Blueprint

from relay.errors import NotFound, Unavailable
from relay.web.answers import Answer
from relay.web.needs import NOTHING
from relay.web.openapi.describe import Parameter, Text, described
from relay.web.own_wheel import make_wheel, wheel_name
from relay.web.rate_limits import PAGES, limited
from relay.web.request import HTTPRequest
from relay.web.routes import needs
from relay.web.static_files import CACHE_CONTROL, FILE_HEADER_NAMES, NOT_MODIFIED, File, file_answer

install = Blueprint("install", __name__)

MEDIA_TYPE = "application/octet-stream"  # as package indexes send wheels
_WHEEL_NAME = wheel_name()
_making = trio.CapacityLimiter(1)  # requests that come together wait for one wheel


@install.get("/install/relay.whl")
@described(
    "page",
    answers={302: Text("The wheel's address, which carries the version.")},
    headers={302: ("Location", "Cache-Control")},
)
@limited(PAGES)
@needs(NOTHING)
async def newest(request: HTTPRequest) -> Answer:
    """Where this Relay's wheel is. pip needs that address: it reads the version from it."""
    location = (b"location", f"/install/{_WHEEL_NAME}".encode())
    return Answer(302, [location, (b"cache-control", CACHE_CONTROL)], b"")


@install.get("/install/<name>")
@described(
    "page",
    parameters=(Parameter("name", str, "The wheel's file name.", _WHEEL_NAME, "path"),),
    answers={200: Text("The wheel.", (MEDIA_TYPE,)), 304: NOT_MODIFIED},
    headers=FILE_HEADER_NAMES,
    refuses=(NotFound, Unavailable),
)
@limited(PAGES)
@needs(NOTHING)
async def wheel(request: HTTPRequest) -> Answer:
    """This Relay's wheel: `pip install` with this address brings the command `relay`."""
    if request.path_args["name"] != _WHEEL_NAME:
        raise NotFound()
    return file_answer(request, await trio.to_thread.run_sync(_made, limiter=_making))


@cache
def _made() -> File:
    return File.of(make_wheel(), MEDIA_TYPE)
