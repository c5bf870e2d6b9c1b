"""The browser's module as a folder that `npm pack` accepts, made anew from what Relay serves."""

import json
import shutil
import tomllib
from pathlib import Path
from typing import Any

import relay
from relay.web.joined_modules import join_modules

ROOT = Path(__file__).parents[1]
CONSOLE = Path(relay.__file__).parent / "console"
README = Path(__file__).parent / "npm" / "README.md"
MODULE = "relay-stream.js"
TYPES = "relay-stream.d.ts"


def manifest() -> dict[str, Any]:
    """package.json: the name, the version and the licence are those of pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return {
        "name": project["name"],
        "version": project["version"],
        "description": "Relay's client for browsers: one private, durable, resumable event stream.",
        "license": project["license"],
        "type": "module",
        "exports": {".": {"types": f"./{TYPES}", "default": f"./{MODULE}"}},
        "types": f"./{TYPES}",
        "files": [MODULE, TYPES],
        "sideEffects": False,
        "keywords": ["events", "realtime", "sse", "stream", "websocket"],
    }


def make_npm_package(folder: Path) -> None:
    """Write the package into a new folder. Raises FileExistsError if the folder is there."""
    folder.mkdir(parents=True)
    (folder / "package.json").write_text(json.dumps(manifest(), indent=2) + "\n")
    (folder / MODULE).write_bytes(join_modules(CONSOLE / MODULE))
    shutil.copy(CONSOLE / TYPES, folder)
    shutil.copy(README, folder)
    shutil.copy(ROOT / "LICENSE", folder)
