"""Asks: one answer counts, those that wait hear of it, and the stream tells what became of it."""

import json
from typing import Any

import httpx
import pytest
import trio

from tests.support.asks import CHOICE, TEXT, answered, asked, notes, post, read
from tests.support.databases import statement
from tests.support.patience import LOOK_EVERY, PATIENCE
from tests.support.problems import check
from tests.support.relay_server import Relay, bearer, calls_wait


async def test_an_answer_reaches_the_program_that_waits_and_the_stream(relay: Relay) -> None:
    user = await relay.user()
    made = await asked(user, task_id="build-17")
    (task,) = (await user.call("GET", "/api/tasks")).json()["tasks"]
    assert (task["state"], task["ask_id"]) == ("waiting", made["ask_id"])
    heard: list[dict[str, Any]] = []

    async def wait() -> None:
        heard.append(await read(user, made["ask_id"], "?wait_s=25"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await calls_wait(relay, 1)
        assert (await answered(user, made["ask_id"], "yes")).json() == {"ok": True}
    (ask,) = heard
    assert (ask["state"], ask["answer"]) == ("answered", "yes")
    assert ask["answered_at"] is not None
    waiting, ended = await notes(user)
    assert (waiting["event_type"], waiting["task_id"]) == ("task_waiting", "build-17")
    assert waiting["cursor"] == made["cursor"]
    assert waiting["payload"]["details"] == CHOICE["details"]
    assert ended["payload"] == {"ask_id": made["ask_id"], "state": "answered", "answer": "yes"}
    (task,) = (await user.call("GET", "/api/tasks")).json()["tasks"]
    assert (task["state"], task["ask_id"]) == ("running", None)


async def test_the_wait_of_a_token_ends_when_it_is_revoked(relay: Relay) -> None:
    user = await relay.user()
    token = await user.token()
    hook = bearer(token["token"])
    made = (await relay.http.post("/api/asks", json=CHOICE, headers=hook)).json()
    refused: list[httpx.Response] = []

    async def wait() -> None:
        path = f"/api/asks/{made['ask_id']}?wait_s=25"
        refused.append(await relay.http.get(path, headers=hook))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await calls_wait(relay, 1)
        await user.call("POST", "/api/token/revoke", json={"token_id": token["token_id"]})
    check(refused[0], 401, "invalid_token")


async def test_of_many_answers_at_once_exactly_one_counts(relay: Relay) -> None:
    user = await relay.user()
    made = await asked(user)
    found: list[tuple[int, str]] = []

    async def answer(text: str) -> None:
        response = await answered(user, made["ask_id"], text)
        found.append((response.status_code, text))

    async with trio.open_nursery() as nursery:
        for number in range(16):
            nursery.start_soon(answer, CHOICE["options"][number % 2])
    (counted,) = [text for status, text in found if status == 200]
    assert [status for status, _ in sorted(found)] == [200] + [409] * 15
    assert (await read(user, made["ask_id"]))["answer"] == counted
    assert [note["event_type"] for note in await notes(user)] == ["task_waiting", "task_answered"]


async def test_the_same_request_finds_its_ask_and_another_one_is_refused(relay: Relay) -> None:
    user = await relay.user()
    first = await asked(user, event_id="deploy-17")
    again = await post(user, CHOICE | {"event_id": "deploy-17"})
    assert (again.status_code, again.json()) == (200, first | {"duplicate": True})
    other = await post(user, CHOICE | {"event_id": "deploy-17", "question": "Deploy 18?"})
    check(other, 409, "asked_differently")
    assert len(await notes(user)) == 1


async def test_only_the_token_that_asked_and_the_person_see_it(relay: Relay) -> None:
    user, stranger = await relay.user(), await relay.user()
    made = await asked(user)
    path = f"/api/asks/{made['ask_id']}"
    for token, status in (
        (await user.hook(), 200),
        (user.session, 200),
        ((await user.token())["token"], 403),
        (stranger.session, 404),
        (await stranger.hook(), 404),
    ):
        response = await relay.http.get(path, headers=bearer(token))
        assert response.status_code == status, response.text
    body = {"answer": "yes", "question_hash": "x"}
    by_hook = await relay.http.post(f"{path}/answer", json=body, headers=bearer(await user.hook()))
    check(by_hook, 403, "insufficient_scope")
    ticket = (await user.call("POST", "/api/rt/ticket")).json()["ticket"]
    by_ticket = await relay.http.post(f"{path}/answer?ticket={ticket}", json=body)
    check(by_ticket, 401, "unauthorized")
    check(await stranger.call("POST", f"{path}/answer", json=body), 404, "not_found")
    check(await stranger.call("DELETE", path), 404, "not_found")
    assert (await read(user, made["ask_id"]))["state"] == "open"
    assert (await stranger.call("GET", "/api/asks?state=open")).json() == {"asks": []}


async def test_an_ask_ends_on_time_by_withdrawal_and_with_its_task(
    relay: Relay, database_url: str
) -> None:
    user = await relay.user()
    short, gone = await asked(user), await asked(user, task_id="t")
    taken = await asked(user)
    listed = (await user.call("GET", "/api/asks?state=open")).json()["asks"]
    assert [ask["ask_id"] for ask in listed] == [made["ask_id"] for made in (short, gone, taken)]
    response = await relay.http.delete(
        f"/api/asks/{taken['ask_id']}", headers=bearer(await user.hook())
    )
    assert response.status_code == 204
    await user.posted(event_type="task_failed", task_id="t", payload={})
    assert (await read(user, gone["ask_id"]))["state"] == "withdrawn"  # at once
    late = await answered(user, gone["ask_id"], "yes")
    check(late, 410, "ask_over")
    await statement(
        database_url, f"UPDATE asks SET expires_at = now() WHERE ask_id = '{short['ask_id']}'"
    )
    check(await answered(user, short["ask_id"], "yes"), 410, "ask_over")
    states: dict[str, str] = {}
    with trio.fail_after(PATIENCE):
        while len(states) < 3:
            states = {
                note["payload"]["ask_id"]: note["payload"]["state"]
                for note in await notes(user)
                if note["event_type"] == "task_answered"
            }
            await trio.sleep(LOOK_EVERY)
    assert states == {
        **{short["ask_id"]: "expired", gone["ask_id"]: "withdrawn"},
        taken["ask_id"]: "withdrawn",
    }
    (task,) = (await user.call("GET", "/api/tasks")).json()["tasks"]
    assert (task["state"], task["ask_id"]) == ("failed", None)


async def test_the_end_of_a_forgotten_task_withdraws_an_ask_that_came_later(relay: Relay) -> None:
    user = await relay.user()
    await user.posted(event_type="task_started", task_id="t", payload={})
    assert (await user.call("DELETE", "/api/tasks?task_id=t")).json() == {"deleted": 1}
    made = await asked(user, task_id="t")
    await user.posted(event_type="task_failed", task_id="t", payload={})
    assert (await user.call("GET", "/api/tasks")).json()["tasks"] == []
    assert (await read(user, made["ask_id"]))["state"] == "withdrawn"


async def test_a_task_waits_for_the_oldest_of_its_open_asks(relay: Relay) -> None:
    user = await relay.user()
    await user.posted(event_type="task_started", task_id="t", payload={})
    first, second = [(await asked(user, task_id="t"))["ask_id"] for _ in range(2)]

    async def shown() -> tuple[str, str | None]:
        (task,) = (await user.call("GET", "/api/tasks")).json()["tasks"]
        return task["state"], task["ask_id"]

    assert await shown() == ("waiting", first)
    await answered(user, first, "yes")
    assert await shown() == ("waiting", second)
    await user.posted(event_type="task_progress", task_id="t", payload={"progress": 0.5})
    assert await shown() == ("waiting", second)
    await user.call("DELETE", f"/api/asks/{second}")
    assert await shown() == ("running", None)


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"question": ""}, "question"),
        ({"question": "x" * 2_001}, "question"),
        ({"question": "\x1b[31mred"}, "question"),
        ({"question": " \n "}, "question"),
        ({"options": ["yes"]}, "options"),
        ({"options": ["yes", "yes"]}, "options"),
        ({"options": [str(number) for number in range(11)]}, "options"),
        ({"options": ["yes", "n\no"]}, "options[1]"),
        ({"kind": "text"}, "options"),
        ({"kind": "poll"}, "kind"),
        ({"expires_in": 9}, "expires_in"),
        ({"expires_in": 604_801}, "expires_in"),
        ({"details": "x" * 16_384}, "details"),
        ({"details": json.loads("[" * 33 + "]" * 33)}, "details"),
        ({"task_id": "a b"}, "task_id"),
        ({"event_id": "é"}, "event_id"),
        ({"more": 1}, "more"),
    ],
)
async def test_what_cannot_be_asked_is_named(
    relay: Relay, fields: dict[str, Any], fault: str
) -> None:
    user = await relay.user()
    problem = check(await post(user, CHOICE | fields), 422, "invalid")
    assert [error["where"] for error in problem["errors"]] == [fault]
    assert await notes(user) == []


