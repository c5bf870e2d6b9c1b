"""Finds the address and the token of a Relay, and reads and writes the credentials file.

The file is `credentials.json` in the platform's folder for settings, readable only by its owner:

    {"url": "https://relay.example",
     "relays": {"https://relay.example": {"hook_token": "eyJ…", "session_token": "eyJ…"}}}

`url` is the default Relay. A token of the file is only sent to the Relay that it is listed under,
and a token without an address only to its issuer.
"""

import os
import secrets
import stat
from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import platformdirs

from relay.client.text_encoding import BOM_CHARACTER, other_encoding, without_bom
from relay.client.token_text import DamagedToken, read_token, token_claims


class NoCredentials(Exception):
    """There is no address or token. The message explains what to do."""


class InvalidAddress(NoCredentials):
    """A Relay's address is invalid."""


class NoAuthorities(NoCredentials):
    """The certificate authorities that the environment names cannot be read."""


class RelayTokens(msgspec.Struct, omit_defaults=True):
    """The tokens for one Relay: a hook token to publish, a session to manage and watch."""

    hook_token: str | None = None
    session_token: str | None = None


class CredentialsFile(msgspec.Struct):
    """The content of the credentials file."""

    url: str | None = None
    relays: dict[str, RelayTokens] = msgspec.field(default_factory=dict)


class Credentials(msgspec.Struct, frozen=True):
    """A Relay's address and a token for it."""

    url: str
    token: str
    source: str = ""  # `--token`, `RELAY_TOKEN`, or the path of the credentials file

    @property
    def owner(self) -> str:
        """An id of the token's user: its `sub` claim, or a hash of a token without one."""
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
    """Use the arguments, else RELAY_URL and RELAY_TOKEN, else the file. Raises NoCredentials.

    The file's hook token is used, or its session token with `session`.
    """
    url = url or environ.get("RELAY_URL") or None
    source = "--token" if token else "RELAY_TOKEN"
    given = token or environ.get("RELAY_TOKEN") or ""
    if given.strip():
        token = check_token(given, source)
        # a token without an address may only be sent to its issuer
        url = url or claim(token, "iss")
        if url is None:
            raise NoCredentials("the token does not name its Relay: set RELAY_URL")
        return Credentials(normalize_url(url), token, source)
    stored = load_credentials()
    url = normalize_url(url) if url else stored.url
    tokens = stored.relays.get(url or "", RelayTokens())
    found = tokens.session_token if session else tokens.hook_token
    if url is None:
        raise NoCredentials(
            "not connected to a Relay; run `relay login`, or set RELAY_URL and RELAY_TOKEN"
        )
    if found is None:
        raise no_session(url) if session and tokens.hook_token else _no_token(url)
    return Credentials(url, found, str(credentials_path()))


def find_any_credentials(url: str | None, token: str | None) -> Credentials:
    """The session token, or the hook token if there is none. Raises NoCredentials."""
    try:
        return find_credentials(url, token, session=True)
    except NoCredentials:
        return find_credentials(url, token)


def no_session(url: str) -> NoCredentials:
    """What is missing where the file has a hook token alone. A plain login is another stream."""
    return NoCredentials(
        f"no session for {url}, only a token; run `relay login` with a link from a connected"
        " device, or set RELAY_TOKEN to a session token"
    )


def _no_token(url: str) -> NoCredentials:
    return NoCredentials(
        f"no token for {url}; run `relay login {url}`, or set RELAY_URL and RELAY_TOKEN"
    )


def check_token(text: str, source: str) -> str:
    """The token in a text, without what stands around it. Raises NoCredentials."""
    try:
        return read_token(text)
    except DamagedToken as error:
        raise NoCredentials(f"the token in {source} {error}") from error


def normalize_url(url: str) -> str:
    """Normalise an address, as it is written in the file. Raises `InvalidAddress`."""
    url = url.strip().removeprefix(BOM_CHARACTER)
    try:
        split = urlsplit(url)
        port = split.port
    except ValueError:  # such as an unclosed bracket or an invalid port
        split, port = urlsplit(""), 0
    if split.username is not None or split.password is not None:
        raise InvalidAddress("a Relay's address must not contain a user or a password")
    is_web = split.scheme in ("http", "https") and _has_host(url) and port != 0
    if not is_web or split.query or split.fragment or not url.isprintable() or " " in url:
        like = "https://relay.example or http://127.0.0.1:8000"
        raise InvalidAddress(f"{url!r} is not the address of a Relay, like {like}")
    return f"{split.scheme}://{split.netloc.lower()}{split.path.rstrip('/')}"


def _has_host(url: str) -> bool:
    """Whether the HTTP library, and then the system's resolver, take the address's host for one."""
    import httpx  # not for a command that needs no address, such as `relay serve`

    try:
        parsed = httpx.URL(url)
        # the library decodes `xn--`; the resolver's encoding has bounds for each label
        return bool(parsed.host and parsed.raw_host.decode().encode("idna"))
    except (httpx.InvalidURL, UnicodeError):
        return False


def load_credentials(path: Path | None = None) -> CredentialsFile:
    """Read the file; empty if there is none. Raises NoCredentials if it is unusable."""
    path = path or credentials_path()
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if mode & 0o077:
                raise NoCredentials(f"{path} can be read by others: run `chmod 600` on it")
            content = file.read()
        if (encoding := other_encoding(content)) is not None:
            raise NoCredentials(f"{path} is {encoding}")
        stored = msgspec.json.decode(without_bom(content), type=CredentialsFile)
    except FileNotFoundError:
        return CredentialsFile()
    except OSError as error:
        raise NoCredentials(f"{path} cannot be read: {error.strerror}") from error
    except msgspec.MsgspecError as error:
        raise NoCredentials(f"{path} is damaged: {error}") from error
    for tokens in stored.relays.values():
        for token in filter(None, (tokens.hook_token, tokens.session_token)):
            check_token(token, str(path))
    return stored


def save_credentials(stored: CredentialsFile, path: Path | None = None) -> None:
    """Replace the file atomically, with read access for its owner only. Raises OSError."""
    path = path or credentials_path()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(stored)) + b"\n")
            file.flush()
            os.fsync(file.fileno())  # or a power loss may leave an empty file, and no session
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    with suppress(OSError):  # some file systems cannot sync a folder, and the file is in place
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def claim(token: str, name: str) -> str | None:
    """Read a claim of a JWT without verifying it: only the server has to trust it."""
    found = token_claims(token).get(name)
    return found if isinstance(found, str) and found else None
