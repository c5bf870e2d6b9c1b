"""The calculation of what is full first, and the page that shows what it prints."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.capacity import Fleet, Load, arguments, full, most_events, shares
from bench.capacity_page import BLOCK, PAGE, filled

loads = st.builds(
    Load,
    events=st.floats(1, 1e6),
    per_post=st.floats(1, 1_000),
    streams=st.floats(1, 1e6),
    readers=st.floats(1, 100),
)
fleets = st.builds(
    Fleet,
    hosts=st.integers(1, 100),
    workers=st.integers(1, 64),
    databases=st.integers(1, 64),
    backplane=st.sampled_from(["postgres", "valkey"]),
)


def test_the_page_shows_what_is_printed() -> None:
    text = PAGE.read_text()
    assert len(BLOCK.findall(text)) >= 5
    assert filled(text) == text


@given(loads, fleets)
def test_more_events_never_take_less(load: Load, fleet: Fleet) -> None:
    more = replace(load, events=load.events * 2)
    before = {one.resource: one.needed for one in shares(load, fleet)}
    for one in shares(more, fleet):
        assert one.needed >= before[one.resource] * (1 - 1e-9), one


@given(loads, fleets)
def test_at_the_highest_rate_nothing_is_full_and_above_it_something_is(
    load: Load, fleet: Fleet
) -> None:
    most, first = most_events(load, fleet, 0.6)
    if most:
        assert full(replace(load, events=most), fleet, 0.6) == []
    assert first in full(replace(load, events=most * 1.01), fleet, 0.6)


@given(loads)
def test_one_process_pays_for_no_other_one(load: Load) -> None:
    alone = Fleet(hosts=1, workers=1)
    assert shares(load, alone) == shares(load, replace(alone, backplane="valkey"))


@pytest.mark.parametrize("option", ["--events=0", "--hosts=0", "--limit=nan", "--workers=1.5"])
def test_a_number_that_makes_no_sense_is_refused(
    option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        arguments([option])
    assert ended.value.code == 2
    assert option.partition("=")[0] in capsys.readouterr().err
