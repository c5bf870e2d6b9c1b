"""The wait for a run's end goes by what the stream of tasks says, over breaks and snapshots."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import click
import msgspec
import pytest

from relay.cli import run_end
from relay.cli.exit_codes import NOT_ENDED, RELAY_AWAY, Failed
from relay.client.api_client import ApiError
from relay.client.credentials import Credentials
from relay.client.stream_messages import StreamMessage
from relay.client.stream_reader import ConnectionLost
from relay.client.task_info import TaskInfo
from tests.support.patience import PATIENCE
from tests.support.task_infos import task_info

MINE = task_info(task_id="t", state="running")
LOST = ConnectionLost("the connection was lost", 0.0)
AWAY, REFUSED = ApiError("away", status=503), ApiError("no", status=401, code="invalid_token")


def snapshot(*tasks: TaskInfo, more: bool = False) -> list[StreamMessage]:
    fields = {"cursor": "e.1", "counts": {}, "more": more}
    fields["tasks"] = msgspec.to_builtins(list(tasks))
    return [StreamMessage(b"", control="tasks", fields=fields)]


def change(**given: Any) -> list[StreamMessage]:
    task = replace(MINE, **given) if given else None
    fields = {"task": msgspec.to_builtins(task)} if task else {"task_id": "t", "deleted": True}
    return [StreamMessage(b"", control="task", fields=fields)]


def waited(
    monkeypatch: pytest.MonkeyPatch,
    *received: list[StreamMessage] | ConnectionLost | Exception,
    present: Sequence[TaskInfo | ApiError] = (),
    seconds: float = PATIENCE,
) -> str:
    """How the run has ended, by what the stream says; `present` is what looks at the task find."""

    class Stream:
        def __init__(self, *_arguments: object, **_options: object) -> None:
            """Nothing is opened."""

        def read(self) -> Iterator[list[StreamMessage] | ConnectionLost]:
            for one in received:
                if isinstance(one, Exception):
                    raise one
                yield one

    waiting = list(present)

    def read_present(_api: object, _task: TaskInfo) -> TaskInfo:
        found = waiting.pop(0)
        if isinstance(found, ApiError):
            raise found
        return found

    monkeypatch.setattr(run_end, "StreamReader", Stream)
    monkeypatch.setattr(run_end, "read_present", read_present)
    monkeypatch.setattr(run_end, "pause_before", lambda *_: 0.0)
    api: Any = None
    return run_end.wait_for_end(api, Credentials("http://relay", "token"), MINE, seconds)


def test_the_run_ends_in_the_snapshot_or_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    other, ended = task_info(task_id="u", state="failed"), replace(MINE, state="canceled")
    assert waited(monkeypatch, snapshot(other, ended)) == "canceled"
    changes = (change(message="last words"), change(state="canceled"))
    assert waited(monkeypatch, snapshot(other, MINE), LOST, *changes) == "canceled"
    assert waited(monkeypatch, snapshot(MINE), change(run=3)) == "superseded"


def test_what_the_snapshot_has_not_is_looked_at_once_it_is_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The run ended while the connection was lost, and many others after it."""
    other, ended = task_info(task_id="u"), replace(MINE, state="succeeded")
    received = (snapshot(MINE), LOST, snapshot(other, more=True), snapshot(other))
    found = waited(monkeypatch, *received, present=[AWAY, ended])
    assert found == "succeeded"


@pytest.mark.parametrize(
    ("received", "failure", "text"),
    [
        (ValueError("a defect"), ValueError, "a defect"),
        (change(), click.ClickException, "deleted"),
        (REFUSED, ApiError, "no"),
        (change(state="lost"), Failed, "not ended in time"),
    ],
    ids=["defect", "deleted", "refused", "time is over"],
)
def test_a_wait_without_an_end_says_why(
    monkeypatch: pytest.MonkeyPatch,
    received: list[StreamMessage] | Exception,
    failure: type[Exception],
    text: str,
) -> None:
    with pytest.raises(failure, match=text) as raised:
        waited(
            monkeypatch, snapshot(MINE), received, seconds=0.1 if failure is Failed else PATIENCE
        )
    if isinstance(raised.value, Failed):
        assert raised.value.exit_code == NOT_ENDED


def test_of_a_relay_that_is_away_at_the_end_nothing_is_claimed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(Failed, match=r"It is not known whether .* has ended") as raised:
        waited(monkeypatch, LOST, snapshot(MINE), LOST, LOST, seconds=0.1)
    assert raised.value.exit_code == RELAY_AWAY
    lost, back = "relay: the connection was lost; trying again", "relay: reconnected"
    assert capsys.readouterr().err.splitlines() == [lost, back, lost]
