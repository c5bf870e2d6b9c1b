"""Channels: what happens to a task reaches a receiver, and a person sees what became of it."""

from typing import Any

import httpx
import pytest
import trio
from standardwebhooks import Webhook

from relay.db.pool import open_database
from tests.support.asks import CHOICE, answered, asked
from tests.support.channels import add_webhook, eventually_failed, outcomes, pass_time_at
from tests.support.databases import statement
from tests.support.patience import LOOK_EVERY, PATIENCE
from tests.support.problems import check
from tests.support.receivers import receiver, reply
from tests.support.relay_server import Relay, User, bearer, running_relay


async def channel_of(user: User) -> dict[str, Any]:
    found: list[dict[str, Any]] = (await user.call("GET", "/api/channels")).json()["channels"]
    return found[0]


async def test_the_end_of_a_task_reaches_a_webhook_that_can_check_it(relay: Relay) -> None:
    user = await relay.user()
    async with receiver() as there:
        channel = await add_webhook(user, there)
        await user.posted(event_type="task_started", task_id="a/b", payload={"title": "make test"})
        await user.posted(task_id="a/b", payload={"message": "12 of 30"})
        await user.posted(
            event_type="task_failed", task_id="a/b", payload={"exit_code": 2, "duration_s": 7}
        )
        (post,) = await there.has(1)
        sent = Webhook(channel["signing_secret"]).verify(post.body, dict(post.headers))
        assert (sent["type"], sent["data"]) == (
            "task.failed",
            {
                **{"task_id": "a/b", "run": 1, "state": "failed", "title": "make test"},
                **{"message": "12 of 30", "url": f"{relay.url}/#task=a%2Fb"},
                **{"exit_code": 2, "duration_s": 7.0},
            },
        )
        (done,) = await outcomes(user, channel, "delivered")
        assert (done["notification_id"], done["type"]) == (post.id, "task.failed")
        assert (done["attempts"], done["status"], done["error"]) == (1, 204, None)
        view = await channel_of(user)
        assert view["delivered_at"] == done["ended_at"]
        assert (view["waiting"], view["last_error"], view["ended_at"]) == (0, None, None)


async def test_a_channel_gets_what_its_rules_name(relay: Relay) -> None:
    user = await relay.user()
    async with receiver() as there:
        usual = await add_webhook(user, there)
        await add_webhook(user, there, on=["canceled"], message=False)
        view = (await user.call("GET", "/api/channels")).json()["channels"][0]
        assert (view["on"], view["min_duration_s"]) == (
            ["failed", "lost", "waiting", "succeeded"],
            120.0,
        )
        ends: list[tuple[str, str, dict[str, Any]]] = [
            ("quick", "succeeded", {"duration_s": 119}),
            ("long", "succeeded", {"duration_s": 121}),
            ("stopped", "failed", {"canceled": True, "message": "by hand"}),
            ("broken", "failed", {"message": "no space"}),
        ]
        for task_id, end, payload in ends:
            await user.posted(event_type=f"task_{end}", task_id=task_id, payload=payload)
        posts = await there.has(3)
        found = {post.json["data"]["task_id"]: post.json for post in posts}
        assert {task_id: body["type"] for task_id, body in found.items()} == {
            **{"long": "task.succeeded", "broken": "task.failed", "stopped": "task.canceled"}
        }
        assert found["broken"]["data"]["message"] == "no space"
        assert found["stopped"]["data"]["message"] is None
        await outcomes(user, usual, "delivered", "delivered")


async def test_a_question_reaches_a_channel_with_a_task_and_without_one(relay: Relay) -> None:
    user = await relay.user()
    async with receiver() as there:
        await add_webhook(user, there)
        await user.posted(event_type="task_started", task_id="build", payload={"title": "t"})
        first = await asked(user, task_id="build", event_id="once")
        await user.relay.http.post(
            "/api/asks",
            json={**CHOICE, "task_id": "build", "event_id": "once"},
            headers=bearer(await user.hook()),
        )
        (post,) = await there.has(1)
        second = await asked(user)
        posts = await there.has(2)
        assert [post.json["type"] for post in posts] == ["task.waiting"] * 2
        of_task, without = (post.json["data"] for post in posts)
        assert (of_task["ask_id"], of_task["task_id"]) == (first["ask_id"], "build")
        assert (of_task["run"], of_task["title"], of_task["state"]) == (1, "t", "waiting")
        assert (of_task["question"], of_task["options"]) == (CHOICE["question"], ["yes", "no"])
        assert (without["ask_id"], without["task_id"]) == (second["ask_id"], None)
        assert without["url"] == f"{relay.url}/"
        assert post.id != posts[1].id


