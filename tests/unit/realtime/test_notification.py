"""Notifications between processes are bounded, and cover every change."""

import json
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.events import MAX_SEQ
from relay.realtime.notification import MOST, News

ME = uuid4()
POSTGRES_REFUSES = 8_000  # bytes of one notification


@given(
    grown=st.lists(st.tuples(st.uuids(), st.integers(1, MAX_SEQ)), max_size=2 * MOST),
    ended=st.lists(st.uuids(), max_size=2 * MOST),
)
def test_every_change_is_named_or_covered_by_everything(
    grown: list[tuple[UUID, int]], ended: list[UUID]
) -> None:
    news = News(ME)
    for user_id, seq in grown:
        news.add_head(user_id, seq)
    for credential_id in ended:
        news.add_revoked(credential_id)
    text = news.encode()
    assert len(text.encode()) < POSTGRES_REFUSES
    told = News.decode(text)
    assert told == news
    assert told is not None
    assert bool(told) is bool(grown or ended)
    for user_id, seq in grown:
        assert told.everything or told.heads[user_id] >= seq
    for credential_id in ended:
        assert told.everything or credential_id in told.revoked
    if len({user_id for user_id, _ in grown}) + len(set(ended)) <= MOST:
        assert not told.everything


def test_a_notification_never_exceeds_its_size() -> None:
    news = News(ME)
    for _ in range(MOST):
        news.add_head(uuid4(), MAX_SEQ)
    assert not news.everything
    assert len(news.encode()) < POSTGRES_REFUSES
    news.add_revoked(uuid4())
    assert (news.everything, news.heads, news.revoked) == (True, {}, set())


def test_messages_keep_their_field_names() -> None:
    """Processes of two versions share a database during an upgrade."""
    news = News(ME, heads={ME: 7}, revoked={ME})
    assert json.loads(news.encode()) == {"by": str(ME), "heads": {str(ME): 7}, "ended": [str(ME)]}
    full = News(ME, everything=True)
    assert json.loads(full.encode()) == {"by": str(ME), "all": True}


def test_an_older_seq_does_not_replace_a_newer() -> None:
    user_id, news = uuid4(), News(ME)
    for seq in (3, 7, 5):
        news.add_head(user_id, seq)
    assert news.heads == {user_id: 7}


@pytest.mark.parametrize("text", ["", "x", "[]", "{}", '{"by": 7}', '{"by":"x"}', "\0"])
def test_an_unknown_notification_is_rejected(text: str) -> None:
    assert News.decode(text) is None
