"""Tests that a user sends to a channel, and what became of them."""

from typing import Any

import trio

from tests.support.patience import LOOK_EVERY, PATIENCE
from tests.support.relay_server import User


async def outcome_of_test(user: User, channel_id: str) -> dict[str, Any]:
    """The delivery of a test, once its first attempt is over."""
    path = f"/api/channels/{channel_id}"
    sent = await user.call("POST", f"{path}/test")
    assert sent.status_code == 202, sent.text
    wanted = sent.json()["notification_id"]
    with trio.fail_after(PATIENCE):
        while True:
            listed = (await user.call("GET", f"{path}/deliveries")).json()["deliveries"]
            for found in listed:
                if found["notification_id"] == wanted and (
                    found["outcome"] != "waiting" or found["error"] is not None
                ):
                    delivery: dict[str, Any] = found
                    return delivery
            await trio.sleep(LOOK_EVERY)
