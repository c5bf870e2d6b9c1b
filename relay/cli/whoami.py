"""`relay whoami`: which user a session is of, and what they have."""

import click
import msgspec

from relay.cli.asked import asking
from relay.cli.options import relay_options
from relay.cli.table import table
from relay.cli.token import HEADS, row


@click.command("whoami")
@click.option("--json", "as_json", is_flag=True, help="As Relay answers it.")
@relay_options
def command(as_json: bool, url: str | None, token: str | None) -> None:
    """Show who you are at a Relay: the user, the end of the stream, the active tokens.

    \b
    Examples:
      relay whoami
      relay whoami --json | jq -r .user_id
    """
    with asking(url, token) as (relay, found):
        me = relay.ask("GET", "/api/me")
    if as_json:
        click.echo(msgspec.json.encode(me))
        return
    for name, value in (
        ("relay", found.url),
        ("user", me["user_id"]),
        ("since", me["created_at"]),
        ("cursor", me["cursor"]),
        ("watching now", str(me["connections"])),
        ("tokens", str(len(me["tokens"]))),
    ):
        click.echo(f"{name:14}{value}")
    if me["tokens"]:
        click.echo("")
        for line in table(HEADS, [row(one) for one in me["tokens"]]):
            click.echo(line)
