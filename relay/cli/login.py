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
@click.option("--replace", is_flag=True, help="Open the link even if you are signed in already.")
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
        if from_stdin:
            result = _use_token(url, from_stdin, tokens)
        elif with_token and not code:
            raise Failed("there is no token on stdin", NOT_AUTHORISED)
        elif code:
            result = _open_link(url, code, tokens, replace=replace)
        else:
            result = _sign_in(url, tokens)
        _save(url, tokens)
        if tokens.session_token is not None and not _is_valid_hook_token(url, tokens.hook_token):
            _create_hook_token(url, tokens)
            _save(url, tokens)
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


def _sign_in(url: str, tokens: RelayTokens) -> str:
    """Check the session that is known, or create a user if there is none."""
    if tokens.session_token is not None:
        try:
            with ApiClient(url, tokens.session_token) as relay:
                return f"You are still user {request(relay, Me, 'GET', '/api/me').user_id}"
        except ApiError as error:
            if not error.is_refusal(401):
                raise
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
    _set_session(url, tokens, created.user_id, created.session_token)
    return f"You are user {created.user_id}"


def _use_token(url: str, token: str, tokens: RelayTokens) -> str:
    """Save a token that was created elsewhere, if it is valid."""
    with ApiClient(url, token) as relay:
        if claim(token, "type") == "hook":
            check_hook_token(relay)
            tokens.hook_token = token
            return f"You publish as user {claim(token, 'sub')}"
        user_id = request(relay, Me, "GET", "/api/me").user_id
    _set_session(url, tokens, user_id, token)
    return f"You are user {user_id}"


def _open_link(url: str, code: str, tokens: RelayTokens, *, replace: bool) -> str:
    """Open a one-time link: create a session of the link's user for this machine."""
    try:
        created = _redeem(url, tokens.session_token, code, replace)
    except ApiError as error:
        if error.code in ALREADY_SIGNED_IN:
            if not is_terminal(sys.stdin):
                raise Failed(f"{error} To open it, add --replace.", NOT_AUTHORISED) from error
            confirm(f"{error} Continue?")
            created = _redeem(url, tokens.session_token, code, True)
        elif error.is_refusal(401):
            created = _redeem(url, None, code, False)  # our session has ended
        else:
            raise
    if created.session_token is None:
        return f"You are still user {created.user_id}"
    _set_session(url, tokens, created.user_id, created.session_token)
    return f"You are user {created.user_id}"


def _redeem(url: str, session: str | None, code: str, replace: bool) -> OpenedLink:
    body = {"code": code, "replace": replace}
    with ApiClient(url, session) as relay:
        return request(relay, OpenedLink, "POST", "/api/session/link/redeem", body)


def _set_session(url: str, tokens: RelayTokens, user_id: str, session_token: str) -> None:
    """Save a session. A hook token of another user is forgotten: its stream is another one."""
    if tokens.hook_token is not None and claim(tokens.hook_token, "sub") != user_id:
        tokens.hook_token = None
    tokens.session_token = check_token(session_token, f"the answer of {url}")


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


def _save(url: str, tokens: RelayTokens) -> None:
    stored = load_credentials()
    stored.url = url
    stored.relays[url] = tokens
    store_credentials(stored)
