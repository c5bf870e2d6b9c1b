"""Which tasks need a beat, and when."""

from relay.client.beats import BEAT_AFTER_SECONDS, LEASE_SECONDS, MAX_TASKS, RETRY_SECONDS, Beats


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


def beats() -> tuple[Beats, Clock]:
    clock = Clock()
    return Beats(clock), clock


def test_a_silent_task_needs_a_beat_three_times_in_a_lease() -> None:
    made, clock = beats()
    made.begin("a")
    assert made.due() == []
    clock.now += BEAT_AFTER_SECONDS
    assert made.due() == ["a"]
    made.sent(["a"])
    assert made.due() == []
    assert LEASE_SECONDS >= 3 * BEAT_AFTER_SECONDS


def test_a_task_of_which_events_are_sent_needs_none() -> None:
    made, clock = beats()
    made.begin("a")
    made.begin("b")
    for _ in range(3):
        clock.now += BEAT_AFTER_SECONDS / 2
        made.touch("a")
        made.touch("unknown")
    assert made.due() == ["b"]


def test_a_task_that_has_ended_needs_none() -> None:
    made, clock = beats()
    made.begin("a")
    made.end("a")
    made.end("a")
    clock.now += LEASE_SECONDS
    made.sent(["a"])
    assert made.due() == []


def test_a_beat_that_was_not_answered_is_sent_again_soon() -> None:
    made, clock = beats()
    made.begin("a")
    clock.now += BEAT_AFTER_SECONDS
    made.retry(["a"])
    assert made.due() == []
    clock.now += RETRY_SECONDS
    assert made.due() == ["a"]
    made.retry(["a"], 2 * RETRY_SECONDS)
    clock.now += RETRY_SECONDS
    assert made.due() == []


def test_one_beat_names_a_hundred_tasks_at_most() -> None:
    made, clock = beats()
    for number in range(MAX_TASKS + 1):
        made.begin(str(number))
    clock.now += BEAT_AFTER_SECONDS
    first = made.due()
    assert len(first) == MAX_TASKS
    made.sent(first)
    assert made.due() == [str(MAX_TASKS)]


def test_where_no_beats_are_taken_none_is_sent() -> None:
    made, clock = beats()
    made.begin("a")
    clock.now += BEAT_AFTER_SECONDS
    made.stop()
    assert made.due() == []
