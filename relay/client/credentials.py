"""Which Relay, and as whom: what is given, or what the file of credentials knows.

The file is `credentials.json` in the platform's folder for settings, readable by its owner alone:

    {"url": "https://relay.example",
     "relays": {"https://relay.example": {"hook_token": "eyJ…", "session_token": "eyJ…"}}}

`url` is the Relay that is meant when none is named. A token is only ever sent to the Relay it
stands under, or to the one that a given token itself names as its issuer.
"""

import base64
import os
import secrets
import stat
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import platformdirs

HOW = "run `relay login`, or set RELAY_URL and RELAY_TOKEN"


class NoCredentials(Exception):
    """No Relay to speak to; the message says what to do."""


class NoAddress(NoCredentials):
    """What was given as a Relay's address is none."""


class Known(msgspec.Struct, omit_defaults=True):
    """What is kept of one Relay: a hook token to publish with, a session to manage and watch."""

    hook_token: str | None = None
    session_token: str | None = None


class CredentialsFile(msgspec.Struct):
    """The whole file."""

    url: str | None = None
    relays: dict[str, Known] = msgspec.field(default_factory=dict)


class Credentials(msgspec.Struct, frozen=True):
    """A Relay's address and a token for it."""

    url: str
    token: str

    @property
    def owner(self) -> str:
        """Whose stream the token belongs to, without telling the token."""
        subject = claim(self.token, "sub")
        return subject or sha256(self.token.encode()).hexdigest()[:32]


def credentials_path() -> Path:
    return platformdirs.user_config_path("relay") / "credentials.json"


def find_credentials(
    url: str | None = None,
    token: str | None = None,
    environ: Mapping[str, str] = os.environ,
    *,
    session: bool = False,
) -> Credentials:
    """Options first, then RELAY_URL and RELAY_TOKEN, then the file. Raises NoCredentials.

    From the file comes the hook token, or with `session` the session.
    """
    url = url or environ.get("RELAY_URL") or None
    token = (token or environ.get("RELAY_TOKEN") or "").strip() or None
    if token is not None:
        # a token says who made it: that is whom it may be shown to
        url = url or claim(token, "iss")
        if url is None:
            raise NoCredentials("the token does not say for which Relay it is: set RELAY_URL")
        if not token.isascii() or not token.isprintable() or " " in token:
            raise NoCredentials("the token is none: it has characters that no token has")
        return Credentials(clean_url(url), token)
    kept = load_credentials()
    url = clean_url(url) if url else kept.url
    known = kept.relays.get(url or "", Known())
    found = known.session_token if session else known.hook_token
    if url is None or found is None:
        raise NoCredentials(f"no token for {url}: {HOW}" if url else f"no Relay is known: {HOW}")
    return Credentials(url, found)


def clean_url(url: str) -> str:
    """The address as the file spells it. Raises NoAddress for what is no web address."""
    url = url.strip()
    try:
        split = urlsplit(url)
        port = split.port
    except ValueError:  # a bracket too few, a port that is none
        split, port = urlsplit(""), 0
    if split.username is not None or split.password is not None:
        raise NoAddress("the address of a Relay holds no user and no password")
    is_web = split.scheme in ("http", "https") and split.hostname and port != 0
    if not is_web or split.query or split.fragment or not url.isprintable() or " " in url:
        like = "https://relay.example or http://127.0.0.1:8000"
        raise NoAddress(f"{url!r} is not the address of a Relay, like {like}")
    return f"{split.scheme}://{split.netloc.lower()}{split.path.rstrip('/')}"


def load_credentials(path: Path | None = None) -> CredentialsFile:
    """What the file holds; empty when there is none. Raises NoCredentials for an unusable one."""
    path = path or credentials_path()
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if mode & 0o077:
                raise NoCredentials(f"{path} can be read by others: chmod 600 it, then try again")
            return msgspec.json.decode(file.read(), type=CredentialsFile)
    except FileNotFoundError:
        return CredentialsFile()
    except OSError as error:
        raise NoCredentials(f"{path} cannot be read: {error.strerror}") from error
    except msgspec.MsgspecError as error:
        raise NoCredentials(f"{path} is not what Relay wrote there: {error}") from error


def save_credentials(kept: CredentialsFile, path: Path | None = None) -> None:
    """Replace the file at once and whole; only its owner may ever read it. Raises OSError."""
    path = path or credentials_path()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(kept)) + b"\n")
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def claim(token: str, name: str) -> str | None:
    """What a token says of itself; nothing here is believed that matters to anybody else."""
    try:
        body = token.split(".")[1]
        claims = msgspec.json.decode(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        found = claims[name]
    except (IndexError, KeyError, TypeError, ValueError, msgspec.MsgspecError):
        return None
    return found if isinstance(found, str) and found else None
