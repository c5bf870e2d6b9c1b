"""`relay login`: create a stream at a Relay, or connect to an existing one."""

import itertools
import os
import socket
import sys
from typing import Any

import click

from relay.cli.asked import asking, save, told
from relay.cli.completing import known_relays
from relay.cli.exits import NOT_AUTHORISED, Failed
from relay.cli.link import show_link
from relay.client.asking import Asking, Refused
from relay.client.credentials import (
    Known,
    claim,
    clean_url,
    credentials_path,
    load_credentials,
)

HERE = "http://127.0.0.1:8000"  # that of `relay serve`
MARK = "#link="
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
        with asking(None, None) as (relay, _):
            show_link(relay)
        return
    with told():
        given = sys.stdin.readline().strip() if with_token else ""
        if MARK in given:
            address, given = given, ""
        base, _, code = (address or "").partition(MARK)
        kept = load_credentials()
        url = clean_url(base or os.environ.get("RELAY_URL") or kept.url or HERE)
        known = kept.relays.get(url, Known())
        if given:
            news = _adopted(url, given, known)
        elif with_token and not code:
            raise Failed("there is no token on stdin", NOT_AUTHORISED)
        elif code:
            news = _redeemed(url, code, known, replace=replace)
        else:
            news = _entered(url, known)
        _keep(url, known)
        if known.session_token is not None and not _may_publish(url, known.hook_token):
            _give_hook_token(url, known)
            _keep(url, known)
    click.echo(f"{news} at {url}.")
    click.echo(f"The credentials are in {credentials_path()}, readable only by you.")
    click.echo("\n  relay run -- make test    run a command and watch it")
    click.echo("  relay tail                watch your stream here")
    if known.session_token is not None and sys.stdout.isatty():
        click.echo("\nTo watch in a browser or on your phone:\n")
        with told(), Asking(url, known.session_token) as relay:
            show_link(relay)


def _entered(url: str, known: Known) -> str:
    """Check the session that is known, or create a user if there is none."""
    if known.session_token is not None:
        try:
            with Asking(url, known.session_token) as relay:
                return f"You are still user {relay.ask('GET', '/api/me')['user_id']}"
        except Refused as error:
            if error.status != 401:
                raise
        click.echo("Your session there has ended. A new user is created.", err=True)
    with Asking(url) as relay:
        try:
            made = relay.ask("POST", "/api/user")
        except Refused as error:
            if error.code != "signup_closed":
                raise
            raise Failed(
                f"{error} With a session token: relay login {url} --with-token",
                NOT_AUTHORISED,
            ) from error
    _become(known, made)
    return f"You are user {made['user_id']}"


def _adopted(url: str, token: str, known: Known) -> str:
    """Save a token that was created elsewhere, if it is valid."""
    with Asking(url, token) as relay:
        if claim(token, "type") == "hook":
            _check_hook_token(relay)
            known.hook_token = token
            return f"You publish as user {claim(token, 'sub')}"
        user_id = relay.ask("GET", "/api/me")["user_id"]
    _become(known, {"user_id": user_id, "session_token": token})
    return f"You are user {user_id}"


def _redeemed(url: str, code: str, known: Known, *, replace: bool) -> str:
    """Open a one-time link: create a session of the link's user for this machine."""
    try:
        made = _redeem(url, known.session_token, code, replace)
    except Refused as error:
        if error.code in ALREADY_SIGNED_IN:
            if not sys.stdin.isatty():
                raise Failed(f"{error} To open it, add --replace.", NOT_AUTHORISED) from error
            click.confirm(f"{error} Continue?", abort=True)
            made = _redeem(url, known.session_token, code, True)
        elif error.status == 401:
            made = _redeem(url, None, code, False)  # our session has ended
        else:
            raise
    if "session_token" not in made:
        return f"You are still user {made['user_id']}"
    _become(known, made)
    return f"You are user {made['user_id']}"


def _redeem(url: str, session: str | None, code: str, replace: bool) -> dict[str, Any]:
    with Asking(url, session) as relay:
        return relay.ask("POST", "/api/session/link/redeem", {"code": code, "replace": replace})


def _become(known: Known, made: dict[str, Any]) -> None:
    """Save a session. A hook token of another user is forgotten: its stream is another one."""
    if known.hook_token is not None and claim(known.hook_token, "sub") != made["user_id"]:
        known.hook_token = None
    known.session_token = made["session_token"]


def _may_publish(url: str, hook_token: str | None) -> bool:
    """Whether this machine's hook token is still valid."""
    if hook_token is None:
        return False
    try:
        with Asking(url, hook_token) as relay:
            _check_hook_token(relay)
    except Refused as error:
        if error.status != 401:
            raise
        return False
    return True


def _check_hook_token(relay: Asking) -> None:
    try:
        relay.ask("GET", "/api/events?last=1")
    except Refused as error:
        if error.code != "insufficient_scope":  # it is valid, but can only publish
            raise


def _give_hook_token(url: str, known: Known) -> None:
    """Create the hook token with which `relay run` and `relay send` publish."""
    with Asking(url, known.session_token) as relay:
        taken = {one["name"] for one in relay.ask("GET", "/api/me")["tokens"]}
        name = _free(f"relay on {socket.gethostname()}", taken)
        known.hook_token = relay.ask("POST", "/api/token", {"name": name})["token"]


def _free(name: str, taken: set[str]) -> str:
    """The name, with a number if another token has it: names identify tokens."""
    numbered = (f"{name[:90]} ({number})" for number in itertools.count(2))
    return next(one for one in itertools.chain((name[:100],), numbered) if one not in taken)


def _keep(url: str, known: Known) -> None:
    kept = load_credentials()
    kept.url = url
    kept.relays[url] = known
    save(kept)
