"""`relay token`: creates, lists and revokes hook tokens."""

from typing import Any
from uuid import UUID

import click

from relay.cli.api_answers import CreatedToken, Done, Me, read_answer, request
from relay.cli.api_calls import open_api
from relay.cli.durations import Duration
from relay.cli.exit_codes import Failed
from relay.cli.identity import permission
from relay.cli.options import relay_options
from relay.cli.output import note, show, show_json
from relay.cli.table import table
from relay.cli.token_cells import COLUMNS, token_cells
from relay.client.api_client import ApiClient

MAX_LIFETIME_DAYS = 400  # Relay's limit of a token's lifetime


@click.group("token")
def command() -> None:
    """Create, list and revoke tokens. Use one for each place that publishes or watches."""


@command.command("create")
@click.option("--name", metavar="NAME", help="Name to recognise it by.")
@click.option(
    "--expires",
    type=Duration(most=f"{MAX_LIFETIME_DAYS}d"),
    metavar="90d",
    help=f"Lifetime, such as 90d or 12h [90d, at most {MAX_LIFETIME_DAYS}d].",
)
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(["webhook", "publish", "watch"]),
    help="Permission [webhook: publish and watch]. May be given twice.",
)
@click.option("--signed", is_flag=True, help="Require signed requests (Standard Webhooks).")
@click.option("--json", "as_json", is_flag=True, help="Print Relay's answer as JSON.")
@relay_options
def create(
    name: str | None,
    expires: int | None,
    scopes: tuple[str, ...],
    signed: bool,
    as_json: bool,
    url: str | None,
    token: str | None,
) -> None:
    """Create a token that can publish, watch or both. It is printed once, alone on stdout.

    \b
    Examples:
      relay token create --name laptop
      relay token create --name ci --scope publish --expires 30d
      gh secret set RELAY_TOKEN --body "$(relay token create --name github)"
    """
    wanted: dict[str, Any] = {"signed": signed}
    wanted |= {} if name is None else {"name": name}
    wanted |= {} if expires is None else {"expires_in": expires}
    wanted |= {"scopes": list(scopes)} if scopes else {}
    with open_api(url, token) as (relay, found):
        answer = relay.call("POST", "/api/token", wanted)
        created = read_answer(relay, answer, CreatedToken)
    try:
        show_json(answer) if as_json else show(created.token)
    except Failed as error:  # this was the only time that it is shown
        why = f"{error.message} To revoke the token: relay token revoke {created.token_id}"
        raise Failed(why) from error
    if as_json:
        return
    permissions = permission(created.scopes)
    note(f"Token {created.token_id} can {permissions} at {found.url}.")
    note("It is not shown again.")
    if signed:
        note(f"Signing secret: {created.signing_secret}")


@command.command("list", short_help="List the active tokens.")
@click.option("--json", "as_json", is_flag=True, help="Print Relay's answer as JSON.")
@relay_options
def list_tokens(as_json: bool, url: str | None, token: str | None) -> None:
    """List the active tokens, the newest first. The secret values are not shown.

    \b
    Examples:
      relay token list
      relay token list --json | jq -r '.[] | select(.last_used_at == null) | .token_id'
    """
    with open_api(url, token) as (relay, _):
        answer = relay.call("GET", "/api/me")
        me = read_answer(relay, answer, Me)
    if as_json:
        show_json(answer["tokens"])
    elif me.tokens:
        for line in table(COLUMNS, [token_cells(one) for one in me.tokens]):
            show(line)
    else:
        note("No tokens yet. Create one: relay token create --name laptop")


@command.command("revoke", short_help="Revoke tokens.")
@click.argument("tokens", nargs=-1, required=True, metavar="NAME_OR_ID...")
@relay_options
def revoke(tokens: tuple[str, ...], url: str | None, token: str | None) -> None:
    """Revoke tokens. They stop working at once, and streams opened with them are closed.

    \b
    Examples:
      relay token revoke laptop
      relay token revoke 5f0c8a8e-1d37-4c52-b7a4-2f6f1be0a913
    """
    with open_api(url, token) as (relay, _):
        ids = [_find_id(relay, name_or_id) for name_or_id in tokens]
        for name_or_id, token_id in zip(tokens, ids, strict=True):
            request(relay, Done, "POST", "/api/token/revoke", {"token_id": token_id})
            note(f"{name_or_id} is revoked.")


def _find_id(relay: ApiClient, name_or_id: str) -> str:
    """The id of the token with this id or name. Raises ClickException if the name is not unique."""
    try:
        return str(UUID(name_or_id))
    except ValueError:
        tokens = request(relay, Me, "GET", "/api/me").tokens
    ids = [one.token_id for one in tokens if one.name == name_or_id]
    if len(ids) == 1:
        return ids[0]
    if ids:
        raise click.ClickException(
            f"{len(ids)} tokens are named {name_or_id!r}; use the id instead"
        )
    raise click.ClickException(f"no active token is named {name_or_id!r}")
