"""Log the environment variables that look like settings but have no effect."""

import dataclasses
import re
from collections.abc import Mapping
from difflib import get_close_matches

import structlog

from relay.config.settings import Settings

CLIENT_VARIABLES = frozenset({"RELAY_URL", "RELAY_TOKEN"})
RETIRED_VARIABLES = frozenset({"RELAY_HTTP1"})
"""Settings of the previous version: accepted with any value, until the next version."""

# set by Kubernetes in containers of a namespace with a service called relay
_KUBERNETES_VARIABLES = re.compile(r"RELAY_(PORT|PORT_[0-9]+_.+|SERVICE_(HOST|PORT).*)")
_KNOWN = [field.metadata["name"] for field in dataclasses.fields(Settings)]

log = structlog.get_logger("relay.config.settings")


def log_unknown_variables(environ: Mapping[str, str]) -> None:
    """Log unknown variables with the setting that may be meant, and retired ones."""
    if found := [
        _with_suggestion(name) for name in sorted(environ) if environ[name] and _is_unknown(name)
    ]:
        log.warning("settings_unknown", variables=", ".join(found))
    if retired := sorted(name for name in RETIRED_VARIABLES if environ.get(name)):
        log.warning(
            "settings_retired",
            variables=", ".join(retired),
            hint="they have no effect any more; remove them",
        )


def _is_unknown(name: str) -> bool:
    ours = name in _KNOWN or name in CLIENT_VARIABLES or name in RETIRED_VARIABLES
    return name.startswith("RELAY_") and not ours and not _KUBERNETES_VARIABLES.fullmatch(name)


def _with_suggestion(name: str) -> str:
    near = get_close_matches(name, _KNOWN, 1, cutoff=0.8)
    return f"{name} (did you mean {near[0]}?)" if near else name
