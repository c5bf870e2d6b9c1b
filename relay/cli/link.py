"""The one-time link in a terminal: as text, and as a QR code to point a phone at."""

import sys
from urllib.parse import urlsplit

import click
import segno

from relay.client.asking import Asking

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def show_link(relay: Asking) -> None:
    """Ask for a link and show it; the code where it is a terminal, and a phone could follow it."""
    made = relay.ask("POST", "/api/session/link")
    link = str(made["link"])
    click.echo(link)
    here_only = urlsplit(link).hostname in LOOPBACK
    if sys.stdout.isatty() and not here_only:
        click.echo("")
        segno.make(link, micro=False).terminal(compact=True, border=2)
    minutes = round(made["expires_in"] / 60)
    click.echo(f"Good for {minutes} minutes and one use.", err=True)
    click.echo("Who opens it sees your stream and speaks for you.", err=True)
    if here_only:
        click.echo("It leads to this machine: a phone needs a Relay with a BASE_URL.", err=True)
