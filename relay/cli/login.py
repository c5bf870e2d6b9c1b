"""`relay login`: create a stream at a Relay, or connect to an existing one."""

import itertools
import os
import socket
import sys

import click

from relay.cli.api_answers import CreatedToken, CreatedUser, Me, OpenedLink, request
from relay.cli.api_calls import open_api, report_refusals, store_credentials
from relay.cli.completion import known_relays
from relay.cli.exit_codes import NOT_AUTHORISED, Failed
from relay.cli.identity import (
    check_hook_token,
    identity_of,
    note_other_identity,
    note_other_publisher,
)
from relay.cli.link import show_link
from relay.cli.output import confirm, is_terminal, note, show
from relay.cli.standard_input import open_stdin
from relay.client.api_client import ApiClient, ApiError
from relay.client.credentials import (
    NoCredentials,
    RelayTokens,
    check_token,
    claim,
    credentials_path,
    load_credentials,
    normalize_url,
)
from relay.client.text_encoding import other_encoding, without_bom

DEFAULT_URL = "http://127.0.0.1:8000"  # that of `relay serve`
LINK_FRAGMENT = "#link="
MAX_TOKEN_LINE_BYTES = 8_192  # Relay's tokens have at most 4 096 characters
ALREADY_SIGNED_IN = ("already_signed_in", "already_somebody")  # the second: of older versions


@click.command("login")
@click.argument("address", required=False, metavar="[URL | LINK]", shell_complete=known_relays)
@click.option("--link", is_flag=True, help="Show a one-time link and QR code for another device.")
@click.option("--with-token", is_flag=True, help="Read a token or a link from stdin.")
@click.option(
    "--replace", is_flag=True, help="Go on without asking if another stream's login is replaced."
)
def command(address: str | None, link: bool, with_token: bool, replace: bool) -> None:
    """Create your stream at a Relay, or connect this machine to a stream that you have.

    The credentials are saved for the other commands. Without a URL, it uses RELAY_URL, the Relay
    of the last login, or http://127.0.0.1:8000. If you are signed in there, you stay signed in.

    \b
    Examples:
      relay login https://relay.example.com
      relay login --link                               show a link for another device
      relay login 'https://relay.example.com/#link=…'  open such a link on this one
      relay login https://relay.example.com --with-token < session.txt
    """
    if link:
        if address is not None or with_token or replace:
            raise click.UsageError("--link cannot be combined with other arguments")
        with open_api(None, None) as (relay, _):
            show_link(relay)
        return
    with report_refusals():
        from_stdin = _read_stdin() if with_token else ""
        if LINK_FRAGMENT in from_stdin:
            address, from_stdin = from_stdin, ""
        elif from_stdin:
            from_stdin = check_token(from_stdin, "stdin")
        base, _, code = (address or "").partition(LINK_FRAGMENT)
        stored = load_credentials()
        url = normalize_url(base or os.environ.get("RELAY_URL") or stored.url or DEFAULT_URL)
        tokens = stored.relays.get(url, RelayTokens())
        known = tokens.session_token
        if from_stdin:
            result = _use_token(url, from_stdin, tokens, replace=replace)
        elif with_token and not code:
            raise Failed("there is no token on stdin", NOT_AUTHORISED)
        elif code:
            result = _open_link(url, code, tokens, replace=replace)
        else:
            result = _sign_in(url, tokens, replace=replace)
        made = tokens.session_token if tokens.session_token not in (from_stdin, known) else None
        _save(url, tokens, made)
        if tokens.session_token is not None and not _is_valid_hook_token(url, tokens.hook_token):
            _create_hook_token(url, tokens)
            _save(url, tokens, tokens.hook_token)
    show(f"{result} at {url}.")
    show(f"The credentials are in {credentials_path()}, readable only by you.")
    show()
    show("  relay run -- make test    run a command and watch it")
    show("  relay tail                watch your stream here")
    user_id = identity_of(tokens.session_token or tokens.hook_token or "").user_id
    note_other_identity(url, user_id)
    note_other_publisher(url, user_id)
    if tokens.session_token is not None and is_terminal(sys.stdout):
        show()
        show("To watch in a browser or on your phone:")
        show()
        with report_refusals(), ApiClient(url, tokens.session_token) as relay:
            show_link(relay)


def _read_stdin() -> str:
    """The first line of stdin, a token or a link. Raises Failed if it is not UTF-8."""
    with open_stdin() as stdin:
        written = stdin.readline(MAX_TOKEN_LINE_BYTES)
    if (encoding := other_encoding(written)) is not None:
        raise Failed(f"the text on stdin is {encoding}", NOT_AUTHORISED)
    return without_bom(written).decode("utf-8", "replace").strip()


def _sign_in(url: str, tokens: RelayTokens, *, replace: bool) -> str:
    """Check the session that is known, or create a user if there is none."""
    if (user_id := _session_user(url, tokens.session_token)) is not None:
        if replace:
            _forget_other_hook_token(tokens, user_id)
        return f"You are still user {user_id}"
    if not replace and _is_valid_hook_token(url, tokens.hook_token):
        _make_sure(
            f"This machine publishes as user {claim(tokens.hook_token or '', 'sub')} at {url}, with"
            " a token that is still valid. A new stream would replace it.",
            "To keep that stream, open a link from a connected device: relay login LINK."
            " For a new stream, add --replace.",
        )
    _prove_storable()
    if tokens.session_token is not None:
        note("Your session there has ended. A new user is created.")
    with ApiClient(url) as relay:
        try:
            created = request(relay, CreatedUser, "POST", "/api/user")
        except ApiError as error:
            if error.code != "signup_closed":
                raise
            raise Failed(
                f"{error} With a session token: relay login {url} --with-token",
                NOT_AUTHORISED,
            ) from error
    _set_session(url, tokens, created.session_token)
    _forget_other_hook_token(tokens, created.user_id)
    return f"You are user {created.user_id}"


