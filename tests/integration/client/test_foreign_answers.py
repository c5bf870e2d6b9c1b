"""A program that is not Relay answers: nothing counts as delivered, nothing is thrown away."""

import threading

import pytest

from relay.client import Client
from relay.client.credentials import Credentials
from relay.client.post_answers import NotRelay, RetryLater
from relay.client.posting import EventPoster
from tests.support.foreign_answers import ROWS
from tests.support.foreign_server import ForeignServer
from tests.support.patience import PATIENCE
from tests.support.producers import spools
from tests.support.stand_in import TOKEN, Answer, StandIn, busy, elsewhere

JSON = "application/json"
FOREIGN: dict[str, Answer] = {
    "another service's success": elsewhere(200, b'{"status":"ok"}', JSON),
    "a success that says ok": elsewhere(200, b'{"ok":true}', JSON),
    "a page": elsewhere(200),
    "no content": elsewhere(204, b""),
    "a receipt for another number of events": elsewhere(
        200, b'{"accepted":7,"duplicates":0,"first_seq":1,"last_seq":7,"ok":true}', JSON
    ),
    "a receipt with texts for numbers": elsewhere(
        200, b'{"accepted":"1","duplicates":"0","first_seq":"1","last_seq":"1"}', JSON
    ),
    "a redirect": (302, b"", {"Location": "https://portal.test/login"}),
    "a port for https": elsewhere(400),
    "a proxy's login": elsewhere(401),
    "a firewall": elsewhere(403),
    "another website": elsewhere(404),
    "another api": elsewhere(422, b'{"detail":[{"msg":"field required"}]}', JSON),
    "a problem of another service": elsewhere(
        422, b'{"type":"about:blank","status":422,"code":"E1"}', "application/problem+json"
    ),
}
FOREIGN_NAMES = list(FOREIGN)


@pytest.mark.parametrize("name", FOREIGN_NAMES)
def test_events_are_kept_and_sent_when_relay_answers_again(stand_in: StandIn, name: str) -> None:
    stand_in.always = FOREIGN[name]
    reported: list[str] = []
    with Client(stand_in.url, TOKEN, tell=reported.append) as producer:
        producer.publish("task_started", {"title": "kept"}, "t")
        producer.publish("log", {"data": "in the same request"}, "t")
        stand_in.was_asked(2)
        producer.publish("task_succeeded", {}, "t")
        stand_in.always = None
    types = [event["event_type"] for event in stand_in.events]
    assert types == ["task_started", "log", "task_succeeded"]
    assert len(reported) == 1, reported
    assert f"{stand_in.url} is not a Relay: it answered {FOREIGN[name][0]}" in reported[0]


def test_what_another_program_writes_is_clean_in_logs_and_outcomes(
    stand_in: StandIn, caplog: pytest.LogCaptureFixture
) -> None:
    evil = ("text/\x9b31m\u202e" + "x" * 5_000).encode().decode("latin-1")  # as headers are sent
    stand_in.always = (302, b"", {"Content-Type": evil, "Location": f"http://{evil}"})
    producer = Client(stand_in.url, TOKEN)
    producer.publish("log", "kept")
    stand_in.was_asked(2)
    texts = [str(producer.close(0.1)), *caplog.messages]
    assert [text for text in texts if not text.isprintable() or len(text) > 3_000] == []
    assert "It redirects to http://text/31mxxx" in texts[0]


def test_a_second_answer_to_a_request_is_not_that_of_the_next_one() -> None:
    with ForeignServer(0, ROWS["two answers to one request"].play) as server:
        with EventPoster(Credentials(f"http://127.0.0.1:{server.port}", TOKEN)) as posting:
            answers = [posting.many([b"{}\n"]) for _ in range(3)]
        assert [type(answer) for answer in answers] == [NotRelay] * 3
        assert len(server.heads) == 3


def test_what_is_not_delivered_by_the_end_is_on_disk(stand_in: StandIn) -> None:
    stand_in.always = FOREIGN["another service's success"]
    reported: list[str] = []
    producer = Client(stand_in.url, TOKEN, tell=reported.append)
    producer.publish("task_started", {"title": "kept"}, "t")
    stand_in.was_asked(2)  # so it has read the first answer
    outcome = producer.close(0.1)
    assert (outcome.kept, outcome.lost, outcome.refused) == (1, 0, 0)
    assert [line.partition(":")[0] for line in reported[1:]] == [
        "1 event not delivered yet, saved for the next run"
    ]
    stand_in.always = None
    Client(stand_in.url, TOKEN).close()
    assert [event["payload"] for event in stand_in.events] == [{"title": "kept"}]


@pytest.mark.parametrize("status", [500, 502, 503, 504, 429])
def test_a_proxy_in_front_of_an_absent_relay_is_waited_out(stand_in: StandIn, status: int) -> None:
    credentials = Credentials(stand_in.url, TOKEN)
    stand_in.always = elsewhere(status)
    with EventPoster(credentials) as posting:
        answer = posting.many([b"{}\n"])
        assert isinstance(answer, RetryLater)
        assert "text/html" in answer.why
        stand_in.always = elsewhere(404)
        assert isinstance(posting.one(b"{}"), NotRelay)


