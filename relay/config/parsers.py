"""Declare settings, read them, and parse their values.

A parser raises ValueError with what the value must be.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, dataclass, field
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

T = TypeVar("T")

HIGHEST_PORT = 65_535
MIN_SECRET_BYTES = 32  # bytes: HS256 requires them of its key (RFC 7518, section 3.2)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A named secret that signs and verifies tokens; never shown."""

    kid: str
    secret: bytes = field(repr=False)


class SettingError(Exception):
    """A setting is missing or invalid. The message names it and what it must be."""


def setting(
    name: str,
    parse: Callable[[str], T],
    default: T,
    unit: str,
    why: str,
    *,
    shown: str,
    secret: bool = False,
) -> T:
    """Declare a setting. `shown` is its default as the reference writes it."""
    metadata = {"name": name, "parse": parse, "unit": unit, "why": why, "shown": shown}
    return field(default=default, metadata=metadata, repr=not secret)


def read_settings(
    declared: "Sequence[Field[Any]]", environ: Mapping[str, str], overrides: Mapping[str, Any]
) -> dict[str, Any]:
    """Read the given values, by field. `overrides` takes precedence. Raises SettingError."""
    fields = {it.name: it for it in declared}
    values: dict[str, Any] = {}
    for it in declared:
        name = it.metadata["name"]
        if text := environ.get(name, ""):
            values[it.name] = _parsed(it, text, name)
    if "bind" not in values and (port := environ.get("PORT", "")):
        # hosting platforms set PORT, and connect from outside
        if not re.fullmatch(r"[0-9]{1,5}", port.strip(), re.ASCII) or int(port) > HIGHEST_PORT:
            raise SettingError(f"PORT must be a port from 0 to {HIGHEST_PORT}")
        values["bind"] = _parsed(fields["bind"], f"0.0.0.0:{port.strip()}", "PORT")
    for key, value in overrides.items():
        if value is not None:
            values[key] = _parsed(fields[key], str(value), f"--{key.replace('_', '-')}")
    return values


def _parsed(declared: "Field[Any]", text: str, name: str) -> Any:
    try:
        return declared.metadata["parse"](text)
    except ValueError as error:
        raise SettingError(f"{name} {error}") from None


def choice(*words: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if (word := text.strip().lower()) not in words:
            raise ValueError(f"must be one of {', '.join(words)}")
        return word

    return parse


def boolean(text: str) -> bool:
    return choice("on", "off")(text) == "on"


def integer(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,18}", text.strip()) or not low <= int(text) <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(text)

    return parse


_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}
_BYTES = {"": 1, "kib": 2**10, "mib": 2**20, "gib": 2**30}


def _quantity(units: Mapping[str, int], low: float, high: float, what: str) -> Any:
    def parse(text: str) -> float:
        match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([a-z]*)", text.strip().lower())
        if match is None or match[2] not in units:
            raise ValueError(f"must be {what}")
        value = float(match[1]) * units[match[2]]
        if not low <= value <= high:
            raise ValueError(f"must be {what}, from {low:g} to {high:g}")
        return value

    return parse


def duration(low: float, high: float) -> Callable[[str], float]:
    parse: Callable[[str], float] = _quantity(_SECONDS, low, high, "a time like 25, 25s or 5m")
    return parse


def optional_duration(low: float, high: float) -> Callable[[str], float | None]:
    parse = duration(low, high)
    return lambda text: None if text.strip().lower() == "off" else parse(text)


def size(low: int, high: int) -> Callable[[str], int]:
    quantity = _quantity(_BYTES, low, high, "a size like 1048576 or 256MiB")
    return lambda text: int(quantity(text))


def days(low: float, high: float) -> Callable[[str], float]:
    return lambda text: float(_quantity({"": 1, "d": 1}, low, high, "a number of days")(text))


@dataclass(frozen=True, slots=True)
class Rate:
    """`burst` at once, and then `count` in every `period` seconds.

    `interval`: seconds between two at the steady rate.
    """

    count: int
    period: int
    burst: int
    interval: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "interval", self.period / self.count)

    def times(self, factor: int) -> "Rate":
        """So many times this rate, and its burst."""
        return Rate(self.count * factor, self.period, self.burst * factor)

    def __str__(self) -> str:
        burst = "" if self.burst == self.count else f" burst {self.burst}"
        return f"{self.count}/{_PERIOD_NAMES[self.period]}{burst}"


_PERIODS = {"s": 1, "min": 60, "h": 3600, "d": 86_400}
_PERIOD_NAMES = {seconds: name for name, seconds in _PERIODS.items()}
_RATE = re.compile(r"([1-9][0-9]{0,8})/(s|min|h|d)(?:\s+burst\s+([1-9][0-9]{0,8}))?")


