"""Web Push: from the end of a task to a device, past a push service that checks and decrypts."""

import hashlib
from typing import Any

import trio

from relay.channels.channels import MAX_CHANNELS
from tests.support.asks import asked
from tests.support.patience import LOOK_EVERY, PATIENCE
from tests.support.push_service import Device, PushService, push_device, push_new
from tests.support.relay_server import Relay, User, running_relay


async def channel(user: User) -> dict[str, Any]:
    """The only one of the user."""
    (only,) = (await user.call("GET", "/api/channels")).json()["channels"]
    found: dict[str, Any] = only
    return found


async def test_a_device_reads_what_happened_and_answers_what_is_asked(
    relay: Relay, pushing: PushService
) -> None:
    user = await relay.user()
    device, _ = await push_device(user, pushing)
    await user.posted(event_type="task_started", task_id="build-7", payload={"title": "make test"})
    end = {"exit_code": 2, "message": "3 failed \U0001f680", "duration_s": 250}
    await user.posted(event_type="task_failed", task_id="build-7", payload=end)
    message = await device.message()
    assert (message["type"], message["title"]) == ("task.failed", "make test failed")
    assert message["body"] == "Exit code 2 after 4:10\n3 failed \U0001f680"
    assert (message["task_id"], message["tag"], message["ask"]) == (
        "build-7",
        "relay build-7 1",
        None,
    )
    assert message["id"].startswith("msg_")

    ask = await asked(user, question="Deploy?", options=["yes", "no"], details=None)
    message = await device.message(2)
    assert (message["body"], message["ask"]["options"]) == ("Deploy?", ["yes", "no"])
    reply = {"answer": "yes", "question_hash": message["ask"]["question_hash"]}
    answered = await user.call("POST", f"/api/asks/{message['ask']['ask_id']}/answer", json=reply)
    assert (message["ask"]["ask_id"], answered.status_code) == (ask["ask_id"], 200)


async def test_a_subscription_that_is_gone_ends_its_channel(
    relay: Relay, pushing: PushService
) -> None:
    user = await relay.user()
    device, channel_id = await push_device(user, pushing)
    assert (await user.call("POST", f"/api/channels/{channel_id}/test")).status_code == 202
    message = await device.message()
    assert (message["type"], message["always"]) == ("channel.test", True)
    await device.expire()
    assert (await user.call("POST", f"/api/channels/{channel_id}/test")).status_code == 202
    with trio.fail_after(PATIENCE):
        while (ended := await channel(user))["ended_at"] is None:  # noqa: ASYNC110
            await trio.sleep(LOOK_EVERY)
    assert ended["last_error"] == "the receiver wants no more notifications"
    refused = await user.call("POST", f"/api/channels/{channel_id}/test")
    assert (refused.status_code, refused.json()["code"]) == (409, "channel_blocked")
    found = (await user.call("GET", f"/api/channels/{channel_id}/deliveries")).json()["deliveries"]
    assert [(one["outcome"], one["status"]) for one in found] == [
        ("failed", 410),
        ("delivered", 201),
    ]


async def test_a_list_shows_the_service_and_nothing_that_could_be_used(
    relay: Relay, pushing: PushService
) -> None:
    user = await relay.user()
    device, _ = await push_device(user, pushing, unless_watched=False)
    shown = (await channel(user))["shown"]
    assert shown.keys() == {"service", "subscription_id"}
    assert shown["service"] == "127.0.0.1"
    text = (await user.call("GET", "/api/channels")).text
    for secret in (device.endpoint, *device.subscription["keys"].values()):
        assert secret not in text


async def added(user: User, device: Device, **fields: Any) -> tuple[int, str | None]:
    """The status and the channel of a device that is added."""
    body = {"kind": "webpush", "subscription": device.subscription, **fields}
    answer = await user.call("POST", "/api/channels", json=body)
    return answer.status_code, answer.json().get("channel_id")


def subscription_id(device: Device) -> str:
    return hashlib.sha256(device.endpoint.encode()).hexdigest()