async def test_a_question_that_was_answered_meanwhile_is_not_sent(
    database_url: str, long_pause: float
) -> None:
    async with running_relay(database_url) as relay, receiver() as there:
        user = await relay.user()
        channel = await add_webhook(user, there)
        there.script.append(reply(503))
        ask = await asked(user)
        await there.has(1)
        await answered(user, ask["ask_id"], "yes")
        await eventually_failed(user, channel)
        await pass_time_at(database_url, long_pause)
        (found,) = await outcomes(user, channel, "outdated")
        assert (found["attempts"], len(there.posts)) == (2, 1)


async def test_a_lost_task_reaches_a_channel(database_url: str) -> None:
    async with running_relay(database_url) as relay, receiver() as there:
        user = await relay.user()
        await add_webhook(user, there)
        await user.posted(event_type="task_started", task_id="t", payload={"lease_s": 10})
        await user.call("GET", "/api/tasks")
        for earlier in ("tasks SET last_at = last_at", "notified_users SET since = since"):
            await statement(database_url, f"UPDATE {earlier} - interval '1 minute'")
        (post,) = await there.has(1)
        assert (post.json["type"], post.json["data"]["task_id"]) == ("task.lost", "t")


async def test_nothing_is_sent_while_a_page_is_looked_at(relay: Relay) -> None:
    user = await relay.user()
    async with receiver() as there:
        quiet = await add_webhook(user, there, unless_watched=True)
        looked_at = await user.call("POST", "/api/visible", json={"visible": True, "for_s": 60})
        assert looked_at.status_code == 204
        async with user.websocket():  # a stream that an agent reads is no page
            await user.posted(event_type="task_failed", task_id="seen")
            await outcomes(user, quiet, "watched")
            await user.call("POST", "/api/visible", json={"visible": False})
            await user.posted(event_type="task_failed", task_id="unseen")
            (post,) = await there.has(1)
            assert post.json["data"]["task_id"] == "unseen"


async def test_a_test_is_sent_whatever_the_rules_are(relay: Relay) -> None:
    user = await relay.user()
    async with receiver() as there:
        channel = await add_webhook(user, there, on=["lost"])
        path = f"/api/channels/{channel['channel_id']}/test"
        sent = await user.call("POST", path)
        assert sent.status_code == 202
        (post,) = await there.has(1)
        assert (post.json["type"], post.json["data"]["task_id"]) == ("channel.test", None)
        assert post.id == sent.json()["notification_id"]
        await outcomes(user, channel, "delivered")
        there.always = reply(410)
        await user.call("POST", path)
        (_, ended) = await outcomes(user, channel, "delivered", "failed")
        assert ended["status"] == 410
        assert (await channel_of(user))["ended_at"] is not None
        check(await user.call("POST", path), 409, "channel_blocked")


async def test_secrets_are_shown_once_and_to_their_user_alone(relay: Relay) -> None:
    user, other = await relay.user(), await relay.user()
    async with receiver() as there:
        channel = await add_webhook(user, there)
        assert channel["signing_secret"].startswith("whsec_")
        listed = (await user.call("GET", "/api/channels")).text
        export = (await user.call("GET", "/api/export")).text
        for text in (listed, export):
            assert channel["channel_id"] in text
            assert channel["signing_secret"].removeprefix("whsec_") not in text
            assert "/hook" not in text
        assert (await channel_of(user))["shown"] == {"url": f"http://127.0.0.1:{there.port}/…hook"}
        assert (await other.call("GET", "/api/channels")).json()["channels"] == []
        path = f"/api/channels/{channel['channel_id']}"
        for method, rest in (("DELETE", ""), ("POST", "/test"), ("GET", "/deliveries")):
            check(await other.call(method, path + rest), 404, "not_found")
            hook = bearer(await user.hook())
            refused = await relay.http.request(method, path + rest, headers=hook)
            check(refused, 403, "insufficient_scope")
        assert (await user.call("DELETE", path)).status_code == 204
        check(await user.call("DELETE", path), 404, "not_found")
        check(await user.call("DELETE", "/api/channels/nonsense"), 404, "not_found")


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"kind": "pigeon"}, "kind"),
        ({"kind": "webhook"}, "url"),
        ({"kind": "webhook", "url": "https://user:word@example.com/"}, "url"),
        ({"kind": "webhook", "url": "https://example.com/", "on": []}, "on"),
        ({"kind": "webhook", "url": "https://example.com/", "on": ["started"]}, "on[0]"),
        (
            {"kind": "webhook", "url": "https://example.com/", "min_duration_s": -1},
            "min_duration_s",
        ),
        ({"kind": "webhook", "url": "https://example.com/", "secret": "s"}, "secret"),
    ],
)
async def test_a_wrong_channel_is_refused_with_its_field(
    relay: Relay, fields: dict[str, Any], where: str
) -> None:
    user = await relay.user()
    refused = await user.call("POST", "/api/channels", json=fields)
    assert check(refused, 422, "invalid")["errors"][0]["where"] == where


