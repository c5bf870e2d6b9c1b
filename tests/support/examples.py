"""How many examples a test tries that makes up its own.

A plain run tries the same ones each time, which more of them hardly make better, and `make shake`
new ones: a quarter is for the plain run, all are for the other one.
"""

from hypothesis import HealthCheck, settings

PLAIN, MANY = "steady", "shake"  # pytest's --hypothesis-profile; the first is its default
SHARE = 4  # of so many examples a plain run tries one


def register_profiles() -> None:
    """No example has a deadline: a busy machine takes seconds for the simplest one.

    Both start from the library's default. What is in force instead, once a variable such as CI is
    set, tries the same examples in each run.
    """
    default = settings.get_profile("default")
    given = settings(default, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    many = given.max_examples
    settings.register_profile(PLAIN, given, derandomize=True, max_examples=many // SHARE)
    settings.register_profile(MANY, given, max_examples=many)
    settings.load_profile(PLAIN)


def examples(many: int) -> int:
    """Of so many in `make shake`, how many this run tries: at least one."""
    plain = settings.get_current_profile_name() != MANY
    return max(1, many // SHARE) if plain else many
