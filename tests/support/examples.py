"""How many examples a test tries that makes up its own.

A plain run tries the same ones each time, which more of them hardly make better. `make shake` tries
others, as many in most of its runs, and four times as many in the first.
"""

from hypothesis import HealthCheck, settings

PLAIN, OTHER, MANY = "steady", "other", "many"
"""pytest's --hypothesis-profile; the first is its default."""

SHARE = 4  # of so many examples all but MANY try one


def register_profiles() -> None:
    """No example has a deadline: a busy machine takes seconds for the simplest one.

    All start from the library's default. What is in force instead, once a variable such as CI is
    set, tries the same examples in each run.
    """
    default = settings.get_profile("default")
    given = settings(default, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    many = given.max_examples
    settings.register_profile(MANY, given)
    settings.register_profile(OTHER, given, max_examples=many // SHARE)
    settings.register_profile(PLAIN, given, max_examples=many // SHARE, derandomize=True)
    settings.load_profile(PLAIN)


def examples(many: int) -> int:
    """Of so many with the profile MANY, how many this run tries: at least one."""
    all_of_them = settings.get_current_profile_name() == MANY
    return many if all_of_them else max(1, many // SHARE)
