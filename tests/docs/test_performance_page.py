"""The performance page is made from its benchmark run, and the figures are computed right."""

import json
from pathlib import Path

from bench.agenda import WORKLOADS
from bench.page import GENERATED_PART, MEASURED, PAGE, render
from bench.page_tables import workload_tables
from bench.results import RATE, Results, columns, number, saturated, sorted_rows
from tests.support.bench_records import record


def test_the_page_and_its_plots_are_made_from_the_run() -> None:
    """`make bench-docs` makes them."""
    for path, text in render(Results.read(MEASURED)).items():
        assert path.read_text() == text, path


def test_every_workload_of_a_full_run_has_its_place_on_the_page() -> None:
    shown = {found[2] for found in GENERATED_PART.finditer(PAGE.read_text())}
    assert {each.name for each in WORKLOADS if not each.only_by_name} <= shown
    assert {"machine", "losses", "summary", "plots", "peers"} <= shown


def test_shapes_and_forms_are_one_table_with_the_worst_first_and_its_peers_below() -> None:
    run = Results(
        [
            record("relay", 1, 1_000, case="maximum rate, tidy"),
            record("fastapi", 1, 500, case="maximum rate, tidy"),
            record("relay", 1, 400, case="maximum rate, tidy, TLS"),
            record("fastapi", 1, 400, case="maximum rate, tidy, TLS"),
        ]
    )
    lines = [line for line in workload_tables(run, "w1").splitlines() if line]
    assert [line.partition(" |")[0] for line in lines] == [
        "**Maximum rate**, the worst first",
        "| shape and form",
        "| ---",
        "| tidy, TLS",
        "| tidy",
        "**Maximum rate, tidy, TLS**",
        *("| ", "| ---", "| **Relay**", "| FastAPI + uvicorn + asyncpg"),
    ]


def test_cases_of_relay_alone_are_one_table() -> None:
    run = Results(
        [
            record("relay", 1, 0, workload="w10", case=case, took_ms={"p50": 2.0, "most": 3.0})
            for case in ("500 tasks", "one task")
        ]
    )
    assert workload_tables(run, "w10").splitlines() == [
        "|  | median (ms) | most (ms) | CPU of server, load, others, stolen (cores) |",
        "| --- | ---: | ---: | ---: |",
        "| 500 tasks | 2.00 | 3.00 | 1.00, 0.40, 0.10, 0.02 |",
        "| One task | 2.00 | 3.00 | 1.00, 0.40, 0.10, 0.02 |",
    ]


def test_the_page_says_what_a_run_that_was_cut_short_lacks() -> None:
    run = Results(
        [
            {"machine": Results.read(MEASURED).machine},
            record("relay", 1, 1_000),
            {"cut_short": "w10", "round": 1, "why": "chromium is not installed"},
            {"left_out": "w1", "form": "TLS", "round": 1},
            {"left_out": "w2", "form": "plain", "round": 1},
            {"left_out": "w2", "form": "plain", "round": 2},
            {"left_out": "w9", "form": "plain", "round": 1},
        ]
    )
    assert "W10 is not complete: chromium is not installed.\n" in render(run)[PAGE]
    assert run.delivered
    assert (
        "Left out, because the time was over: round 1 of W1 (TLS), W9; round 1 and 2 of W2.\n"
        in render(run)[PAGE]
    )


def test_the_page_says_how_noisy_the_machine_was_and_in_how_many_parts_it_was_measured() -> None:
    run = Results(
        [
            {"machine": Results.read(MEASURED).machine},
            record("relay", 1, 1_000),
            {"continued": "today"},
            record("relay", 2, 1_000, load={"others": 0.3, "stolen": 0.1}),
            record("relay", 3, 1_000, load={"others": 0.2, "stolen": 0.06}),
            {"minutes": 74.6},
        ]
    )
    page = render(run)[PAGE]
    assert "All of it took 75 minutes, in 2 parts.\n" in page
    assert (
        "Other programs used 0.20 cores during the run, and the machine's host took 0.06 (median)."
        " **The machine was busy:" in page
    )


def test_ratios_are_computed_within_each_round() -> None:
    # a machine that grew twice as fast in the second round and three times in the third
    results = Results(
        [record("relay", turn, 2_000 * turn) for turn in (1, 2, 3)]
        + [record("other", turn, 1_000 * turn) for turn in (1, 2, 3)]
    )
    first, second = sorted_rows(results, "w1", "at most")
    assert (first.peer, second.peer) == ("relay", "other")
    ratio = first.advantage_over(second, RATE)
    assert ratio is not None
    assert (ratio.least, ratio.middle, ratio.most) == (2, 2, 2)


def test_the_ratio_says_where_less_is_better() -> None:
    steady = [
        record(peer, 1, 0, case="500/s", latency_ms={"p50": p50})
        for peer, p50 in (("relay", 2.0), ("other", 5.0))
    ]
    ours, theirs = sorted_rows(Results(steady), "w1", "500/s")
    ratio = ours.advantage_over(theirs, columns("w1", "500/s")[0])
    assert ratio is not None
    assert ratio.middle == 2.5


def test_a_busy_load_generator_is_reported() -> None:
    busy = {"server": 0.5, "generator": 0.7, "postgres": 0.25, "others": 0.0}
    results = Results([record("relay", 1, 1_000, load=busy), record("other", 1, 1_000)])
    assert [saturated(row) for row in results.rows("w1", "at most")] == [True, False]


def test_relay_failing_or_misdelivering_fails_the_run_and_slowness_does_not(tmp_path: Path) -> None:
    def delivered(*records: dict[str, object]) -> bool:
        path = tmp_path / "run.jsonl"
        path.write_text("".join(json.dumps(each) + "\n" for each in records))
        return Results.read(path).delivered

    assert delivered(record("relay", 1, 0.1), record("other", 1, 9e9))
    assert delivered(record("other", 1, 1.0, delivered=False))  # theirs to answer for
    assert delivered(record("relay", 1, 1.0, good=False))  # refused, which is no delivery
    assert not delivered(record("relay", 1, 1.0, delivered=False))
    assert not delivered(record("relay+RELAY_RATE_LIMITS=on", 1, 1.0, delivered=False))
    assert not delivered({"failed": "w1", "peer": "relay", "round": 1, "why": "did not start"})


def test_numbers_have_three_digits_that_count() -> None:
    assert [number(each) for each in (0.1234, 9.876, 45.67, 123.4, 98_765, 1_234_567)] == [
        *("0.12", "9.88", "45.7", "123", "98 800", "1 230 000"),
    ]
