"""`relay logout`: end the session and forget the credentials."""

import click

from relay.cli.asked import save, told
from relay.cli.completing import known_relays
from relay.client.asking import Asking, Refused
from relay.client.credentials import clean_url, load_credentials


@click.command("logout")
@click.argument("address", required=False, metavar="[URL]", shell_complete=known_relays)
@click.option("--others", is_flag=True, help="End all other sessions instead.")
def command(address: str | None, others: bool) -> None:
    """End your session at a Relay, revoke this machine's token, and forget both.

    When the last session of a stream has ended, the stream is lost for good.

    \b
    Examples:
      relay logout
      relay logout --others       after you lost a device: end all sessions but this one
    """
    with told():
        kept = load_credentials()
        url = clean_url(address) if address else kept.url
        known = kept.relays.get(url or "")
        if url is None or known is None:
            click.echo("You are not signed in there.", err=True)
            return
        with Asking(url, known.session_token) as relay:
            if others:
                ended = relay.ask("DELETE", "/api/session/others")["ended"]
                click.echo(f"{ended} other {'session' if ended == 1 else 'sessions'} ended.")
                return
            try:
                if known.session_token is not None:
                    if known.hook_token is not None:
                        _revoke(relay, known.hook_token)
                    relay.ask("DELETE", "/api/session")
            except Refused as error:
                if error.status != 401:  # it had ended already
                    raise
        del kept.relays[url]
        kept.url = None if kept.url == url else kept.url
        save(kept)
    click.echo(f"You are signed out of {url}.")


def _revoke(relay: Asking, hook_token: str) -> None:
    try:
        relay.ask("POST", "/api/token/revoke", {"token": hook_token})
    except Refused as error:
        if error.status != 404:  # another user's, saved with --with-token
            raise