async def test_private_addresses_are_refused_where_the_operator_has_not_lifted_them(
    database_url: str,
) -> None:
    async with running_relay(database_url, RELAY_OUTBOUND_PRIVATE="off") as relay:
        user = await relay.user()

        async def add(url: str) -> httpx.Response:
            return await user.call("POST", "/api/channels", json={"kind": "webhook", "url": url})

        for url in ("https://127.0.0.1/", "https://[::1]/", "https://169.254.169.254/"):
            check(await add(url), 422, "invalid")
        check(await add("http://example.com/"), 422, "invalid")
        added = await add("https://localtest.invalid/")
        channel = added.json()
        await user.call("POST", f"/api/channels/{channel['channel_id']}/test")
        found = await eventually_failed(user, channel)
        assert (found["outcome"], found["status"]) == ("waiting", None)
        assert "the host is not known" in found["error"]
        assert found["next_attempt_at"] is not None


async def test_what_is_done_with_channels_is_in_the_audit_log(relay: Relay) -> None:
    user = await relay.user()
    async with receiver() as there:
        channel = await add_webhook(user, there)
        path = f"/api/channels/{channel['channel_id']}"
        await user.call("POST", f"{path}/test")
        await there.has(1)
        await user.call("DELETE", path)
        lines = (await user.call("GET", "/api/export")).text.splitlines()
        for action in ("channel_added", "channel_tested", "channel_removed"):
            assert sum(f'"action":"{action}"' in line for line in lines) == 1


async def test_a_deleted_user_is_sent_nothing_and_leaves_nothing(
    database_url: str, long_pause: float
) -> None:
    async with running_relay(database_url) as relay, receiver() as there:
        user = await relay.user()
        await add_webhook(user, there)
        there.always = reply(503)
        await user.posted(event_type="task_failed", task_id="t")
        await there.has(1)
        ended = await user.call("DELETE", "/api/user", json={"confirm": user.user_id})
        assert ended.status_code == 204
        await pass_time_at(database_url, long_pause)
        with trio.fail_after(PATIENCE):
            while await left_of_users(database_url):  # noqa: ASYNC110 - rows set no Event
                await trio.sleep(LOOK_EVERY)
        assert len(there.posts) == 1


async def left_of_users(database_url: str) -> int:
    async with open_database(database_url, connections=2, timeout=PATIENCE) as database:
        tables = ("channels", "notifications", "deliveries", "notified_users")
        counts = [await database.fetchval(f"SELECT count(*) FROM {name}") for name in tables]
        return sum(counts)


async def test_what_is_over_the_rate_waits_for_its_turn(database_url: str) -> None:
    limits = {"RELAY_RATE_LIMITS": "on", "RELAY_RATE_CHANNEL": "1/h"}
    async with running_relay(database_url, **limits) as relay, receiver() as there:
        user = await relay.user()
        channel = await add_webhook(user, there)
        for task_id in ("first", "second"):
            await user.posted(event_type="task_failed", task_id=task_id)
        _, waiting = await outcomes(user, channel, "delivered", "waiting")
        assert (waiting["task_id"], waiting["attempts"]) == ("second", 0)
        await pass_time_at(database_url, 3_600)
        await outcomes(user, channel, "delivered", "delivered")


async def test_metrics_tell_what_became_of_notifications(relay: Relay) -> None:
    user = await relay.user()
    async with receiver() as there:
        channel = await add_webhook(user, there)
        await user.posted(event_type="task_failed", task_id="t")
        await outcomes(user, channel, "delivered")
        text = (await relay.http.get("/metrics")).text
        assert 'relay_notifications_total{kind="webhook",outcome="delivered"}' in text
        assert "relay_notification_delay_seconds_bucket" in text
        assert "relay_notifications_waiting" in text
