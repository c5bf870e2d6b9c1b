"""A plain run tries a quarter of the examples, the same ones each time; `make shake` others."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.support.examples import MANY, OTHER, PLAIN, examples


@pytest.fixture(params=[PLAIN, OTHER, MANY])
def profile(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each of the three, for the length of the test."""
    before = settings.get_current_profile_name()
    settings.load_profile(request.param)
    yield request.param
    settings.load_profile(before)


def test_only_one_profile_tries_more_than_a_quarter(profile: str) -> None:
    expected = [1, 4, 8, 400] if profile == MANY else [1, 1, 2, 100]
    assert [examples(many) for many in (1, 4, 8, 400)] == expected


def test_a_test_that_states_no_number_follows_the_profile(profile: str) -> None:
    stated = settings()
    expected = {PLAIN: (25, True), OTHER: (25, False), MANY: (100, False)}[profile]
    assert (stated.max_examples, stated.derandomize) == expected
    assert stated.deadline is None


PROFILES = """
from hypothesis import settings
from tests.support.examples import MANY, OTHER, PLAIN, register_profiles
register_profiles()
print(*(settings.get_profile(name) for name in (PLAIN, OTHER, MANY)), sep="\\n")
"""


def profiles(**variables: str) -> str:
    """All, in a process with these variables: they are read when the library is imported."""
    command = [sys.executable, "-c", PROFILES]
    return subprocess.check_output(command, env={**os.environ, **variables}, text=True)


@pytest.fixture(scope="module")
def usual_profiles() -> str:
    """All as they are here, for all variables to be compared with."""
    return profiles()


@pytest.mark.parametrize("variable", ["CI", "GITHUB_ACTIONS", "CODEBUILD_BUILD_ID"])
def test_continuous_integration_tries_the_same_as_any_machine(
    variable: str, usual_profiles: str
) -> None:
    assert profiles(**{variable: "true"}) == usual_profiles
