"""Nothing given to the client raises into the program's work; it is sent as far as possible."""

import io
import logging
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

import relay as package
from relay.client import Client, LogHandler, Task
from relay.client.tqdm import tqdm
from tests.support.examples import examples
from tests.support.odd_values import Raises, Text, cyclic, nested, odd_values
from tests.support.stand_in import TOKEN, StandIn

DEEP = nested(5_000)
SHARED = nested(40, width=2)  # two to the power of 40 values


def payloads(stand_in: StandIn, event_type: str) -> list[Any]:
    return [one["payload"] for one in stand_in.events if one["event_type"] == event_type]


def start(stand_in: StandIn, warnings: list[str], title: Any = "t") -> tuple[Task, Client]:
    client = Client(stand_in.url, TOKEN, tell=warnings.append)
    return package.task(title, client=client), client


CALLS: list[tuple[str, list[Any], dict[str, Any], Any, str]] = [
    ("progress", ["50%"], {}, {"progress": 0.5}, ""),
    ("progress", [40, "epoch"], {}, {"message": "epoch"}, "40 % is 0.4"),
    ("progress", [None], {"n": 1}, {"n": 1}, "None is not a number"),
    ("progress", [None], {}, None, "None is not a number"),
    ("progress", [float("nan"), "x"], {}, {"message": "x"}, "nan is not"),
    ("progress", [0.5, Raises()], {}, {"progress": 0.5, "message": "<Raises>"}, ""),
    ("progress", [0.5], {"n": float("inf")}, {"progress": 0.5, "n": "inf"}, "no number inf"),
    ("progress", [0.5], {"n": "y" * 70_000}, {"progress": 0.5}, "without its keys"),
    ("progress", [0.5], {"n": SHARED}, {"progress": 0.5}, "without its keys"),
    ("progress", [0.5, "é" * 5_000], {}, {"progress": 0.5, "message": "é" * 4_000}, ""),
    ("log", ["x"], {"n": 10**5000}, {"n": "<int of 16610 bits>", "message": "x"}, "too large"),
    ("log", ["x"], {"o": Raises()}, {"o": "<Raises>", "message": "x"}, "could not be read"),
    ("log", [Raises()], {}, {"message": "<Raises>"}, ""),
    ("log", [Text("x")], {"task_id": 5, "text": 6}, {"task_id": 5, "text": 6, "message": "x"}, ""),
    ("log", ["x"], {"n": "y" * 5_000}, {"message": "x"}, "more than 4096 bytes"),
    ("log", ["x"], {"n": SHARED}, {"message": "x"}, "left out"),
]


@pytest.mark.parametrize(("method", "values", "keys", "payload", "warning"), CALLS)
def test_a_value_is_sent_as_far_as_possible_and_warned_about_once(
    stand_in: StandIn,
    method: str,
    values: list[Any],
    keys: dict[str, Any],
    payload: Any,
    warning: str,
) -> None:
    task, client = start(stand_in, warnings := list[str]())
    with client, task:
        getattr(task, method)(*values, **keys)
        getattr(task, method)(*values, **keys)
    sent = payloads(stand_in, "log" if method == "log" else "task_progress")
    if method == "log":  # the two are joined
        sent = [{**one, "message": line} for one in sent for line in one["message"].split("\n")]
    assert sent[-1:] == ([] if payload is None else [payload])
    assert len(warnings) == bool(warning)
    assert warning in "".join(warnings)
    assert stand_in.events[-1]["event_type"] == "task_succeeded"


@pytest.mark.parametrize(("total", "sent"), [("1", []), (1, [{"progress": 1.0, "message": "2/1"}])])
def test_a_loop_goes_on_whatever_its_total_is(
    stand_in: StandIn, total: Any, sent: list[Any]
) -> None:
    task, client = start(stand_in, warnings := list[str]())
    with client, task:
        assert list(task.track("ab", total=total)) == ["a", "b"]
    assert (payloads(stand_in, "task_progress")[-1:], warnings) == (sent, [])


@pytest.mark.parametrize("value", [DEEP, cyclic()], ids=["deep", "cyclic"])
def test_structures_without_end_are_cut(stand_in: StandIn, value: Any) -> None:
    task, client = start(stand_in, warnings := list[str]())
    with client, task:
        task.log("x", value=value)
        task.log(value)
    assert payloads(stand_in, "log")[0]["message"] == "x"
    assert "nests deeper than 64 levels" in warnings[0]


@pytest.mark.parametrize("title", [None, 5, Raises(), "", "x" * 100_000, "\udcff", ["a"]], ids=type)
def test_any_title_starts_and_ends_a_task(stand_in: StandIn, title: Any) -> None:
    task, client = start(stand_in, warnings := list[str](), title)
    with client, task:
        pass
    (started,), (ended,) = payloads(stand_in, "task_started"), payloads(stand_in, "task_succeeded")
    assert started["title"] == ended["title"]
    assert warnings == []


