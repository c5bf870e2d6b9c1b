"""Relay's own OpenAPI document, and whether a response agrees with it."""

import json
import re
from functools import cache
from typing import Any

import httpx
from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from relay.app import create_app
from relay.config.settings import Settings
from relay.media_types import JSON, PROBLEM
from relay.web.openapi.documents import openapi_document

ROOT = "urn:relay:openapi"

METHODS = ("get", "post", "put", "patch", "delete")


@cache
def document() -> dict[str, Any]:
    """The document as a client gets it."""
    app = create_app(Settings())
    made: dict[str, Any] = json.loads(json.dumps(openapi_document(app)))
    return made


def operations() -> dict[str, dict[str, Any]]:
    """Every operation under `METHOD /path`."""
    return {
        f"{method.upper()} {path}": item[method]
        for path, item in document()["paths"].items()
        for method in METHODS
        if method in item
    }


def resolved(value: dict[str, Any], root: dict[str, Any] | None = None) -> dict[str, Any]:
    """What stands here, or where it points to."""
    if "$ref" not in value:
        return value
    found: Any = document() if root is None else root
    for name in value["$ref"].removeprefix("#/").split("/"):
        found = found[name]
    return resolved(found, root)


def validator(schema: dict[str, Any], root: dict[str, Any] | None = None) -> Draft202012Validator:
    """A validator of a schema that points into the document."""
    whole = DRAFT202012.create_resource(document() if root is None else root)
    registry: Registry[Any] = Registry().with_resource(ROOT, whole)
    return Draft202012Validator(
        # times have a pattern; the checker's own idea of them knows no leap second
        _absolute(schema),
        registry=registry,
        format_checker=FormatChecker(["uuid"]),
    )


def _absolute(value: Any) -> Any:
    """The schema with its references made into ones to the whole document."""
    if isinstance(value, list):
        return [_absolute(item) for item in value]
    if isinstance(value, dict):
        return {
            name: f"{ROOT}{item}" if name == "$ref" else _absolute(item)
            for name, item in value.items()
        }
    return value


@cache
def operation_of(method: str, path: str) -> dict[str, Any] | None:
    """Which operation a request is for; None: none that is documented."""
    for key, operation in operations().items():
        known, _, template = key.partition(" ")
        pattern = re.sub(r"\\{\w+\\}", "[^/]+", re.escape(template))
        if known == ("GET" if method == "HEAD" else method) and re.fullmatch(pattern, path):
            return operation
    return None


@cache
def _response_of(operation_id: str, status: int) -> dict[str, Any] | None:
    for operation in operations().values():
        if operation["operationId"] == operation_id:
            response = operation["responses"].get(str(status))
            return None if response is None else resolved(response)
    return None


@cache
def _validator_of(operation_id: str, status: int, media_type: str) -> Draft202012Validator:
    response = _response_of(operation_id, status)
    assert response is not None
    return validator(response["content"][media_type]["schema"])


async def documented(answer: httpx.Response) -> None:
    """Hold an answer to the document: its status, its headers, its media type, its body."""
    request = answer.request
    operation = operation_of(request.method, request.url.path)
    if operation is None or request.method not in (*map(str.upper, METHODS), "HEAD"):
        return  # nothing there (404), or not so (405): no operation to speak for it
    name, status = operation["operationId"], answer.status_code
    response = _response_of(name, status)
    assert response is not None, f"{name} answered {status}, which is not documented"
    for header in response.get("headers", {}):
        # limits are off in most tests: tests/e2e/test_rate_limits.py sees their headers
        optional = header == "Set-Cookie" or header.startswith("RateLimit-")
        assert optional or header in answer.headers, f"{name} answered {status} without {header}"
    if "content" not in response:
        return
    given = answer.headers["Content-Type"].partition(";")[0]
    content = response["content"]
    assert given in content or "*/*" in content, f"{name} answered {status} with {given}"
    if request.method == "HEAD" or given not in (JSON, PROBLEM):
        return
    body = json.loads(await answer.aread())
    _validator_of(name, status, given).validate(body)