async def test_what_is_no_answer_is_refused_and_the_ask_stays_open(relay: Relay) -> None:
    user = await relay.user()
    choice = (await asked(user))["ask_id"]
    text = (await post(user, TEXT)).json()["ask_id"]
    check(await answered(user, choice, "maybe"), 422, "invalid")
    check(await answered(user, choice, "yes", question_hash="other"), 409, "changed")
    for wrong in ("", "x" * 2_001, "\x07", " "):
        check(await answered(user, text, wrong), 422, "invalid")
    assert (await answered(user, text, "two\nlines")).status_code == 200
    check(await answered(user, text, "later"), 409, "already_answered")
    assert (await read(user, choice))["state"] == "open"
    nothing = f"/api/asks/{user.user_id}"
    check(await user.call("GET", nothing), 404, "not_found")
    check(await user.call("GET", "/api/asks/nothing"), 404, "not_found")
    for query in ("?wait_s=26", "?wait_s=-1", "?wait_s=x"):
        check(await user.call("GET", f"/api/asks/{choice}{query}"), 400, "bad_request")
    check(await user.call("GET", "/api/asks?state=all"), 400, "bad_request")


async def test_a_hundred_asks_may_be_open(relay: Relay) -> None:
    user = await relay.user()
    for _ in range(100):
        await asked(user)
    check(await post(user, CHOICE), 409, "too_many_asks")
    listed = (await user.call("GET", "/api/asks")).json()["asks"]
    await answered(user, listed[0]["ask_id"], "no")
    await asked(user)


