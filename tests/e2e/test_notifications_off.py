"""A Relay with `RELAY_NOTIFY=off`, as for a look at a restored backup, notifies no person."""

from structlog.testing import capture_logs

from tests.support.channels import add_webhook, outcomes
from tests.support.databases import statement
from tests.support.ports import HeldPort
from tests.support.problems import check
from tests.support.receivers import receiver
from tests.support.relay_server import User, running_relay


async def test_what_happens_while_notifications_are_off_is_sent_once_they_are_on(
    database_url: str,
) -> None:
    port = HeldPort()  # the same for both Relays, so that the session goes on
    address = {"RELAY_BIND": f"127.0.0.1:{port.number}"}
    async with receiver() as phone:
        with capture_logs() as logged:
            async with running_relay(database_url, RELAY_NOTIFY="off", **address) as relay:
                user = await relay.user()
                channel = await add_webhook(user, phone)
                started = {"event_type": "task_started", "payload": {"lease_s": 3_600}}
                await user.posted(task_id="ran-at-the-backup", **started)
                await user.posted(event_type="task_failed", task_id="failed")
                await outcomes(user, channel, "waiting")
                for earlier in ("tasks SET last_at = last_at", "notified_users SET since = since"):
                    await statement(database_url, f"UPDATE {earlier} - interval '2 hours'")
                # the second one is made later than the first one would have been sent
                waiting = await outcomes(user, channel, "waiting", "waiting")
                assert [one["type"] for one in waiting] == ["task.failed", "task.lost"]
                assert [one["attempts"] for one in waiting] == [0, 0]
                refused = await user.call("POST", f"/api/channels/{channel['channel_id']}/test")
                check(refused, 409, "channel_blocked")
                assert "RELAY_NOTIFY is off" in refused.json()["detail"]
        assert phone.posts == []
        levels = [line["log_level"] for line in logged if line["event"] == "notifications_off"]
        assert levels == ["warning"]
        async with running_relay(database_url, **address) as relay:
            same = User(relay, user.user_id, user.session)
            await outcomes(same, channel, "delivered", "delivered")
        assert {post.json["type"] for post in phone.posts} == {"task.failed", "task.lost"}
        assert len(phone.posts) == 2
