"""Read `hypercorn.toml` strictly: Hypercorn itself ignores unknown keys."""

import logging
import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from hypercorn.config import Config

from relay.config.resources import packaged
from relay.config.settings import SettingError, Settings

_DEFAULTS: dict[str, Any] = {
    name: it
    for name, it in vars(Config).items()
    if not name.startswith("_") and not callable(it) and not hasattr(it, "__get__")
}
_SET_BY_CODE = {
    name for name, it in vars(Config).items() if isinstance(it, property) and it.fset is not None
}
_ANNOTATED = {name for name in Config.__annotations__ if not name.startswith("_")}
_KNOWN_KEYS = {*_DEFAULTS, *_SET_BY_CODE, *_ANNOTATED}


def server_config(settings: Settings, folder: Path) -> Config:
    """Read `hypercorn.toml` from the working folder, or else the packaged one.

    Raises SettingError if the file, or a certificate that it names, is missing or invalid.
    """
    own = folder / "hypercorn.toml"
    path = own if own.exists() else packaged("hypercorn.toml")
    try:
        config = read_hypercorn_config(path)
        _check_tls_files(config)
        config.create_ssl_context()
    except (OSError, ValueError) as error:  # TOMLDecodeError is a ValueError
        raise SettingError(f"{path}: {error}") from None
    config.bind = [settings.bind]
    config.graceful_timeout = settings.drain_timeout
    # no log of clients' addresses; errors go to Relay's log
    config.accesslog = None
    config.errorlog = logging.getLogger("hypercorn.error")
    return config


def read_hypercorn_config(path: Path) -> Config:
    """Read Hypercorn's configuration. Raises OSError, or ValueError that explains what is wrong."""
    given = tomllib.loads(path.read_text(encoding="utf-8"))
    for key, value in given.items():
        if key not in _KNOWN_KEYS:
            matches = get_close_matches(key, _KNOWN_KEYS, 1)
            question = f" (did you mean {matches[0]}?)" if matches else ""
            raise ValueError(f"unknown key {key}{question}")
        _check(key, value, _DEFAULTS.get(key))
    return Config.from_mapping(given)


def _check_tls_files(config: Config) -> None:
    """Check the files of TLS. Raises OSError that names one, or ValueError if one is not given.

    OpenSSL does not say which file it could not open, and Hypercorn serves plain HTTP with a
    certificate that has no key.
    """
    if (config.certfile is None) != (config.keyfile is None):
        raise ValueError("certfile and keyfile need each other: TLS has both")
    for path in (config.certfile, config.keyfile, config.ca_certs):
        if path is not None:
            with open(path, "rb"):
                pass


def _check(key: str, value: Any, default: Any) -> None:
    """Check that a value has its default's type, if there is a default."""
    match default:
        case bool():
            kinds: tuple[type, ...] = (bool,)
            kind = "true or false"
        case int() | float():
            kinds, kind = (int, float), "a number"
        case str():
            kinds, kind = (str,), "a string"
        case list():
            kinds, kind = (list,), "a list"
        case _:
            return
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        raise ValueError(f"{key} must be {kind}")
