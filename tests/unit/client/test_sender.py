"""A batch of several events that another program answers is never taken for one event."""

import pytest

from relay.client.credentials import Credentials
from relay.client.outbox import Outbox
from relay.client.posting import NotRelay
from relay.client.sender import Sender
from relay.client.spool import Spool


def _no_spool() -> Spool:
    raise OSError


@pytest.mark.parametrize("count", [1, 2, 1_000])
def test_an_answer_without_a_size_limit_is_no_too_large_event(count: int) -> None:
    sender = Sender(Outbox(_no_spool), Credentials("http://h", "t"), lambda text: None)
    answer = NotRelay(200, "another program")
    assert not sender._is_too_large(answer, [b"x" * 4_000 + b"\n"] * count)
