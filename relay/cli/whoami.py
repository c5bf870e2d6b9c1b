"""`relay whoami`: shows the credential in use, its user, and with a session the user's tokens."""

import click

from relay.cli.api_answers import Me, read_answer
from relay.cli.api_calls import any_credentials
from relay.cli.identity import (
    Identity,
    check_hook_token,
    identity_of,
    note_other_publisher,
    note_unused_login,
)
from relay.cli.options import relay_options
from relay.cli.output import show, show_json
from relay.cli.table import table
from relay.cli.token_cells import COLUMNS, token_cells
from relay.client.api_client import ApiClient
from relay.client.credentials import Credentials


@click.command("whoami")
@click.option("--json", "as_json", is_flag=True, help="Print Relay's answer as JSON.")
@relay_options
def command(as_json: bool, url: str | None, token: str | None) -> None:
    """Show which credential is in use, where it is from, and the user whose stream it opens.

    With a session it also shows the stream's cursor and the active tokens.

    \b
    Examples:
      relay whoami
      relay whoami --json | jq -r .user_id
      RELAY_TOKEN=eyJ… relay whoami      check a token
    """
    with any_credentials(url, token) as found:
        identity = identity_of(found.token)
        with ApiClient(found.url, found.token) as relay:
            if identity.is_hook_token:
                check_hook_token(relay)
                answer, me = None, None
            else:
                answer = relay.call("GET", "/api/me")
                me = read_answer(relay, answer, Me)
        if as_json:
            show_json(identity if answer is None else answer)
        else:
            _show(found, identity, me)
        if me is not None and found.source not in ("--token", "RELAY_TOKEN"):
            note_other_publisher(found.url, identity.user_id)
        note_unused_login(found, identity.user_id)


def _show(found: Credentials, identity: Identity, me: Me | None) -> None:
    lines: dict[str, object] = {
        "relay": found.url,
        "user": identity.user_id if me is None else me.user_id,
        "credential": identity.kind,
        "from": found.source,
    }
    if me is None:
        lines |= {"token_id": identity.token_id, "expires": identity.expires_at}
    else:
        lines |= {
            "created": me.created_at,
            "cursor": me.cursor,
            "watching now": me.connections,
            "tokens": len(me.tokens),
        }
    for name, value in lines.items():
        show(f"{name:14}{value}")
    if me is not None and me.tokens:
        show()
        for line in table(COLUMNS, [token_cells(one) for one in me.tokens]):
            show(line)
