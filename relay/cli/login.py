"""`relay login`: become somebody at a Relay, or who one already is elsewhere."""

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

HERE = "http://127.0.0.1:8000"  # where `relay serve` listens unless told otherwise
MARK = "#link="


@click.command("login")
@click.argument("address", required=False, metavar="[URL | LINK]", shell_complete=known_relays)
@click.option("--link", is_flag=True, help="Show a link and QR code for a second device, and end.")
@click.option("--with-token", is_flag=True, help="Read a token, or a link, from stdin.")
@click.option("--replace", is_flag=True, help="Open the link though you are somebody else here.")
def command(address: str | None, link: bool, with_token: bool, replace: bool) -> None:
    """Become somebody at a Relay, and keep the credentials for the other commands.

    Without URL: RELAY_URL, the Relay of the last login, or http://127.0.0.1:8000.

    \b
    Examples:
      relay login https://relay.example.com
      relay login --link                      open the same stream on your phone
      relay login 'https://relay.example.com/#link=…'  or in another terminal
      relay login https://relay.example.com --with-token < session.txt
    """
    if link:
        if address is not None or with_token or replace:
            raise click.UsageError("--link goes alone: it is about who you are already")
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
    click.echo(f"The credentials are in {credentials_path()}, for you alone.")
    click.echo("\n  relay run -- make test    show a command to yourself")
    click.echo("  relay tail                watch your stream here")
    if known.session_token is not None and sys.stdout.isatty():
        click.echo("\nTo watch in a browser or on your phone:\n")
        with told(), Asking(url, known.session_token) as relay:
            show_link(relay)


def _entered(url: str, known: Known) -> str:
    """Stay who we are there, or become somebody new."""
    if known.session_token is not None:
        try:
            with Asking(url, known.session_token) as relay:
                return f"You are still user {relay.ask('GET', '/api/me')['user_id']}"
        except Refused as error:
            if error.status != 401:
                raise
        click.echo("Your session there has ended; you become somebody new.", err=True)
    with Asking(url) as relay:
        try:
            made = relay.ask("POST", "/api/user")
        except Refused as error:
            if error.code != "signup_closed":
                raise
            raise Failed(
                f"{error} With the session they give you: relay login {url} --with-token",
                NOT_AUTHORISED,
            ) from error
    _become(known, made)
    return f"You are user {made['user_id']}"


def _adopted(url: str, token: str, known: Known) -> str:
    """Use a token that was made elsewhere, if it counts there."""
    with Asking(url, token) as relay:
        if claim(token, "type") == "hook":
            _check_hook_token(relay)
            known.hook_token = token
            return f"You publish as user {claim(token, 'sub')}"
        user_id = relay.ask("GET", "/api/me")["user_id"]
    _become(known, {"user_id": user_id, "session_token": token})
    return f"You are user {user_id}"


def _redeemed(url: str, code: str, known: Known, *, replace: bool) -> str:
    """Open a one-time link: a session of our own, of whoever showed it."""
    try:
        made = _redeem(url, known.session_token, code, replace)
    except Refused as error:
        if error.code == "already_somebody":
            if not sys.stdin.isatty():
                raise Failed(f"{error} To do so: --replace", NOT_AUTHORISED) from error
            click.confirm(f"{error} Go on?", abort=True)
            made = _redeem(url, known.session_token, code, True)
        elif error.status == 401:
            made = _redeem(url, None, code, False)  # who we were has ended
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
    """A hook token of somebody else's would publish to a stream we do not watch."""
    if known.hook_token is not None and claim(known.hook_token, "sub") != made["user_id"]:
        known.hook_token = None
    known.session_token = made["session_token"]


def _may_publish(url: str, hook_token: str | None) -> bool:
    """Whether this machine's hook token still counts: one that was revoked is replaced."""
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
        if error.code != "insufficient_scope":  # it may publish only: it counts
            raise


def _give_hook_token(url: str, known: Known) -> None:
    """What `relay run` and `relay send` publish with from this machine."""
    with Asking(url, known.session_token) as relay:
        taken = {one["name"] for one in relay.ask("GET", "/api/me")["tokens"]}
        name = _free(f"relay on {socket.gethostname()}", taken)
        known.hook_token = relay.ask("POST", "/api/token", {"name": name})["token"]


def _free(name: str, taken: set[str]) -> str:
    """The name, numbered where another token has it: a name must say which is meant."""
    numbered = (f"{name[:90]} ({number})" for number in itertools.count(2))
    return next(one for one in itertools.chain((name[:100],), numbered) if one not in taken)


def _keep(url: str, known: Known) -> None:
    kept = load_credentials()
    kept.url = url
    kept.relays[url] = known
    save(kept)
