"""Ways to post: as fast as answers arrive, at a fixed rate, or a fixed number."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.generator import TIMEOUT_SECONDS, Generator, Poster, clock
from bench.marks import Lane


@dataclass(frozen=True, slots=True)
class Span:
    """When the first POST was sent, and when the last answer had arrived."""

    began: float
    answered: float


def post_at_full_rate(load: Generator, posters: Sequence[Poster], seconds: float) -> Span:
    """Post as fast as answers arrive, for `seconds`."""
    began = clock()
    for poster in posters:
        poster.begin(began + seconds)
    load.run_until(
        lambda: not any(poster.busy for poster in posters), seconds + TIMEOUT_SECONDS, "answers"
    )
    return Span(began, clock())


def post_at_fixed_rate(
    load: Generator, posters: Sequence[Poster], lanes: Sequence[Lane], rate: float, seconds: float
) -> Span:
    """Post at a fixed rate, each lane in turn, regardless of earlier answers.

    The k-th post is due at `began + k / rate`. Its latency counts from then, even if it is sent
    later.
    """
    owner = {lane.number: poster for poster in posters for lane in poster.lanes}
    began = clock() + 0.01
    for k in range(int(rate * seconds)):
        due = began + k / rate
        while clock() < due:
            load.run_once(due)
        lane = lanes[k % len(lanes)]
        owner[lane.number].schedule(lane, due)
        if not k % 8:
            load.run_once(0)  # read answers even if all posts are late
    load.run_until(lambda: not any(poster.busy for poster in posters), TIMEOUT_SECONDS, "answers")
    return Span(began, clock())


def post_count(load: Generator, posters: Sequence[Poster], times: int) -> Span:
    """Post `times` requests of every lane."""
    began = clock()
    for poster in posters:
        for lane in poster.lanes:
            poster.queue.extend([(lane, began)] * times)
        poster.begin(0)
    load.run_until(lambda: not any(poster.busy for poster in posters), 600, "answers")
    return Span(began, clock())
