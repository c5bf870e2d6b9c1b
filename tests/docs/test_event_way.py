"""The picture of one event's way shows what the code does."""

import pytest

from tests.support.pictures.event_way import PACKAGE, Link, drawing, faults

PICTURE = PACKAGE.parent / "docs/images/event-way.svg"


def test_each_step_reaches_the_next_in_the_code() -> None:
    assert list(faults()) == []


def test_the_picture_is_the_drawing() -> None:
    assert PICTURE.read_text() == drawing(), "make drawings"


@pytest.mark.parametrize(
    "link",
    [
        Link("take", "post", "call"),
        Link("append", "commit", "call"),
        Link("offer", "follow", "pull", ("offer",)),
        Link("announce", "send_notifications", "attribute", ("_dsn",)),
        Link("received", "commit", "callback"),
        Link("post", "take", "same"),
    ],
    ids=lambda link: link.how,
)
def test_a_link_that_the_code_does_not_have_is_a_fault(link: Link) -> None:
    assert len(list(faults([link]))) == 1
