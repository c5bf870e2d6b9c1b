"""Finds secrets in the environment, and masks them in text."""

import re
from collections.abc import Iterable, Mapping
from urllib.parse import quote, urlsplit

MIN_LENGTH = 6  # characters; shorter values are also ordinary words
MASK = "***"

# A variable is secret if its name has one of these words between underscores, or these anywhere.
_WORDS = frozenset(
    {"APIKEY", "AUTH", "BEARER", "COOKIE", "CREDENTIAL", "CREDENTIALS", "JWT", "KEY", "KEYS"}
    | {"PASS", "PAT", "PWD"}
)
_ANYWHERE = re.compile("TOKEN|SECRET|PASSW|PASSPHRASE|PRIVATE_?KEY|API_?KEY")
_PLACES = ("_SOCK", "_FILE", "_PATH", "_DIR")  # the location of a secret is not secret


def secrets_of(environ: Mapping[str, str]) -> set[str]:
    """The values to mask: those of variables with secret names, and passwords in URLs."""
    found = set()
    for name, value in environ.items():
        if _names_a_secret(name.upper()):
            found.add(value)
        elif "://" in value and (password := _password(value)):
            found.add(password)
    return found


def _names_a_secret(name: str) -> bool:
    if name in ("PWD", "OLDPWD") or name.endswith(_PLACES):
        return False
    return bool(_ANYWHERE.search(name) or _WORDS & set(name.split("_")))


def _password(address: str) -> str | None:
    try:
        return urlsplit(address).password
    except ValueError:
        return None


class Mask:
    """Replaces secrets in text by `***`. A secret of several lines is masked line by line."""

    def __init__(self, secrets: Iterable[str]) -> None:
        lines = {line.strip() for secret in secrets for line in secret.splitlines()}
        known = {line for line in lines if len(line) >= MIN_LENGTH}
        known |= {quote(line, safe="") for line in known}
        # the longest first: one may contain another
        self._secrets = sorted(known, key=lambda secret: (-len(secret), secret))

    def __call__(self, text: str) -> str:
        for secret in self._secrets:
            if secret in text:
                text = text.replace(secret, MASK)
        return text

    def possible_prefix_length(self, text: str) -> int:
        """How many characters at the end of the text may be the beginning of a secret."""
        longest = max((len(secret) for secret in self._secrets), default=1) - 1
        for size in range(min(longest, len(text)), 0, -1):
            end = text[-size:]
            if any(secret.startswith(end) for secret in self._secrets):
                return size
        return 0
