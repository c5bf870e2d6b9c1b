"""`relay logout`: end the session and forget the credentials."""

import click

from relay.cli.api_answers import Done, EndedSessions, request
from relay.cli.api_calls import report_refusals, store_credentials
from relay.cli.completion import known_relays
from relay.cli.output import note, show
from relay.client.api_client import ApiClient, ApiError
from relay.client.credentials import load_credentials, normalize_url


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
    with report_refusals():
        stored = load_credentials()
        url = normalize_url(address) if address else stored.url
        tokens = stored.relays.get(url or "")
        if url is None or tokens is None:
            note("You are not signed in there.")
            return
        with ApiClient(url, tokens.session_token) as relay:
            if others:
                ended = request(relay, EndedSessions, "DELETE", "/api/session/others").ended
                show(f"{ended} other {'session' if ended == 1 else 'sessions'} ended.")
                return
            try:
                if tokens.session_token is not None:
                    if tokens.hook_token is not None:
                        _revoke(relay, tokens.hook_token)
                    relay.call("DELETE", "/api/session")
            except ApiError as error:
                if not error.is_refusal(401):  # it had ended already
                    raise
        del stored.relays[url]
        stored.url = None if stored.url == url else stored.url
        store_credentials(stored)
    show(f"You are signed out of {url}.")


def _revoke(relay: ApiClient, hook_token: str) -> None:
    try:
        request(relay, Done, "POST", "/api/token/revoke", {"token": hook_token})
    except ApiError as error:
        if not error.is_refusal(404):  # another user's, saved with --with-token
            raise
