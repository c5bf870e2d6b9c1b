"""Hooks of Schemathesis: what OpenAPI cannot express."""

import json
from typing import Any

import schemathesis


@schemathesis.serializer("application/x-ndjson")
def one_a_line(context: Any, value: Any) -> bytes:
    """A batch is its items, one a line; what is no list is sent as it is."""
    if not isinstance(value, list):
        return json.dumps(value).encode()
    return "".join(json.dumps(item) + "\n" for item in value).encode()


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """`last` and `after` are two places to start, so no call gives both."""
    if case.query and {"last", "after"} <= set(case.query):
        del case.query["last"]


@schemathesis.hook
def map_body(context: Any, body: Any) -> Any:
    """JSON Schema takes 7.0 for an integer; Relay does not, and who writes JSON rarely would."""
    if isinstance(body, dict):
        return {name: _whole(value) for name, value in body.items()}
    return body


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value
