"""A duration as people read it."""

MAX_HOURS = 100_000  # ten years; a producer may report any number of seconds


def duration_text(seconds: float) -> str:
    """A duration as `2.5 s`, `3:10` or `1:02:05`; a longer one than any as `1e+30 s`."""
    seconds = round(seconds, 1)
    if seconds >= MAX_HOURS * 3_600:
        return f"{seconds:.0e} s"
    whole = int(seconds)
    if whole < 60:
        return f"{seconds:z.1f} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
