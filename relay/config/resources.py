"""Find files that are shipped with the code: in the package, or beside it in a checkout."""

from pathlib import Path

import relay

_PACKAGE = Path(relay.__file__).parent


def packaged(name: str) -> Path:
    """The path of a shipped file or folder."""
    inside = _PACKAGE / name
    return inside if inside.exists() else _PACKAGE.parent / name