def test_a_proxys_size_limit_is_met_with_smaller_requests(stand_in: StandIn) -> None:
    stand_in.size_limit = 20_000
    lines = [f"line {number} of a build with much output" for number in range(4_000)]
    reported: list[str] = []
    with Client(stand_in.url, TOKEN, tell=reported.append) as producer:
        producer.publish("task_started", {"title": "build"}, "t")
        producer.log("\n".join(lines), "t")
        producer.publish("task_succeeded", {}, "t")
    assert stand_in.log_lines() == lines
    assert [event["event_type"] for event in stand_in.events if event["event_type"] != "log"] == [
        "task_started",
        "task_succeeded",
    ]
    assert reported == []


def test_an_event_that_a_proxy_never_lets_through_is_kept_and_holds_back_no_other(
    stand_in: StandIn,
) -> None:
    stand_in.size_limit = 3_000
    reported: list[str] = []
    producer = Client(stand_in.url, TOKEN, tell=reported.append)
    producer.publish("log", {"data": "x" * 5_000})
    producer.publish("log", {"data": "small"})
    stand_in.has_stored("small")
    outcome = producer.close()
    assert (outcome.kept, outcome.lost, outcome.refused) == (1, 0, 0)
    assert "raise its limit" in str(outcome)
    assert "raise its limit" in reported[0]
    assert "saved for the next run" in reported[-1]
    stand_in.size_limit = 2**30
    Client(stand_in.url, TOKEN).close()
    assert [len(event["payload"]["data"]) for event in stand_in.events] == [5, 5_000]


def test_an_event_that_a_firewall_refuses_is_tried_once_more_and_holds_back_no_other(
    stand_in: StandIn,
) -> None:
    stand_in.blocks = "UNION SELECT"
    reported: list[str] = []
    producer = Client(stand_in.url, TOKEN, tell=reported.append)
    for number in range(8):
        text = "test_injection: ' UNION SELECT password" if number == 1 else "harmless"
        producer.publish("log", {"n": number, "data": text})
    stand_in.has_stored("'n': 7")
    outcome = producer.close()
    assert (outcome.kept, outcome.lost, outcome.refused) == (1, 0, 0)
    assert "403 Forbidden (text/html). A proxy or firewall refuses" in reported[0]
    assert [line.partition(":")[0] for line in reported[1:]] == [
        "1 event not delivered yet, saved for the next run"
    ]

    again: list[str] = []
    later = Client(stand_in.url, TOKEN, tell=again.append)
    later.publish("log", {"n": 8})
    outcome = later.close()
    assert (outcome.kept, outcome.lost, outcome.refused) == (0, 0, 1)
    assert "A proxy or firewall refuses" in again[0]
    assert again[1:] == ["1 event refused"]
    assert [event["payload"]["n"] for event in stand_in.events] == [0, *range(2, 9)]
    assert spools() == []


def test_what_a_firewall_refuses_holds_back_no_later_file(stand_in: StandIn) -> None:
    for text in ("UNION SELECT", "harmless"):
        stand_in.always = busy("3600")
        with Client(stand_in.url, TOKEN, tell=list[str]().append) as producer:
            producer.log(text)
            producer.close(0.1)
    assert len(spools()) == 2
    stand_in.always, stand_in.blocks = None, "UNION SELECT"
    with Client(stand_in.url, TOKEN, tell=list[str]().append) as later:
        later.log("new")
    assert stand_in.log_lines() == ["harmless", "new"]
    assert spools() == []


def test_a_firewall_that_refuses_all_loses_nothing_and_keeps_the_order(stand_in: StandIn) -> None:
    stand_in.always = elsewhere(403)
    reported: list[str] = []
    producer = Client(stand_in.url, TOKEN, tell=reported.append)
    for number in range(8):
        producer.publish("log", {"n": number})
    stand_in.was_asked(8)  # halves, the first alone, a batch without events, the first again
    outcome = producer.close(0.1)
    assert (outcome.kept, outcome.lost, outcome.refused) == (8, 0, 0)
    assert len(spools()) == 1  # in their order, and none aside
    stand_in.always = None
    Client(stand_in.url, TOKEN).close()
    assert [event["payload"]["n"] for event in stand_in.events] == list(range(8))


def test_a_proxy_that_refuses_every_size_loses_nothing_and_keeps_the_order(
    stand_in: StandIn,
) -> None:
    stand_in.size_limit = 0
    reported: list[str] = []
    has_reported = threading.Event()

    def tell(line: str) -> None:
        reported.append(line)
        has_reported.set()

    producer = Client(stand_in.url, TOKEN, tell=tell)
    producer.publish("task_started", {"title": "t"}, "t")
    producer.log("\n".join(["a line"] * 1_000), "t")
    producer.publish("task_succeeded", {}, "t")
    assert has_reported.wait(PATIENCE)
    assert producer.close(0.2).kept >= 3
    assert len(reported) == 2
    stand_in.size_limit = 2**30
    Client(stand_in.url, TOKEN).close()
    types = [event["event_type"] for event in stand_in.events]
    assert types == ["task_started", "log", "task_succeeded"]
