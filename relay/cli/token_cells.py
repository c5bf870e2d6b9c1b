"""A token as a row of text."""

from relay.cli.api_answers import TokenRow
from relay.cli.identity import permission
from relay.cli.times import minute_text

COLUMNS = ("NAME", "PERMISSION", "CREATED", "LAST USED", "EXPIRES", "TOKEN_ID")


def token_cells(token: TokenRow) -> tuple[str, ...]:
    """A token as a row of the list. Times are in UTC, to the minute."""
    return (
        token.name or "-",
        permission(token.scopes),
        minute_text(token.created_at),
        minute_text(token.last_used_at) if token.last_used_at else "never",
        minute_text(token.expires_at),
        token.token_id,
    )
