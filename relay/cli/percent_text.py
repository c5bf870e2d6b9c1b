"""How far a task is, in percent, as the page shows it, too."""


def percent_text(progress: float) -> str:
    """A progress from 0 to 1, rounded down: `100%` is all of it.

    0.29 * 100 is below 29, so digits that only binary fractions have are dropped first.
    """
    return f"{int(round(progress * 100, 6))}%"