def rate(text: str) -> Rate:
    """Parse a rate. Without a burst, the count of a whole period may come at once."""
    match = _RATE.fullmatch(text.strip().lower())
    if match is None:
        raise ValueError("must be a rate like 50/s, 10/min, 600/h, 5/d or 50/s burst 2000")
    return Rate(int(match[1]), _PERIODS[match[2]], int(match[3] or match[1]))


def contact(text: str) -> str:
    """Parse an address at which a person can be reached (RFC 8292)."""
    if not re.fullmatch(r"mailto:[^\s@]+@[^\s@]+|https://[^\s/]+\S*", text.strip()):
        raise ValueError("must be an address like mailto:ops@example.com or https://example.com")
    return text.strip()


_BASE_URL = re.compile(r"(https?)://([a-z0-9.-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?(/.*)?")
_DEFAULT_PORTS = {"http": 80, "https": 443}


def base_url(text: str) -> str:
    """Parse an origin as browsers write it: no path, no default port."""
    match = _BASE_URL.fullmatch(text.strip().lower())
    if match is None or int(match[3] or 0) > 65_535:
        raise ValueError("must be an http or https address like https://relay.example.app")
    if (match[4] or "/") != "/":
        raise ValueError("must have no path: Relay is served at the root of its host")
    scheme, host, port = match[1], match[2], int(match[3] or 0)
    return f"{scheme}://{host}" + (f":{port}" if port not in (0, _DEFAULT_PORTS[scheme]) else "")


_ORIGIN = re.compile(r"(https?)://(\*\.)?([a-z0-9.-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?")
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


def origins(text: str) -> tuple[str, ...]:
    """Parse origins and patterns into browsers' form: no default port, short IPv6 addresses."""
    return tuple(_origin(part.strip().lower()) for part in text.split(",") if part.strip())


def _origin(text: str) -> str:
    match = _ORIGIN.fullmatch(text)
    host = _host(match[3]) if match else None
    if match is None or host is None or int(match[4] or 0) > 65_535:
        raise ValueError(
            f"names {text!r}; each must be an exact origin like https://app.example.com"
            " or a pattern like https://*.example.app"
        )
    scheme, any_label, port = match[1], match[2] or "", int(match[4] or 0)
    if any_label and (scheme != "https" or not re.fullmatch(r".+\.[a-z][a-z0-9-]*", host)):
        raise ValueError(
            f"names {text!r}; a pattern is for https, below a domain of at least two labels:"
            " like https://*.example.app"
        )
    shown = "" if port in (0, _DEFAULT_PORTS[scheme]) else f":{port}"
    return f"{scheme}://{any_label}{host}{shown}"


def _host(text: str) -> str | None:
    """Normalize a host to a browser's form; None if it is invalid."""
    try:
        if text.startswith("["):
            return f"[{IPv6Address(text[1:-1]).compressed}]"
        labels = text.split(".")
        if labels[-1].isdecimal():
            return str(IPv4Address(text))
    except ValueError:
        return None
    return text if all(map(_LABEL.fullmatch, labels)) else None


def folder(text: str) -> Path:
    """Parse a path. `~` is expanded here, as no shell does it in a unit or a compose file."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise ValueError("begins with ~, but there is no such home directory") from None


def signing_keys(text: str) -> tuple[SigningKey, ...]:
    keys: list[SigningKey] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        kid, separator, secret = part.partition(":")
        if not separator or not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", kid):
            raise ValueError("must be kid:secret pairs separated by commas")
        if len(secret.encode()) < MIN_SECRET_BYTES:
            raise ValueError(f"has a secret ({kid}) shorter than {MIN_SECRET_BYTES} bytes")
        keys.append(SigningKey(kid, secret.encode()))
    if not keys:
        raise ValueError("contains no key")
    if len({key.kid for key in keys}) < len(keys):
        raise ValueError("names the same kid twice")
    return tuple(keys)


def bind(text: str) -> str:
    text = text.strip()
    if text.startswith("unix:") and len(text) > len("unix:"):
        return text
    if not re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^\s:\[\]]+):\d{1,5}", text) or (
        int(text.rpartition(":")[2]) > HIGHEST_PORT
    ):
        raise ValueError("must be HOST:PORT like 127.0.0.1:8000, or unix:PATH")
    return text


def postgres_address(text: str) -> str:
    if urlsplit(text.strip()).scheme not in ("postgres", "postgresql"):
        raise ValueError("must be a URL like postgresql://user:password@host/database")
    return text.strip()


def bearer_token(text: str) -> str:
    if not re.fullmatch(r"[\x21-\x7e]{16,512}", text):
        raise ValueError("must be 16 to 512 printable characters without spaces")
    return text


def sentry_dsn(text: str) -> str:
    if not re.fullmatch(r"https?://[^\s/@:]+(:[^\s/@]+)?@[^\s/@]+/(\S+/)?[0-9]+", text.strip()):
        raise ValueError("must be a URL like https://key@sentry.example.com/1")
    return text.strip()