def test_the_exception_of_the_work_is_raised_although_its_text_cannot_be_made(
    stand_in: StandIn,
) -> None:
    class Odd(Exception):
        def __str__(self) -> str:
            raise ZeroDivisionError

    task, client = start(stand_in, [])
    with client, pytest.raises(Odd), task:
        raise Odd
    assert payloads(stand_in, "task_failed")[0]["message"] == "Odd: <Odd>"


@pytest.mark.parametrize(
    ("code", "end"),
    [
        *[(None, "task_succeeded"), (0, "task_succeeded"), (3, "task_failed")],
        *[("", "task_failed"), (Raises(), "task_failed")],
    ],
)
def test_a_programs_exit_code_decides_its_end(stand_in: StandIn, code: Any, end: str) -> None:
    task, client = start(stand_in, [])
    with client, pytest.raises(SystemExit), task:
        raise SystemExit(code)
    assert stand_in.events[-1]["event_type"] == end


def test_a_length_that_raises_leaves_the_loop_alone(stand_in: StandIn) -> None:
    class Loader:
        def __len__(self) -> int:
            raise TypeError("of an iterable dataset")

        def __iter__(self) -> Any:
            return iter("ab")

    task, client = start(stand_in, warnings := list[str]())
    with client, task:
        assert list(task.track(Loader())) == ["a", "b"]
        bar = tqdm(Loader(), task=task, file=io.StringIO(), total=float("inf"), mininterval=0)
        assert list(bar) == ["a", "b"]
    assert (payloads(stand_in, "task_progress"), warnings) == ([], [])


def test_a_warning_function_that_raises_ends_neither_work_nor_sender(stand_in: StandIn) -> None:
    def tell(line: str) -> None:
        raise ZeroDivisionError(line)

    stand_in.refuses = "refused"  # which no id has by chance: they are hexadecimal
    with Client(stand_in.url, TOKEN, tell=tell) as client:
        client.publish("log", {"message": "refused"})
        client.publish("log", {"n": float("nan")})
        client.publish("log", {"data": "x" * 70_000})
    assert payloads(stand_in, "log") == [{"n": "nan"}]


def test_a_client_takes_any_names(stand_in: StandIn) -> None:
    with Client(stand_in.url, TOKEN, tell=list[str]().append) as client:
        for task_id in (7, "a b", "", ["t"], Raises(), "x" * 1_000):
            client.publish("log", {}, task_id)  # type: ignore[arg-type]
    names = [one.get("task_id") for one in stand_in.events]
    assert names == ["7", "a-b", None, "['t']", "<Raises>", "x" * 128]


def test_records_of_any_kind_leave_logging_alone(
    stand_in: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    task, client = start(stand_in, [])
    logger = logging.getLogger("odd records")
    logger.propagate = False
    handler = LogHandler(task)
    logger.addHandler(handler)
    with client, task:
        logger.error("%s", Raises())
        logger.error(DEEP)
        logger.error("fine")
    logger.removeHandler(handler)
    assert stand_in.log_lines() == ["fine"]
    assert "ZeroDivisionError" in capsys.readouterr().err


@settings(max_examples=examples(60), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(odd_values(), odd_values())
def test_no_value_raises_into_the_work(stand_in: StandIn, value: Any, other: Any) -> None:
    with package.task(value, task_id=other, url=stand_in.url, token=TOKEN) as task:
        task.progress(value, other, key=value)
        task.log(value, other, key=other)
        list(task.track("ab", total=value, message=other))
        task.succeed(value, key=other)
    assert task.outcome is not None
    assert task.outcome.delivered


# -- the outcome


def test_without_a_server_the_outcome_names_what_was_lost() -> None:
    with package.task("t") as task:
        task.log("x")
    assert task.outcome is not None
    assert (task.outcome.delivered, task.outcome.lost) == (False, 3)
    assert str(task.outcome).startswith("3 events lost: not connected to a Relay")


def test_a_client_that_published_nothing_claims_no_delivery(stand_in: StandIn) -> None:
    with Client(stand_in.url, TOKEN) as client:
        assert str(client.close()) == "nothing was published"
    with Client(tell=list[str]().append) as client:
        assert str(client.close()).startswith("nothing was published: not connected")


def test_an_outcome_counts_what_was_published(stand_in: StandIn) -> None:
    with package.task("t", url=stand_in.url, token=TOKEN) as task:
        pass
    assert task.outcome is not None
    assert (str(task.outcome), task.outcome.published) == ("everything is delivered", 2)
