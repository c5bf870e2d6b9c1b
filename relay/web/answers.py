"""An HTTP response that is sent whole: a status, headers and a body."""

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from relay.media_types import JSON

Headers = list[tuple[bytes, bytes]]

NO_STORE = (b"cache-control", b"no-store")


class Answer(NamedTuple):
    """Header names are in lower case. The body is not sent to HEAD.

    `kept`: the body stays in memory, as a file's, so it costs nothing more while it is sent.
    """

    status: int
    headers: Headers
    body: bytes
    kept: bool = False


def data_headers(media_type: str, body: bytes) -> Headers:
    """The headers of a body that no cache may store."""
    return [
        (b"content-type", media_type.encode()),
        (b"content-length", b"%d" % len(body)),
        NO_STORE,
    ]


def json_answer(
    body: msgspec.Struct, status: int = 200, headers: Iterable[tuple[bytes, bytes]] = ()
) -> Answer:
    """A JSON body that no cache may store."""
    return json_text_answer(msgspec.json.encode(body), status, headers)


def json_text_answer(
    data: bytes, status: int = 200, headers: Iterable[tuple[bytes, bytes]] = ()
) -> Answer:
    """The same with the body's bytes."""
    return Answer(status, [*data_headers(JSON, data), *headers], data)


def text_answer(text: bytes, content_type: str) -> Answer:
    """200 with this text."""
    length = b"%d" % len(text)
    headers = [(b"content-type", content_type.encode()), (b"content-length", length)]
    return Answer(200, headers, text)


def add_vary(answer: Answer, name: str) -> None:
    """Add a Vary header: the answer depends on this request header."""
    answer.headers.append((b"vary", name.encode()))
