"""Shows a one-time link in a terminal, as text and as a QR code."""

import sys
from urllib.parse import urlsplit

import click
import segno

from relay.client.asking import Asking

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def show_link(relay: Asking) -> None:
    """Print a new link, and on a terminal its QR code if a phone can reach the address."""
    made = relay.ask("POST", "/api/session/link")
    link = str(made["link"])
    click.echo(link)
    here_only = urlsplit(link).hostname in LOOPBACK
    if sys.stdout.isatty() and not here_only:
        click.echo("")
        segno.make(link, micro=False).terminal(compact=True, border=2)
    minutes = round(made["expires_in"] / 60)
    click.echo(f"It works once, within {minutes} minutes.", err=True)
    click.echo("The first person to open it can see and control your stream.", err=True)
    if here_only:
        click.echo(
            "It works on this machine only."
            " For a phone, start Relay with a BASE_URL that the phone can reach.",
            err=True,
        )
