"""Parse the options of a setting that is an address: `?name=value&…`."""

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import parse_qsl

from relay.config.parsers import folder


def address_options(query: str, known: Sequence[str]) -> dict[str, str]:
    """The options by name. Raises ValueError for one that is not known."""
    pairs = parse_qsl(query, keep_blank_values=True)
    for name, _ in pairs:
        if name not in known:
            raise ValueError(f"has the option {name!r}; it may have {', '.join(known)}")
    return dict(pairs)


def option_file(name: str, text: str) -> Path:
    """The file that an option names. Raises ValueError if there is none."""
    try:
        path = folder(text)
    except ValueError as error:
        raise ValueError(f"names a {name} that {error}") from None
    if not path.is_file():
        raise ValueError(f"names a {name} that is no file: {path}")
    return path
