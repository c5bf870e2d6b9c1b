"""Commands that watch a user's stream."""

from pathlib import Path

import trio

from tests.support.commands import environment
from tests.support.patience import LOOK_EVERY, PATIENCE
from tests.support.relay_server import User


def as_user(user: User, home: Path, **more: str) -> dict[str, str]:
    known = {"RELAY_URL": user.relay.url, "RELAY_TOKEN": user.session, "HOME": str(home)}
    return environment(**known, XDG_CONFIG_HOME=str(home), **more)


async def watched(user: User, streams: int = 1) -> None:
    with trio.fail_after(PATIENCE):
        while True:
            if (await user.call("GET", "/api/me")).json()["connections"] == streams:
                return
            await trio.sleep(LOOK_EVERY)
