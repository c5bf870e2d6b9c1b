"""After which close a reader comes back, and when."""

import pytest

from relay.client.api_client import ApiError
from relay.client.stream_messages import MessageDecoder
from relay.client.stream_reader import RECONNECT_JITTER_SECONDS, _find_close
from relay.realtime.close_codes import Close
from relay.realtime.encoding import control_json, sse_control


@pytest.mark.parametrize("close", Close)
def test_every_close_that_names_a_time_is_followed_by_another_attempt(close: Close) -> None:
    fields = {"code": close.code, "reason": close.reason, "retry_after_ms": close.retry_after_ms}
    messages = MessageDecoder("e.7").feed(sse_control("close", control_json("close", fields), None))
    if close.retry_after_ms is None:
        with pytest.raises(ApiError, match=close.reason):
            _find_close(messages)
        return
    lost = _find_close(messages)
    assert lost is not None
    assert close.reason in lost.why
    least = close.retry_after_ms / 1000
    assert least <= lost.pause <= least + RECONNECT_JITTER_SECONDS
