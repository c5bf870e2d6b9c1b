"""Relay's figures in all shapes and forms stand beside its peers' with the worst first."""

from bench.comparison import compared, losses
from bench.results import Record, Results
from tests.support.bench_records import record


def results(*records: Record) -> Results:
    return Results(records)


MEASURED = results(
    *(record(peer, 1, rate, case="maximum rate, tidy") for peer, rate in (
        *(("relay", 1_000.0), ("fastapi", 500.0), ("node", 4_000.0)),
    )),
    *(record(peer, 1, rate, case="maximum rate, many tasks") for peer, rate in (
        *(("relay", 900.0), ("fastapi", 600.0), ("node", 3_000.0)),
    )),
    *(record(peer, 1, rate, case="maximum rate, tidy, TLS") for peer, rate in (
        *(("relay", 600.0), ("fastapi", 400.0), ("node", 1_000.0)),
    )),
    record("relay", 1, 400, case="maximum rate, tidy, tasks=1"),
)  # fmt: skip
CASES = MEASURED.groups()["w1", "maximum rate"]


def test_shapes_and_forms_of_a_case_are_one_group() -> None:
    assert CASES == [
        "maximum rate, tidy",
        "maximum rate, many tasks",
        "maximum rate, tidy, TLS",
        "maximum rate, tidy, tasks=1",
    ]


def test_a_form_that_a_peer_lacks_is_compared_by_its_plain_figure() -> None:
    found = compared(MEASURED, "w1", CASES)
    # 400/500, then 900/600 and 600/400, then 1000/500
    assert [each.variation for each in found] == [
        "tidy, tasks=1",
        "many tasks",
        "tidy, TLS",
        "tidy",
    ]
    assert [round(each.standing, 2) for each in found] == [0.8, 1.5, 1.5, 2.0]


def test_a_peer_that_was_not_measured_in_a_form_it_has_is_not_compared_in_it() -> None:
    run = results(
        record("relay", 1, 100, case="500/s"),
        record("fastapi", 1, 100, case="500/s"),
        record("node", 1, 100, case="500/s"),
        record("relay", 1, 100, case="500/s, TLS"),
        record("fastapi", 1, 100, case="500/s, TLS"),
        record("relay", 1, 100, case="500/s, tasks=1"),
    )
    rows = {each.case: set(each.rows) for each in compared(run, "w1", run.groups()["w1", "500/s"])}
    assert rows == {
        "500/s": {"relay", "fastapi", "node"},
        "500/s, TLS": {"relay", "fastapi"},
        "500/s, tasks=1": {"relay", "fastapi", "node"},
    }


def test_losses_name_the_peer_and_the_worst_shape_and_form_first() -> None:
    found = [(loss.peer, loss.worst, loss.best, loss.where) for loss in losses(MEASURED)]
    assert found == [
        ("node", 0.1, 0.6, "tidy, tasks=1"),
        ("fastapi", 0.8, 2.0, "tidy, tasks=1"),
    ]


def test_what_relay_does_not_lose_is_no_loss() -> None:
    assert losses(results(record("relay", 1, 2.0), record("node", 1, 1.0))) == []
