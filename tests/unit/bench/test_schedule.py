"""A run has whole rounds, and takes no longer than it may."""

from bench.forms import FORMS, PLAIN, TLS, WORKERS
from bench.options import arguments, picked_forms, picked_workloads, run_config
from bench.schedule import TimeBudget, Turn, turns
from bench.workloads import WORKLOADS, Workload


def workload(name: str, **more: object) -> Workload:
    return Workload(name, f"the title of {name}", lambda *_: iter(()), **more)  # type: ignore[arg-type]


ONE = workload("one", forms=(PLAIN, TLS, WORKERS))
OTHER = workload("other", rounds=2)


def names(found: list[Turn]) -> list[tuple[str, str, int]]:
    return [(turn.workload.name, turn.form.name, turn.round) for turn in found]


def test_a_round_of_everything_comes_before_the_next_round_of_anything() -> None:
    assert names(turns([ONE, OTHER], (PLAIN, TLS))) == [
        *[("one", "plain", 1), ("one", "TLS", 1), ("other", "plain", 1)],
        *[("one", "plain", 2), ("one", "TLS", 2), ("other", "plain", 2)],
        *[("one", "plain", 3), ("one", "TLS", 3)],
    ]
    assert names(turns([ONE, OTHER], (PLAIN,), rounds=1)) == [
        ("one", "plain", 1),
        ("other", "plain", 1),
    ]


def test_a_turn_that_would_not_end_in_time_is_left_out() -> None:
    now = [0.0]
    budget = TimeBudget(100, lambda: now[0])
    slow, quick = turns([ONE, OTHER], (PLAIN,), rounds=1)
    for turn, seconds in ((slow, 60.0), (quick, 5.0)):
        assert budget.fits(turn)
        with budget.spent_on(turn):
            now[0] += seconds
    assert not budget.fits(slow)  # 35 seconds are left
    assert budget.fits(quick)
    now[0] = 100
    assert not budget.fits(quick)
    assert TimeBudget(None, lambda: now[0]).fits(slow)


def test_the_command_line_picks_workloads_forms_and_shapes() -> None:
    everything = arguments([], "")
    assert {each.name for each in picked_workloads(everything.workloads)} == {
        each.name for each in WORKLOADS if not each.only_by_name
    }
    assert picked_forms(everything) == FORMS
    some = arguments(["w1", "--forms", "plain,TLS", "--shapes", "tidy"], "")
    assert picked_forms(some) == (PLAIN, TLS)
    assert run_config(some).shapes == run_config(some).form_shapes == ("tidy",)
