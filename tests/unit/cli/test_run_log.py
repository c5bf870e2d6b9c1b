"""A log is followed to the run's end, also where the event of the end is not stored any more."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import click
import msgspec
import pytest

from relay.cli import run_log
from relay.cli.run_log import RunLog
from relay.client.credentials import Credentials
from relay.client.stream_messages import StreamEvent, StreamMessage
from relay.client.task_info import TaskInfo
from tests.support.task_infos import task_info

MINE = task_info(task_id="t", state="running", run=2, first_seq=1, last_seq=5)
ENDED = replace(MINE, state="succeeded", last_seq=50)
GAP = StreamMessage(b"", control="gap", fields={"from": 6, "to": 60, "cursor": "e.60"})


class StillFollows(Exception):
    """The stream had no more to say."""


def hello(**more: Any) -> StreamMessage:
    return StreamMessage(b"", control="hello", fields={"cursor": "e.5", "resumed": True, **more})


def snapshot(*tasks: TaskInfo) -> StreamMessage:
    fields = {"cursor": "e.60", "counts": {}, "more": False}
    fields["tasks"] = msgspec.to_builtins(list(tasks))
    return StreamMessage(b"", control="tasks", fields=fields)


def printed(seq: int, text: str) -> StreamMessage:
    payload = msgspec.Raw(msgspec.json.encode({"message": text}))
    return StreamMessage(b"", StreamEvent(seq, "log", "", "", payload, "t"))


def followed(
    monkeypatch: pytest.MonkeyPatch,
    *received: tuple[str, list[StreamMessage]],
    present: TaskInfo | None = None,
) -> str | None:
    """How the run ended by what came, each with the cursor after it. Raises StillFollows.

    `present` is what a look at the task finds.
    """

    def follow(stream: Any) -> Iterator[list[StreamMessage]]:
        for cursor, messages in received:
            stream.cursor = cursor
            yield messages
        raise StillFollows

    def look(_api: object, _task: TaskInfo, _ends: float) -> TaskInfo:
        if present is None:
            raise click.ClickException("deleted")
        return present

    monkeypatch.setattr(run_log, "follow", follow)
    monkeypatch.setattr(run_log, "read_patiently", look)
    log = RunLog(Credentials("http://relay.test", "token"), MINE, None, as_json=False)
    log.follow("e.5")
    return log.end


@pytest.mark.parametrize("state", ["succeeded", "failed", "canceled"])
def test_an_end_that_was_deleted_before_it_was_read_is_known_by_the_snapshot(
    monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    ended = replace(ENDED, state=state)
    assert followed(monkeypatch, ("e.60", [hello(), GAP, snapshot(ended)])) == state
    parts = (("e.60", [hello(), GAP]), ("e.60", [snapshot(ended)]))
    assert followed(monkeypatch, *parts) == state
    assert followed(monkeypatch, ("new.60", [hello(reason="epoch"), snapshot(ended)])) == state


def test_an_end_that_is_still_to_be_read_is_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    end = StreamEvent(50, "task_failed", "", "", msgspec.Raw(b"{}"), "t")
    received = (
        ("e.5", [hello(), snapshot(replace(ENDED, state="failed"))]),
        ("e.49", [printed(49, "last words")]),
        ("e.50", [StreamMessage(b"", end)]),
    )
    assert followed(monkeypatch, *received) == "failed"
    assert capsys.readouterr().out == "last words\n"


def test_a_run_that_goes_on_is_followed_over_a_gap(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lost = replace(MINE, state="lost", last_seq=50)
    with pytest.raises(StillFollows):
        followed(monkeypatch, ("e.61", [hello(), GAP, snapshot(lost), printed(61, "later")]))
    assert capsys.readouterr().out == "later\n"


def test_what_the_snapshot_has_not_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    other = task_info(task_id="u")
    received = ("e.60", [hello(), GAP, snapshot(other)])
    assert followed(monkeypatch, received, present=ENDED) == "succeeded"
    with pytest.raises(click.ClickException, match="deleted"):
        followed(monkeypatch, received)


def test_nothing_of_a_later_run_is_printed_whose_start_was_deleted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    later = replace(MINE, run=3, first_seq=40, last_seq=61)
    received = [hello(), GAP, snapshot(later), printed(61, "of the next run")]
    assert followed(monkeypatch, ("e.61", received)) == "superseded"
    assert followed(monkeypatch, ("e.61", received[:3])) == "superseded"
    shown = capsys.readouterr()
    assert (shown.out, shown.err.count("started again")) == ("", 2)
