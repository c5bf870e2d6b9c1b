"""Small files for browsers: kept in memory, sent again only when they changed."""

from hashlib import sha256

import msgspec
from quart import Response, request

# asked for every time, sent only when changed: a page never meets scripts of another version
CACHING = "no-cache"


class File(msgspec.Struct, frozen=True):
    """One file, as it is sent."""

    body: bytes
    content_type: str
    etag: str

    @classmethod
    def of(cls, body: bytes, content_type: str) -> "File":
        return cls(body, content_type, sha256(body).hexdigest()[:32])


def send_file(file: File) -> Response:
    """The file, or 304 to who has it already."""
    if request.if_none_match.contains(file.etag):
        response = Response(status=304)
    else:
        response = Response(file.body, content_type=file.content_type)
    response.headers["Cache-Control"] = CACHING
    response.set_etag(file.etag)
    return response
