"""What notifications say: one line of what happened, and the rest, cut and without controls."""

import pytest

from relay.channels.notification import Notification
from relay.channels.wording import MAX_BODY, MAX_NAME, MAX_OPTIONS, Words, words
from tests.support.notifications import HOSTILE, ask, notification


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            notification(),
            Words("make test failed", "after 3:10, exit code 2", "12 of 30 failed", "", ""),
        ),
        (
            notification("task.succeeded", message=None, exit_code=None, duration_s=2.5),
            Words("make test succeeded", "after 2.5 s", "", "", ""),
        ),
        (
            notification("task.lost", title=None, duration_s=None, exit_code=None),
            Words("Lost contact with build 7", "", "12 of 30 failed", "", ""),
        ),
        (
            ask(),
            Words("make test waits for you", "", "Deploy build 17?", "Answers: yes · no", ""),
        ),
        (
            ask(title=None, task_id=None, options=()),
            Words("A program waits for you", "", "Deploy build 17?", "", ""),
        ),
    ],
)  # fmt: skip
def test_what_happened_is_one_line(given: Notification, expected: Words) -> None:
    assert words(given)._replace(action="") == expected
    assert words(given).action == ("Answer" if given.question else "Open the task")


def test_a_test_says_that_it_is_one() -> None:
    text = words(notification("channel.test", title=None, task_id=None, message=None))
    assert ("test" in text.headline, "This channel works." in text.body) == (True, True)


def test_texts_are_cut_and_lose_what_is_no_text() -> None:
    text = words(
        ask(title="t" * 500, question="a\x1b[31m b\r\n\n\n\nc\x00\n", options=("o" * 100,) * 10)
    )
    assert text.headline == f"{'t' * (MAX_NAME - 1)}… waits for you"
    assert text.body == "a b\n\nc"
    assert len(text.options) <= MAX_OPTIONS
    assert len(words(ask(question="q" * 2_000)).body) == MAX_BODY
    hostile = words(notification(title=f"a\r\nBcc: b\u2028c\x85d {HOSTILE}"))
    assert len(hostile.headline.splitlines()) == 1
    assert not [mark for mark in hostile.headline if ord(mark) < 32 or mark in "\x85\u202e"]