async def test_a_device_that_is_added_again_is_the_same_channel_even_at_the_bound(
    relay: Relay, pushing: PushService
) -> None:
    user = await relay.user()
    device, channel_id = await push_device(user, pushing)
    webhook = {"kind": "webhook", "url": "https://example.com/hook"}
    for _ in range(MAX_CHANNELS - 1):
        await user.call("POST", "/api/channels", json=webhook)
    assert await added(user, device, on=["lost"]) == (200, channel_id)
    first, *others = (await user.call("GET", "/api/channels")).json()["channels"]
    assert (first["on"], first["this_session"], len(others)) == (["lost"], True, 19)
    new = await push_new(user, pushing)
    assert await added(user, new) == (409, None)
    assert await added(user, new, replaces=subscription_id(device)) == (200, channel_id)
    assert await added(user, new, replaces=subscription_id(device)) == (200, channel_id)
    await user.call("POST", f"/api/channels/{channel_id}/test")
    assert (await new.message())["type"] == "channel.test"
    assert await device.messages() == []
    assert await added(user, device, replaces=subscription_id(device)) == (404, None)


async def test_the_devices_of_sessions_that_end_get_nothing_any_more(
    relay: Relay, pushing: PushService
) -> None:
    user = await relay.user()
    lost = await another_session(user)
    stolen = await another_session(user)
    here, _ = await push_device(user, pushing)
    gone = [(await push_device(one, pushing))[0] for one in (lost, stolen)]
    assert (await lost.call("DELETE", "/api/session")).status_code == 204
    left = (await user.call("GET", "/api/channels")).json()["channels"]
    assert [one["this_session"] for one in left] == [True, False]
    assert (await user.call("DELETE", "/api/session/others")).json() == {"ended": 1}
    (left,) = (await user.call("GET", "/api/channels")).json()["channels"]
    assert left["shown"]["subscription_id"] == subscription_id(here)
    await user.posted(event_type="task_failed", task_id="t")
    await here.message()
    assert [await one.messages() for one in gone] == [[], []]
    lines = (await user.call("GET", "/api/export")).text.splitlines()
    assert sum('"action":"channel_removed"' in line for line in lines) == 2


async def another_session(user: User) -> User:
    """The same user, on another device."""
    link = (await user.call("POST", "/api/session/link")).json()["link"]
    body = {"code": link.partition("#link=")[2]}
    opened = await user.relay.http.post("/api/session/link/redeem", json=body)
    user.relay.http.cookies.clear()
    return User(user.relay, user.user_id, opened.json()["session_token"])


GOOD: dict[str, Any] = {
    "endpoint": "https://push.example.com/1",
    "keys": {
        "p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcx"
        "aOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
        "auth": "BTBZMqHH6r4Tts7J_aSIgg",
    },
}


FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"endpoint": "http://push.example.com/1"}, "subscription.endpoint"),
    ({"endpoint": "https://127.0.0.1/1"}, "subscription.endpoint"),
    ({"endpoint": "https://169.254.169.254/"}, "subscription.endpoint"),
    ({"endpoint": "https://[2606:4700::1111]/1"}, "subscription.endpoint"),
    ({"keys": GOOD["keys"] | {"p256dh": "AAAA"}}, "subscription.keys.p256dh"),
    ({"keys": GOOD["keys"] | {"p256dh": "B" + "A" * 86}}, "subscription.keys.p256dh"),
    ({"keys": GOOD["keys"] | {"auth": "AAAA"}}, "subscription.keys.auth"),
]


async def test_a_subscription_that_cannot_be_used_is_refused_by_its_field(
    database_url: str,
) -> None:
    async with running_relay(database_url, RELAY_OUTBOUND_PRIVATE="off") as relay:
        user = await relay.user()
        for fault, where in FAULTS:
            body = {"kind": "webpush", "subscription": GOOD | {"expirationTime": None} | fault}
            answer = await user.call("POST", "/api/channels", json=body)
            assert (answer.status_code, answer.json()["code"]) == (422, "invalid"), fault
            assert [error["where"] for error in answer.json()["errors"]] == [where], answer.text


async def test_the_key_is_one_for_all_users_and_needs_a_session(relay: Relay) -> None:
    one, other = await relay.user(), await relay.user()
    keys = [(await user.call("GET", "/api/channels/webpush/key")).json() for user in (one, other)]
    assert keys[0] == keys[1]
    assert len(keys[0]["public_key"]) == 87
    assert (await relay.http.get("/api/channels/webpush/key")).status_code == 401
