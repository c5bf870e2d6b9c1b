"""Where the files that ride along with the code are: in the package, or in a checkout beside it."""

from pathlib import Path

import relay

_PACKAGE = Path(relay.__file__).parent


def packaged(name: str) -> Path:
    """The file or folder of that name that belongs to this version of Relay."""
    inside = _PACKAGE / name
    return inside if inside.exists() else _PACKAGE.parent / name
