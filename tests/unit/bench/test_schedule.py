"""A run has whole rounds, and takes no longer than it may."""

from contextlib import AbstractContextManager
from typing import NoReturn

from bench.agenda import WORKLOADS, Workload
from bench.forms import FORMS, PLAIN, TLS, WORKERS
from bench.options import PAGE_SECONDS, arguments, picked_forms, picked_workloads, run_config
from bench.peer import Peer, PeerInstance, StartOptions
from bench.run_config import RunConfig
from bench.schedule import TimeBudget, Turn, turns


def not_started(_options: StartOptions) -> AbstractContextManager[PeerInstance]:
    return _fail()


def _fail() -> NoReturn:
    raise AssertionError("no peer is started")


A, B = (Peer(name=name, title=name, start=not_started) for name in ("a", "b"))


def workload(name: str, **more: object) -> Workload:
    return Workload(name, f"the title of {name}", lambda *_: iter(()), **more)  # type: ignore[arg-type]


ONE = workload("one", forms=(PLAIN, TLS, WORKERS), seconds=lambda _: 20.0)
OTHER = workload("other", rounds=2)


def names(found: list[Turn]) -> list[tuple[str, str, int]]:
    return [(turn.workload.name, turn.form.name, turn.round) for turn in found]


def budget(seconds: float | None, now: list[float], spent: float = 0.0) -> TimeBudget:
    return TimeBudget(seconds, lambda *_: RunConfig(), spent=spent, clock=lambda: now[0])


def test_a_round_of_everything_comes_before_the_next_round_of_anything() -> None:
    assert names(turns([ONE, OTHER], (PLAIN, TLS), [A])) == [
        *[("one", "plain", 1), ("one", "TLS", 1), ("other", "plain", 1)],
        *[("one", "plain", 2), ("one", "TLS", 2), ("other", "plain", 2)],
        *[("one", "plain", 3), ("one", "TLS", 3)],
    ]
    assert names(turns([ONE, OTHER], (PLAIN,), [A], rounds=1)) == [
        ("one", "plain", 1),
        ("other", "plain", 1),
    ]


def test_what_aims_are_about_comes_first_in_each_round() -> None:
    aim = workload("aim", is_aim=True, rounds=2)
    assert names(turns([OTHER, aim], (PLAIN,), [A])) == [
        *[("aim", "plain", 1), ("other", "plain", 1)],
        *[("aim", "plain", 2), ("other", "plain", 2)],
    ]


def test_another_peer_begins_each_round_and_a_turn_without_peers_is_none() -> None:
    alone = workload("alone", applies_to=lambda peer: peer is A, rounds=2)
    found = turns([alone, OTHER], (PLAIN,), [A, B], wanted=lambda *turn: turn[2:] != (2, A))
    assert [(turn.workload.name, turn.peers) for turn in found] == [
        ("alone", (A,)),
        ("other", (A, B)),
        ("other", (B,)),
    ]
    assert [turn.peers for turn in turns([OTHER], (PLAIN,), [A, B])] == [(A, B), (B, A)]


def test_a_turn_that_would_not_end_in_time_is_left_out() -> None:
    now = [0.0]
    limited = budget(100, now)
    slow, quick = turns([ONE, OTHER], (PLAIN,), [A, B], rounds=1)
    assert [limited.expected(turn) for turn in (slow, quick)] == [40.0, 120.0]
    assert limited.left_out([slow, quick, slow]) == [quick]
    for turn, seconds in ((slow, 30.0), (quick, 5.0)):
        with limited.spent_on(turn, A):
            now[0] += seconds
    assert [limited.expected(turn) for turn in (slow, quick)] == [50.0, 65.0]
    assert limited.fits(slow)  # 65 seconds are left
    assert limited.fits(quick)
    now[0] += 1
    assert not limited.fits(quick)
    assert budget(None, now).fits(slow)


def test_what_was_spent_before_counts() -> None:
    (turn,) = turns([ONE], (PLAIN,), [A], rounds=1)
    assert budget(100, [0.0], spent=80.0).fits(turn)
    assert not budget(100, [0.0], spent=80.1).fits(turn)


def test_the_command_line_picks_workloads_forms_and_shapes() -> None:
    everything = arguments([], "")
    assert {each.name for each in picked_workloads(everything.workloads)} == {
        each.name for each in WORKLOADS if not each.only_by_name
    }
    assert picked_forms(everything) == FORMS
    some = arguments(["w1", "--forms", "plain,TLS", "--shapes", "tidy"], "")
    assert picked_forms(some) == (PLAIN, TLS)
    assert run_config(some).shapes == run_config(some).form_shapes == ("tidy",)
    page = run_config(arguments(["--page"], ""))
    assert (page.seconds, page.steady) == (PAGE_SECONDS, RunConfig().steady)
