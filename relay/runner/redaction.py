"""What looks secret in the environment, and keeping it out of what is told."""

import re
from collections.abc import Iterable, Mapping
from urllib.parse import quote, urlsplit

SHORTEST = 6  # characters; shorter values are words that stand everywhere
MASK = "***"

# Words of a variable's name, as NAME_OF_IT is made of them; or standing anywhere in it.
_WORDS = frozenset(
    {"APIKEY", "AUTH", "BEARER", "COOKIE", "CREDENTIAL", "CREDENTIALS", "JWT", "KEY", "KEYS"}
    | {"PASS", "PAT", "PWD"}
)
_ANYWHERE = re.compile("TOKEN|SECRET|PASSW|PASSPHRASE|PRIVATE_?KEY|API_?KEY")
_PLACES = ("_SOCK", "_FILE", "_PATH", "_DIR")  # where a secret lies is none


def secrets_of(environ: Mapping[str, str]) -> set[str]:
    """The values that must not be told: of variables named like secrets, and in addresses."""
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
    """Replaces secrets in text. Those of several lines are looked for line by line."""

    def __init__(self, secrets: Iterable[str]) -> None:
        lines = {line.strip() for secret in secrets for line in secret.splitlines()}
        known = {line for line in lines if len(line) >= SHORTEST}
        known |= {quote(line, safe="") for line in known}
        # the longest first: one may hold another
        self._secrets = sorted(known, key=lambda secret: (-len(secret), secret))

    def __call__(self, text: str) -> str:
        for secret in self._secrets:
            if secret in text:
                text = text.replace(secret, MASK)
        return text

    def unsure(self, text: str) -> int:
        """How many characters at its end may be the beginning of a secret."""
        longest = max((len(secret) for secret in self._secrets), default=1) - 1
        for size in range(min(longest, len(text)), 0, -1):
            end = text[-size:]
            if any(secret.startswith(end) for secret in self._secrets):
                return size
        return 0
