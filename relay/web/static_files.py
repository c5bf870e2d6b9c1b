"""Small files for browsers: kept in memory, sent again only when they changed."""

from hashlib import sha256

import msgspec
from werkzeug.http import parse_etags

from relay.web.answers import Answer
from relay.web.openapi.describe import Text
from relay.web.request import Request

# asked for every time, sent only when changed: a page never meets scripts of another version
CACHING = b"no-cache"

# What the reference says of all files: the answer to a client that has the file, and the headers.
UNCHANGED = Text("You have it already.")
FILE_HEADERS = {200: ("ETag", "Cache-Control"), 304: ("ETag", "Cache-Control")}


class File(msgspec.Struct, frozen=True):
    """One file, as it is sent."""

    body: bytes
    content_type: str
    etag: str

    @classmethod
    def of(cls, body: bytes, content_type: str) -> "File":
        """A file with its ETag, which is made from the body."""
        return cls(body, content_type, sha256(body).hexdigest()[:32])


def file_answer(request: Request, file: File) -> Answer:
    """The file, or 304 to a client that has it already.

    A 304 has the file's type, too: the security headers depend on it, and a browser takes those of
    the 304 for its copy.
    """
    headers = [
        (b"content-type", file.content_type.encode()),
        (b"cache-control", CACHING),
        (b"etag", b'"%s"' % file.etag.encode()),
    ]
    if parse_etags(request.headers.get("If-None-Match")).contains(file.etag):
        return Answer(304, headers, b"")
    headers.append((b"content-length", b"%d" % len(file.body)))
    return Answer(200, headers, file.body)
