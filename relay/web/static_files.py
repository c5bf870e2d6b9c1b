"""Serve small files from memory, with ETags."""

from hashlib import sha256

import msgspec
from werkzeug.http import parse_etags

from relay.web.answers import Answer
from relay.web.openapi.describe import Text
from relay.web.request import Request

# browsers revalidate every time, so a page never loads scripts of another version
CACHE_CONTROL = b"no-cache"

# for the OpenAPI descriptions of routes that serve files
NOT_MODIFIED = Text("Not modified: your copy is current.")
FILE_HEADER_NAMES = {200: ("ETag", "Cache-Control"), 304: ("ETag", "Cache-Control")}


class File(msgspec.Struct, frozen=True):
    """A file as it is sent."""

    body: bytes
    content_type: str
    etag: str

    @classmethod
    def of(cls, body: bytes, content_type: str) -> "File":
        """Make a file, with an ETag that is a hash of its body."""
        return cls(body, content_type, sha256(body).hexdigest()[:32])


def file_answer(request: Request, file: File) -> Answer:
    """The file, or 304 if the client has this version.

    A 304 has a Content-Type, too: the security headers depend on it, and a browser replaces those
    of its copy with those of the 304.
    """
    headers = [
        (b"content-type", file.content_type.encode()),
        (b"cache-control", CACHE_CONTROL),
        (b"etag", b'"%s"' % file.etag.encode()),
    ]
    # compared weakly (RFC 9110, 13.1.2): a proxy that compresses makes the ETag weak
    if parse_etags(request.headers.get("If-None-Match")).contains_weak(file.etag):
        return Answer(304, headers, b"")
    headers.append((b"content-length", b"%d" % len(file.body)))
    return Answer(200, headers, file.body, kept=True)
