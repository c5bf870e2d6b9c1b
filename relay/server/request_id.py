"""The id that ties an answer to its lines in the log."""

import random
import re
from collections.abc import Iterable

# short, and nothing that could forge a header or a log line
_SANE = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")


def request_id_of(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The caller's own X-Request-ID if it is sane, else a new one. Header names in lower case."""
    for name, value in headers:
        if name == b"x-request-id" and _SANE.fullmatch(value):
            return value.decode()
    return f"{random.getrandbits(64):016x}"  # a name, no secret: it need not be unguessable
