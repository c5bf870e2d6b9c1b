"""When posts are sent: as fast as the answers come, at a fixed rate, or so many of each."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.generator import PATIENCE, Generator, Poster, clock
from bench.marks import Lane


@dataclass(frozen=True, slots=True)
class Span:
    """When posts were sent: the first, and when the last answer was in."""

    began: float
    answered: float


def post_madly(load: Generator, posters: Sequence[Poster], seconds: float) -> Span:
    """As fast as the answers come, for so long."""
    began = clock()
    for poster in posters:
        poster.begin(began + seconds)
    load.until(lambda: not any(poster.busy for poster in posters), seconds + PATIENCE, "answers")
    return Span(began, clock())


def post_steadily(
    load: Generator, posters: Sequence[Poster], lanes: Sequence[Lane], rate: float, seconds: float
) -> Span:
    """At a fixed rate, each lane in turn, whatever became of the posts before.

    The k-th is due at `began + k / rate` and counts from then, however late it could be sent.
    """
    owner = {lane.number: poster for poster in posters for lane in poster.lanes}
    began = clock() + 0.01
    for k in range(int(rate * seconds)):
        due = began + k / rate
        while clock() < due:
            load.turn(due)
        lane = lanes[k % len(lanes)]
        owner[lane.number].due(lane, due)
        if not k % 8:
            load.turn(0)  # answers are read even when everything is late
    load.until(lambda: not any(poster.busy for poster in posters), PATIENCE, "answers")
    return Span(began, clock())


def post_each(load: Generator, posters: Sequence[Poster], times: int) -> Span:
    """So many POSTs of every lane."""
    began = clock()
    for poster in posters:
        for lane in poster.lanes:
            poster.waits.extend([(lane, began)] * times)
        poster.begin(0)
    load.until(lambda: not any(poster.busy for poster in posters), 600, "answers")
    return Span(began, clock())
