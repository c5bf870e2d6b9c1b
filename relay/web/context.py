"""What a handler reaches through the current application."""

from typing import cast

from quart import current_app

from relay.services import Services

EXTENSION = "relay"  # where the services stand in `app.extensions`


def services() -> Services:
    """The services of the app that handles the current request."""
    return cast("Services", current_app.extensions[EXTENSION])
