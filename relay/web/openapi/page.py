"""Render both documents as one HTML page, without scripts or other hosts."""

import re
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from relay.web.openapi.rules import COMMON_PROBLEMS
from relay.web.openapi.schemas import pretty
from relay.web.own_wheel import wheel_name

_FOLDER = Path(__file__).parent


class Field(NamedTuple):
    """One row of a model's table."""

    name: str
    kind: str
    optional: bool
    description: str


def page(openapi: dict[str, Any], asyncapi: dict[str, Any], base_url: str) -> str:
    """Render the page from the two documents."""
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"prose": prose, "pretty": pretty}
    return environment.get_template("page.html").render(
        openapi=openapi,
        asyncapi=asyncapi,
        groups=_groups(openapi),
        anywhere=sorted((kind.status, kind.code) for kind in COMMON_PROBLEMS),
        problems=_problems(openapi),
        fields=lambda schema: _fields(openapi, schema),
        message_fields=lambda schema: _fields(asyncapi, schema),
        resolved=lambda value: _resolved(openapi, value),
        base_url=base_url,
        wheel=wheel_name(),
    )


def prose(text: str) -> Markup:
    """Render `code` and paragraphs as HTML, and escape everything else."""
    paragraphs = [_words(part) for part in text.split("\n\n")]
    return Markup("</p><p>").join(paragraphs)


def _words(text: str) -> Markup:
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text, quote=False)))


def _groups(document: dict[str, Any]) -> list[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """The tags with their calls, in the document's order."""
    calls = [
        {**operation, "method": method.upper(), "path": path}
        for path, item in document["paths"].items()
        for method, operation in item.items()
    ]
    return [
        (tag, [call for call in calls if tag["name"] in call["tags"]]) for tag in document["tags"]
    ]


def _problems(document: dict[str, Any]) -> list[dict[str, Any]]:
    """The problems of all calls, each once."""
    found = {
        code: example["value"]
        for item in document["paths"].values()
        for operation in item.values()
        for response in operation["responses"].values()
        for content in _resolved(document, response).get("content", {}).values()
        for code, example in content.get("examples", {}).items()
        if "code" in example["value"] and "status" in example["value"]
    }
    return sorted(found.values(), key=lambda problem: (problem["status"], problem["code"]))


def _resolved(document: dict[str, Any], value: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in value:
        return value
    found: Any = document
    for name in value["$ref"].removeprefix("#/").split("/"):
        found = found[name]
    return _resolved(document, found)


def _fields(document: dict[str, Any], schema: dict[str, Any]) -> list[list[Field]]:
    """The rows of the schema's models; none for other types."""
    schema = _resolved(document, schema)
    if "anyOf" in schema:
        return [rows for either in schema["anyOf"] for rows in _fields(document, either)]
    if schema.get("type") == "array":
        return _fields(document, schema["items"])
    if "properties" not in schema:
        return []
    required = schema.get("required", ())
    return [
        [
            Field(name, _kind(document, inner), name not in required, inner.get("description", ""))
            for name, inner in schema["properties"].items()
        ]
    ]


def _kind(document: dict[str, Any], schema: dict[str, Any]) -> str:
    """A short name of a schema's type."""
    schema = _resolved(document, schema)
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return " ".join(f"`{value}`" for value in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(_kind(document, either) for either in schema["anyOf"])
    kind = str(schema.get("format") or schema.get("type", "any JSON"))
    if kind == "array":
        return f"list of {_kind(document, schema['items'])}"
    minimum, maximum = schema.get("minimum"), schema.get("maximum")
    if minimum is not None and maximum is not None:
        return f"{kind}, {minimum} to {maximum}"
    return kind
