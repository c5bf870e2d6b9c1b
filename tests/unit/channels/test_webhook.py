"""What a webhook sends, held against the independent library of Standard Webhooks."""

import base64
import time
from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from relay.channels.kinds.answers import outcome_of, shortened
from relay.channels.kinds.base import Delivered, Refused, Retry
from relay.channels.kinds.webhook import signed_headers, webhook_body
from relay.channels.notification import Notification, task_url
from relay.channels.outbound_answer import OutboundAnswer

SECRET = base64.b64encode(b"s" * 32).decode()
AT = datetime(2026, 11, 29, 10, 0, 0, 123_000, tzinfo=UTC)
FAILED = Notification(
    id="msg_1",
    type="task.failed",
    timestamp=AT,
    url="https://relay.example/#task=build%2F7",
    task_id="build/7",
    run=2,
    state="failed",
    title="make test",
    message="3 failed, ✗",
    exit_code=1,
    duration_s=12.5,
)


def test_a_body_has_what_the_reference_names() -> None:
    sent = Webhook(f"whsec_{SECRET}").verify(
        webhook_body(FAILED),
        signed_headers(SECRET, FAILED.id, int(time.time()), webhook_body(FAILED)),
    )
    assert sent == {
        "type": "task.failed",
        "timestamp": "2026-11-29T10:00:00.123Z",
        "data": {
            **{"task_id": "build/7", "run": 2, "state": "failed", "title": "make test"},
            **{"message": "3 failed, ✗", "url": FAILED.url, "exit_code": 1, "duration_s": 12.5},
        },
    }


@pytest.mark.parametrize(
    ("options", "sent"), [(("yes", "no"), '["yes","no"]'), ((), "[]")], ids=["choice", "text"]
)
def test_a_question_comes_with_its_options(options: tuple[str, ...], sent: str) -> None:
    asked = Notification(
        id="msg_2",
        type="task.waiting",
        timestamp=AT,
        url="https://r.example/",
        state="waiting",
        ask_id="a",
        question="Deploy?",
        options=options,
    )
    data = webhook_body(asked).decode().partition('"data":')[2]
    assert '"ask_id":"a","question":"Deploy?","options":' + sent in data
    assert '"task_id":null' in data
    assert b"options" not in webhook_body(FAILED)


@pytest.mark.parametrize("changed", ["body", "id", "timestamp", "secret"])
def test_a_change_is_found_by_the_receiver(changed: str) -> None:
    body = webhook_body(FAILED)
    headers = signed_headers(SECRET, FAILED.id, int(time.time()), body)
    if changed == "body":
        body += b" "
    elif changed != "secret":
        headers[f"webhook-{changed}"] += "1"
    other = base64.b64encode(b"t" * 32).decode()
    with pytest.raises(WebhookVerificationError):
        Webhook(f"whsec_{other if changed == 'secret' else SECRET}").verify(body, headers)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (200, Delivered(200)),
        (204, Delivered(204)),
        (410, Refused("the receiver wants no more notifications", 410, ends_channel=True)),
        (302, Retry("the receiver answered 302: redirects are not followed", 302)),
        (400, Retry("the receiver answered 400", 400, 7.0)),
        (429, Retry("the receiver answered 429", 429, 7.0)),
        (503, Retry("the receiver answered 503", 503, 7.0)),
    ],
)
def test_an_answer_decides_what_becomes_of_a_notification(status: int, outcome: object) -> None:
    assert outcome_of(OutboundAnswer(status, 7.0)) == outcome


def test_an_address_is_shown_without_its_secret() -> None:
    assert shortened("https://hooks.example.com/T1/B2/abcdefgh") == (
        "https://hooks.example.com/…efgh"
    )
    assert shortened("https://example.com/") == "https://example.com"


def test_a_task_is_led_to_on_the_page() -> None:
    assert task_url("https://relay.example", "a b&c") == "https://relay.example/#task=a%20b%26c"
    assert task_url("https://relay.example", None) == "https://relay.example/"
