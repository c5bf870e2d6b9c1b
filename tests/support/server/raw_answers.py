"""Answers of the server itself, read from their bytes."""

import json
from typing import Any


def problem(answer: bytes) -> dict[str, object]:
    """The problem document of a raw response, which must be complete and the last one."""
    head, _, body = answer.partition(b"\r\n\r\n")
    headers = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    assert headers[b"content-type"] == b"application/problem+json"
    assert headers[b"connection"] == b"close"
    assert int(headers[b"content-length"]) == len(body)
    document: dict[str, Any] = json.loads(body)
    assert document["request_id"] == headers[b"x-request-id"].decode()
    assert answer.startswith(b"HTTP/1.1 %d " % document["status"])
    return document
