"""Log the environment variables that look like settings but have no effect."""

import dataclasses
import re
from collections.abc import Mapping
from difflib import get_close_matches

import structlog

from relay.config.settings import Settings

THE_CLIENTS = frozenset({"RELAY_URL", "RELAY_TOKEN"})
RETIRED = frozenset({"RELAY_HTTP1"})
"""Settings of the previous version: accepted with any value, until the next version."""

# set by Kubernetes in containers of a namespace with a service called relay
_LINKED = re.compile(r"RELAY_(PORT|PORT_[0-9]+_.+|SERVICE_(HOST|PORT).*)")
_KNOWN = [field.metadata["name"] for field in dataclasses.fields(Settings)]

log = structlog.get_logger("relay.config.settings")


def note_misspelt(environ: Mapping[str, str]) -> None:
    """Log unknown variables with the setting that may be meant, and retired ones."""
    if found := [
        _suggested(name) for name in sorted(environ) if environ[name] and _is_strange(name)
    ]:
        log.warning("settings_unknown", variables=", ".join(found))
    if retired := sorted(name for name in RETIRED if environ.get(name)):
        log.warning(
            "settings_retired",
            variables=", ".join(retired),
            hint="they have no effect any more; remove them",
        )


def _is_strange(name: str) -> bool:
    ours = name in _KNOWN or name in THE_CLIENTS or name in RETIRED
    return name.startswith("RELAY_") and not ours and not _LINKED.fullmatch(name)


def _suggested(name: str) -> str:
    near = get_close_matches(name, _KNOWN, 1, cutoff=0.8)
    return f"{name} (meant: {near[0]}?)" if near else name