async def test_an_event_that_an_ended_process_did_not_write_follows(
    relay: Relay, database_url: str
) -> None:
    user = await relay.user()
    made = await asked(user)
    await statement(
        database_url,
        f"""
        UPDATE asks SET state = 'answered', answer = 'yes', ended_at = now() - interval '1 minute'
        WHERE ask_id = '{made["ask_id"]}'
        """,
    )
    with trio.fail_after(PATIENCE):
        while len(await notes(user)) < 2:  # noqa: ASYNC110 - a background task
            await trio.sleep(LOOK_EVERY)
    assert (await notes(user))[1]["payload"]["answer"] == "yes"


async def test_an_ask_about_an_ended_task_stays_open_and_belongs_to_no_run(
    relay: Relay, database_url: str
) -> None:
    """But one that was asked before the end ends with it, although its event came after it."""
    user = await relay.user()
    await user.posted(event_type="task_failed", task_id="t", payload={})
    again, before = await asked(user, task_id="t"), await asked(user)
    await statement(
        database_url,
        f"""
        UPDATE asks SET task_id = 't', asked_at = now() - interval '1 minute', noted = NULL,
            waiting_id = gen_random_uuid()
        WHERE ask_id = '{before["ask_id"]}'
        """,
    )
    with trio.fail_after(PATIENCE):
        while (await read(user, before["ask_id"]))["state"] == "open":  # noqa: ASYNC110 - a background task
            await trio.sleep(LOOK_EVERY)
    assert (await read(user, before["ask_id"]))["state"] == "withdrawn"
    await user.posted(event_type="task_started", task_id="t", payload={})
    await user.posted(event_type="task_succeeded", task_id="t", payload={})
    (task,) = (await user.call("GET", "/api/tasks")).json()["tasks"]
    assert (task["state"], task["run"], task["ask_id"]) == ("succeeded", 2, None)
    assert (await answered(user, again["ask_id"], "yes")).json() == {"ok": True}


async def test_a_producer_may_not_post_what_relay_writes(relay: Relay) -> None:
    user = await relay.user()
    for event_type in ("task_waiting", "task_answered"):
        check(await user.post(event_type=event_type), 422, "invalid")
