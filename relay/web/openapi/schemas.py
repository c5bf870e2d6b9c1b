"""JSON Schemas of our models, as msgspec writes them, in the dialect that the documents speak."""

import re
from collections.abc import Iterable
from typing import Any

import msgspec

PREFIX = "#/components/schemas/"


class Schemas:
    """The components of one document: a model is described once and referred to by name.

    What msgspec has no words for a model says in a `SCHEMA` of its own.
    """

    def __init__(self) -> None:
        self.components: dict[str, Any] = {}

    def of(self, kind: Any) -> dict[str, Any]:
        """The schema of a type; its models become components."""
        (schema,), components = msgspec.json.schema_components(
            [kind], ref_template=f"{PREFIX}{{name}}"
        )
        for name, component in components.items():
            self.components[name] = _plain(component)
        if (rule := getattr(kind, "SCHEMA", None)) is not None:
            self.components[kind.__name__] |= rule
        return dict(_plain(schema))

    def any_of(self, kinds: Iterable[Any]) -> dict[str, Any]:
        """Either of some models; one alone needs no choice."""
        schemas = [self.of(kind) for kind in dict.fromkeys(kinds)]
        return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}


def _plain(schema: Any) -> Any:
    """Python's anchors as ECMA-262 writes them; a model is titled by its name already."""
    if isinstance(schema, list):
        return [_plain(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {
        name: _plain(value)
        for name, value in schema.items()
        if name != "title" or not isinstance(value, str)  # a property may have that name
    }
    if isinstance(plain.get("description"), str):
        plain["description"] = paragraphs(plain["description"])
    if isinstance(plain.get("pattern"), str):
        plain["pattern"] = re.sub(r"\\A", "^", re.sub(r"\\Z", "$", plain["pattern"]))
    if "required" in plain and not plain["required"]:
        del plain["required"]
    return plain


def json_of(value: Any) -> Any:
    """A specimen as a reader of JSON sees it."""
    return msgspec.json.decode(msgspec.json.encode(value))


def paragraphs(text: str) -> str:
    """Text of a docstring without the line ends that stand for width only."""
    return "\n\n".join(" ".join(part.split()) for part in text.strip().split("\n\n"))


def pretty(value: Any) -> str:
    """JSON for people."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
