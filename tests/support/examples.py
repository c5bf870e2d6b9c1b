"""How many examples a property tries.

A plain run tries the same ones each time, so more of them find little. `make shake` tries others:
four times as many in its first run, as many as a plain run in the rest.
"""

from hypothesis import HealthCheck, settings

PLAIN, OTHER, MANY = "plain", "other", "many"
"""pytest's --hypothesis-profile; the first is its default."""

SHARE = 4  # PLAIN and OTHER try one example of so many


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
