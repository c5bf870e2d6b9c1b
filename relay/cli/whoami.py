"""`relay whoami`: shows the user of the session, its stream and its tokens."""

import click
import msgspec

from relay.cli.api_calls import open_api
from relay.cli.options import relay_options
from relay.cli.table import table
from relay.cli.token import COLUMNS, row


@click.command("whoami")
@click.option("--json", "as_json", is_flag=True, help="Print Relay's answer as JSON.")
@relay_options
def command(as_json: bool, url: str | None, token: str | None) -> None:
    """Show your user at a Relay, the cursor of your stream and your active tokens.

    \b
    Examples:
      relay whoami
      relay whoami --json | jq -r .user_id
    """
    with open_api(url, token) as (relay, found):
        me = relay.call("GET", "/api/me")
    if as_json:
        click.echo(msgspec.json.encode(me))
        return
    for name, value in (
        ("relay", found.url),
        ("user", me["user_id"]),
        ("created", me["created_at"]),
        ("cursor", me["cursor"]),
        ("watching now", str(me["connections"])),
        ("tokens", str(len(me["tokens"]))),
    ):
        click.echo(f"{name:14}{value}")
    if me["tokens"]:
        click.echo("")
        for line in table(COLUMNS, [row(one) for one in me["tokens"]]):
            click.echo(line)
