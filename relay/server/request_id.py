"""The request id, which is in the answer and in the request's log lines."""

import random
import re
from collections.abc import Iterable

# short, and without characters that could forge a header or a log line
REQUEST_ID_PATTERN = "[A-Za-z0-9._:/+=@-]{1,128}"

_WELL_FORMED = re.compile(REQUEST_ID_PATTERN.encode())


def request_id_of(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The request's X-Request-ID if it is well-formed, else a new id. Names in lower case."""
    for name, value in headers:
        if name == b"x-request-id" and _WELL_FORMED.fullmatch(value):
            return value.decode()
    return f"{random.getrandbits(64):016x}"  # not a secret, so it may be guessable
