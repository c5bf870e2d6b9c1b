"""JSON Schemas of the models, made by msgspec and adapted to the documents."""

import re
from collections.abc import Iterable
from typing import Any

import msgspec

PREFIX = "#/components/schemas/"


class Schemas:
    """The schema components of one document: each model occurs once, and is referred to by name.

    A model's class attribute `SCHEMA` is added to what msgspec generates.
    """

    def __init__(self) -> None:
        self.components: dict[str, Any] = {}

    def of(self, kind: Any) -> dict[str, Any]:
        """The schema of a type; its models become components."""
        (schema,), components = msgspec.json.schema_components(
            [kind], ref_template=f"{PREFIX}{{name}}"
        )
        for name, component in components.items():
            self.components[name] = _convert(component)
        if (rule := getattr(kind, "SCHEMA", None)) is not None:
            self.components[kind.__name__] |= rule
        return dict(_convert(schema))

    def any_of(self, kinds: Iterable[Any]) -> dict[str, Any]:
        """The schema of a choice of models; that of the model if there is only one."""
        schemas = [self.of(kind) for kind in dict.fromkeys(kinds)]
        return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}


def _convert(schema: Any) -> Any:
    """Rewrite a schema: ECMA-262 anchors, no titles (models have names), no line breaks."""
    if isinstance(schema, list):
        return [_convert(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {
        name: _convert(value)
        for name, value in schema.items()
        if name != "title" or not isinstance(value, str)  # a property may have that name
    }
    if isinstance(plain.get("description"), str):
        plain["description"] = paragraphs(plain["description"])
    if isinstance(plain.get("pattern"), str):
        plain["pattern"] = re.sub(r"\\A", "^", re.sub(r"\\Z", "$", plain["pattern"]))
    if "enum" in plain and "type" not in plain:
        plain |= _type_of(plain["enum"])
    if "required" in plain and not plain["required"]:
        del plain["required"]
    return plain


def _type_of(values: Any) -> dict[str, str]:
    """The type of an enumeration's values: some generators do not derive it from them."""
    if not isinstance(values, list):  # a property may have the name `enum`
        return {}
    if all(isinstance(value, str) for value in values):
        return {"type": "string"}
    return {"type": "integer"} if all(type(value) is int for value in values) else {}


def json_of(value: Any) -> Any:
    """A value as JSON types."""
    return msgspec.json.decode(msgspec.json.encode(value))


def paragraphs(text: str) -> str:
    """Join a docstring's lines to paragraphs."""
    return "\n\n".join(" ".join(part.split()) for part in text.strip().split("\n\n"))


def pretty(value: Any) -> str:
    """Indented JSON."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
