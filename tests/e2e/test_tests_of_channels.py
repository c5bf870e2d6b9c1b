"""Tests that a person sends to a channel are refused where a notification would wait."""

import pytest
import trio

from tests.support.bounds.callers import value
from tests.support.channels import add_webhook, outcomes, pass_time_at
from tests.support.patience import LOOK_EVERY, PATIENCE
from tests.support.problems import check
from tests.support.receivers import receiver, reply
from tests.support.relay_server import running_relay


async def test_tests_count_for_the_rate_of_their_channel(database_url: str) -> None:
    limits = {"RELAY_RATE_LIMITS": "on", "RELAY_RATE_CHANNEL": "2/h"}
    async with running_relay(database_url, **limits) as relay, receiver() as there:
        user, refusals = await relay.user(), 'relay_rate_limited_total{limit="channel"}'
        before = value(refusals)
        channel = await add_webhook(user, there)
        path = f"/api/channels/{channel['channel_id']}/test"
        await user.posted(event_type="task_failed", task_id="t")
        await there.has(1)
        assert (await user.call("POST", path)).status_code == 202
        refused = await user.call("POST", path)
        assert "More than 2/h notifications of this channel" in refused.json()["detail"]
        check(refused, 429, "rate_limited")
        assert 0 < int(refused.headers["retry-after"]) <= 1_800
        await outcomes(user, channel, "delivered", "delivered")
        await pass_time_at(database_url, 1_800)
        assert (await user.call("POST", path)).status_code == 202
        assert value(refusals) - before == 1


@pytest.mark.usefixtures("long_pause")
async def test_tests_obey_a_receiver_that_asks_to_wait_and_skip_a_pause_of_our_own(
    database_url: str,
) -> None:
    async with running_relay(database_url) as relay, receiver() as there:
        user = await relay.user()
        channel = await add_webhook(user, there)
        path = f"/api/channels/{channel['channel_id']}"
        there.script += [reply(500), reply(429, retry_after="1800")]

        async def failed(status: int) -> None:
            with trio.fail_after(PATIENCE):
                while True:
                    found = (await user.call("GET", f"{path}/deliveries")).json()["deliveries"]
                    if [one["status"] for one in found[:1]] == [status]:
                        return
                    await trio.sleep(LOOK_EVERY)

        for status in (500, 429):  # after the first the channel is paused, and asked all the same
            assert (await user.call("POST", f"{path}/test")).status_code == 202
            await failed(status)
        refused = await user.call("POST", f"{path}/test")
        check(refused, 429, "receiver_busy")
        assert 1_800 - PATIENCE < int(refused.headers["retry-after"]) <= 1_800
        assert f"try again in {refused.headers['retry-after']} s" in refused.json()["detail"]
        await pass_time_at(database_url, 1_801)
        await outcomes(user, channel, "delivered", "delivered")
        assert (await user.call("POST", f"{path}/test")).status_code == 202
