"""A plain run tries a quarter of the examples of `make shake`, the same ones each time."""

from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.support.examples import MANY, PLAIN, examples


@pytest.fixture(params=[PLAIN, MANY])
def profile(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each of the two, for the length of the test."""
    before = settings.get_current_profile_name()
    settings.load_profile(request.param)
    yield request.param
    settings.load_profile(before)


def test_a_plain_run_tries_a_quarter(profile: str) -> None:
    expected = {PLAIN: [1, 1, 2, 100], MANY: [1, 4, 8, 400]}[profile]
    assert [examples(many) for many in (1, 4, 8, 400)] == expected


def test_a_test_that_states_no_number_follows_the_profile(profile: str) -> None:
    stated = settings()
    assert (stated.max_examples, stated.derandomize) == {PLAIN: (25, True), MANY: (100, False)}[
        profile
    ]
    assert stated.deadline is None
