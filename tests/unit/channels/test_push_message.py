"""What is pushed: small enough for any push service, readable by the browser alone, and honest."""

import base64
from datetime import UTC, datetime
from typing import Any, get_args

import http_ece
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.channels.notification import Notification, NotificationType
from relay.channels.push_message import (
    MAX_BYTES,
    MAX_TEXT,
    PushMessage,
    Recipient,
    encrypt,
    push_message,
    recipient_auth,
    recipient_point,
    topic_of,
)
from tests.support.examples import examples

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
BROWSER = generate_private_key(SECP256R1())
RECIPIENT = Recipient(
    BROWSER.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint), b"s" * 16
)


def notification(**fields: Any) -> Notification:
    made: dict[str, Any] = {"id": "msg_1", "type": "task.failed", "timestamp": NOW}
    made |= {"url": "https://r.example/"}
    return Notification(**(made | fields))


def ask(**fields: Any) -> Notification:
    made = {"ask_id": "a1", "question": "Deploy?", "options": ("yes", "no"), "question_hash": "h"}
    return notification(**({"type": "task.waiting", "task_id": "t", "run": 1} | made | fields))


def decrypted(body: bytes) -> PushMessage:
    text = http_ece.decrypt(
        body, private_key=BROWSER, auth_secret=RECIPIENT.auth, version="aes128gcm"
    )
    return msgspec.json.decode(text, type=PushMessage)


texts = st.none() | st.text(max_size=3_000) | st.sampled_from(["\U0001f680" * 2_000, '"\\\n' * 700])


@settings(deadline=None, max_examples=examples(200))
@given(
    type=st.sampled_from(get_args(NotificationType)),
    task_id=st.none()
    | st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=128),
    run=st.integers(1, 2**53),
    title=texts,
    message=texts,
    exit_code=st.none() | st.integers(-(2**63), 2**63 - 1),
    duration_s=st.none() | st.floats(0, allow_infinity=False),
    question=texts,
    options=st.lists(st.text(max_size=100) | st.just("\U0001f680" * 100), max_size=10).map(tuple),
)
def test_any_notification_fits_and_is_read_by_the_browser(**fields: Any) -> None:
    asked = {"ask_id": "a" * 36, "question_hash": "f" * 64} if fields["question"] else {}
    made = push_message(notification(id="msg_" + "0" * 32, **fields, **asked), always=False)
    body = encrypt(made, RECIPIENT)
    assert len(body) <= MAX_BYTES
    assert decrypted(body) == made
    assert len(topic_of(made)) == 32


def test_what_it_says_of_a_task() -> None:
    failed = notification(task_id="b", run=3, title="make test", exit_code=2, duration_s=250.4)
    made = push_message(failed, always=False)
    assert (made.title, made.body) == ("make test failed", "Exit code 2 after 4:10")
    assert (made.tag, made.always, made.ask) == ("relay b 3", False, None)
    lost = notification(type="task.lost", task_id="b", run=1, message="epoch 3", duration_s=3_725)
    made = push_message(lost, always=True)
    assert (made.title, made.body) == ("Lost contact with b", "After 1:02:05\nepoch 3")
    assert made.always
    test = push_message(notification(type="channel.test"), always=False)
    assert test.always  # it is asked for on a page that is looked at


def test_a_press_answers_only_what_is_shown_in_full() -> None:
    made = push_message(ask(), always=False)
    assert made.ask is not None
    assert (made.body, made.ask.options, made.tag) == ("Deploy?", ("yes", "no"), "relay ask a1")
    for more, body in (
        ({"options": ("a", "b", "c")}, "Deploy?\na / b / c"),
        ({"has_details": True}, "Deploy?\nyes / no"),
        ({"question": "x" * (MAX_TEXT + 1)}, "x" * (MAX_TEXT - 1) + "…"),
        ({"options": ("yes", "\u202eon")}, "Deploy?\nyes / on"),
        ({"question": "From \u200f1 \u2192 100?"}, "From 1 \u2192 100?\nyes / no"),
    ):
        made = push_message(ask(**more), always=False)
        assert made.ask is not None
        assert (made.body, made.ask.options) == (body, ())


def test_marks_that_reorder_text_and_terminal_sequences_are_left_out() -> None:
    odd = ask(question="Delete \u202ecba\u2066\u200f?\x1b[1m\r\nnow", title="a\u202eb\u061c\n")
    made = push_message(odd, always=False)
    assert (made.title, made.body) == ("ab waits for you", "Delete cba?\nnow\nyes / no")
    failed = notification(task_id="t", title="\x1b[1mx\x1b(B", message="\x1b[31mboom\x1b[0m\t!")
    made = push_message(failed, always=False)
    assert (made.title, made.body) == ("x failed", "boom !")


def test_what_is_no_key_of_a_browser_is_refused() -> None:
    good = base64.urlsafe_b64encode(RECIPIENT.point).decode()
    assert recipient_point(good) == recipient_point(good.rstrip("=")) == RECIPIENT.point
    assert recipient_auth("c3Nzc3Nzc3Nzc3Nzc3Nzcw") == b"s" * 16
    for wrong in ("", "?", good[:-4], good + "AAAA", "B" + "A" * 86, good.replace(good[5], "é")):
        with pytest.raises(ValueError, match=r"base64url|point|curve"):
            recipient_point(wrong)
    for wrong in ("", "A", "c3M", "c3Nzc3Nzc3Nzc3Nzc3Nzc3M", "c3Nzc3Nzc3Nzc3Nzc3Nzc+=="):
        with pytest.raises(ValueError, match=r"base64url|point|curve"):
            recipient_auth(wrong)