def _session_user(url: str, session_token: str | None) -> str | None:
    """The user of a session; None if it has ended or there is none. Raises ApiError."""
    if session_token is None:
        return None
    try:
        with ApiClient(url, session_token) as relay:
            return request(relay, Me, "GET", "/api/me").user_id
    except ApiError as error:
        if not error.is_refusal(401):
            raise
        return None


def _use_token(url: str, token: str, tokens: RelayTokens, *, replace: bool) -> str:
    """Save a token that was created elsewhere, if it is valid."""
    with ApiClient(url, token) as relay:
        if claim(token, "type") == "hook":
            check_hook_token(relay)
            tokens.hook_token = token
            return f"You publish as user {claim(token, 'sub')}"
        user_id = request(relay, Me, "GET", "/api/me").user_id
    if (known := _session_user(url, tokens.session_token)) not in (None, user_id):
        if not replace:
            _make_sure(
                f"You are signed in as user {known} at {url}. That session would be forgotten.",
                "To go on, add --replace.",
            )
        _forget_other_hook_token(tokens, user_id)
    _set_session(url, tokens, token)
    return f"You are user {user_id}"


def _open_link(url: str, code: str, tokens: RelayTokens, *, replace: bool) -> str:
    """Open a one-time link: create a session of the link's user for this machine."""
    _prove_storable()
    try:
        created = _redeem(url, tokens.session_token, code, replace)
    except ApiError as error:
        if error.code in ALREADY_SIGNED_IN:
            _make_sure(str(error), "To open it, add --replace.")
            replace = True
            created = _redeem(url, tokens.session_token, code, True)
        elif error.is_refusal(401):
            created = _redeem(url, None, code, False)  # our session has ended
        else:
            raise
    if created.session_token is None:
        return f"You are still user {created.user_id}"
    _set_session(url, tokens, created.session_token)
    if replace:
        _forget_other_hook_token(tokens, created.user_id)
    return f"You are user {created.user_id}"


def _make_sure(what: str, ways: str) -> None:
    """Ask on a terminal. Raises Failed, which names the ways, if there is none."""
    if not is_terminal(sys.stdin):
        raise Failed(f"{what} {ways}", NOT_AUTHORISED)
    confirm(f"{what} Continue?")


def _redeem(url: str, session: str | None, code: str, replace: bool) -> OpenedLink:
    body = {"code": code, "replace": replace}
    with ApiClient(url, session) as relay:
        return request(relay, OpenedLink, "POST", "/api/session/link/redeem", body)


def _set_session(url: str, tokens: RelayTokens, session_token: str) -> None:
    tokens.session_token = check_token(session_token, f"the answer of {url}")


def _forget_other_hook_token(tokens: RelayTokens, user_id: str) -> None:
    """Forget a hook token of another user: its stream is another one."""
    if tokens.hook_token is not None and claim(tokens.hook_token, "sub") != user_id:
        tokens.hook_token = None


def _is_valid_hook_token(url: str, hook_token: str | None) -> bool:
    """Whether this machine's hook token is still valid."""
    if hook_token is None:
        return False
    try:
        with ApiClient(url, hook_token) as relay:
            check_hook_token(relay)
    except ApiError as error:
        if not error.is_refusal(401):
            raise
        return False
    return True


def _create_hook_token(url: str, tokens: RelayTokens) -> None:
    """Create the hook token with which `relay run` and `relay send` publish."""
    with ApiClient(url, tokens.session_token) as relay:
        used_names = {one.name for one in request(relay, Me, "GET", "/api/me").tokens}
        name = _unused_name(f"relay on {socket.gethostname()}", used_names)
        created = request(relay, CreatedToken, "POST", "/api/token", {"name": name})
        tokens.hook_token = check_token(created.token, f"the answer of {url}")


def _unused_name(name: str, used_names: set[str | None]) -> str:
    """The name, with a number if another token has it: names identify tokens."""
    numbered = (f"{name[:90]} ({number})" for number in itertools.count(2))
    return next(one for one in itertools.chain((name[:100],), numbered) if one not in used_names)


def _prove_storable() -> None:
    """Write the credentials file as it is. What is created next has to be stored there.

    Raises NoCredentials, ClickException.
    """
    store_credentials(load_credentials())


def _save(url: str, tokens: RelayTokens, made: str | None = None) -> None:
    """Store the tokens. If that fails, `made`, which Relay has just created, is ended again.

    Raises NoCredentials, ClickException.
    """
    try:
        stored = load_credentials()
        stored.url = url
        stored.relays[url] = tokens
        store_credentials(stored)
    except (NoCredentials, click.ClickException) as error:
        if made is None:
            raise
        raise click.ClickException(f"{error}. {_end(url, made)}") from error


def _end(url: str, token: str) -> str:
    """End a session or hook token that no file has; returns what to know of it."""
    is_hook_token = claim(token, "type") == "hook"
    what = "token" if is_hook_token else "session"
    try:
        with ApiClient(url, token) as relay:
            if is_hook_token:
                relay.call("POST", "/api/token/revoke")
            else:
                relay.call("DELETE", "/api/session")
    except ApiError as error:
        return f"The new {what} could not be ended: {error}"
    if is_hook_token:
        return "The new token was revoked."
    return "The new session was ended; a link that made it is used up."
