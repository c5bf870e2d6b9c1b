"""Look up the header fields of a request by name."""

from collections.abc import Iterator, Mapping
from typing import Any


class RequestHeaders(Mapping[str, str]):
    """Header fields by case-insensitive name. Of repeated fields the first counts."""

    __slots__ = ("_all", "_fields")

    def __init__(self, fields: list[tuple[bytes, bytes]]) -> None:
        self._all = fields
        self._fields = dict(reversed(fields))

    def __getitem__(self, name: str) -> str:
        return self._fields[name.lower().encode()].decode("latin-1")

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower().encode() in self._fields

    def get(self, name: str, default: Any = None) -> Any:
        """Like Mapping.get, without its exception for each missing field."""
        value = self._fields.get(name.lower().encode())
        return default if value is None else value.decode("latin-1")

    def __iter__(self) -> Iterator[str]:
        return (name.decode("latin-1") for name in self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def joined(self, name: bytes) -> str | None:
        """All fields of a name, joined by commas (RFC 9110, 5.3); `name` is in lower case."""
        if name not in self._fields:
            return None
        return b", ".join([text for field, text in self._all if field == name]).decode("latin-1")

    def raw(self, name: bytes, default: bytes = b"") -> bytes:
        """A field's bytes; `name` is in lower case."""
        return self._fields.get(name, default)
