"""`relay logout`: end the session and forget the credentials."""

import click

from relay.cli.api_answers import Done, EndedSessions, request
from relay.cli.api_calls import report_refusals, store_credentials
from relay.cli.completion import known_relays
from relay.cli.output import note, show
from relay.client.api_client import ApiClient, ApiError
from relay.client.credentials import RelayTokens, claim, load_credentials, no_session, normalize_url


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
        if others:
            if tokens.session_token is None:
                raise no_session(url)
            with ApiClient(url, tokens.session_token) as relay:
                ended = request(relay, EndedSessions, "DELETE", "/api/session/others").ended
            show(f"{ended} other {'session' if ended == 1 else 'sessions'} ended.")
            return
        _revoke_hook_token(url, tokens)
        if tokens.session_token is not None:
            _end_session(url, tokens.session_token)
        del stored.relays[url]
        stored.url = None if stored.url == url else stored.url
        store_credentials(stored)
    show(f"You are signed out of {url}.")


def _revoke_hook_token(url: str, tokens: RelayTokens) -> None:
    """Revoke the hook token, by the session or, if that has ended, by itself.

    One of another user stays valid: `--with-token` saved it, and other machines may use it.
    """
    session, hook_token = tokens.session_token, tokens.hook_token
    if hook_token is None:
        return
    user_id = claim(hook_token, "sub")
    if session is not None and claim(session, "sub") != user_id:
        note(f"The token of user {user_id} stays valid: it was made elsewhere.")
        return
    for credential in filter(None, (session, hook_token)):
        try:
            with ApiClient(url, credential) as relay:
                request(relay, Done, "POST", "/api/token/revoke", {"token": hook_token})
            return
        except ApiError as error:
            if not error.is_refusal(401) and not error.is_refusal(404):
                raise
            if error.code == "bad_signature":
                note(
                    "The token stays valid until it expires: it takes signed requests alone."
                    " To revoke it before, use a session: relay token revoke."
                )


def _end_session(url: str, session_token: str) -> None:
    try:
        with ApiClient(url, session_token) as relay:
            relay.call("DELETE", "/api/session")
    except ApiError as error:
        if not error.is_refusal(401):  # it had ended already
            raise
