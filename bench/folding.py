"""Measure what one event costs when it is folded into its task.

    python -m bench.folding [--rounds 20]

In each round every kind of event is measured in turn, so that changes in the machine's speed affect
all of them. A kind's figure is its best round. The events come in batches of a thousand, as a busy
process folds them twice a second.
"""

import argparse
import json
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from time import process_time

from relay.events import Event
from relay.tasks.fold import add_to_tasks, fold
from relay.tasks.segments import Segment

EVENTS = 1_000  # per batch
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)

Payload = Callable[[int], str]


def log(number: int) -> str:
    return json.dumps({"message": f"step {number}: compiling the module", "level": "info"})


def titled_log(number: int) -> str:
    return json.dumps({"message": f"step {number}", "title": "make test"})


def coloured_log(number: int) -> str:
    return json.dumps({"message": f"\x1b[32mstep {number}\x1b[0m: compiling the module"})


def progress(number: int) -> str:
    return json.dumps({"title": "make test", "progress": 0.5, "message": f"step {number}"})


def metrics(number: int) -> str:
    return json.dumps({"progress": 0.5, "metrics": {"loss": 1 / number, "accuracy": 0.9}})


def odd(_number: int) -> str:
    """Not as the decoder takes it: a number beyond any double."""
    return '{"title":"make test","progress":1e400}'


KINDS: dict[str, tuple[str, Payload]] = {
    "log": ("log", log),
    "log with a title": ("log", titled_log),
    "log with escapes": ("log", coloured_log),
    "progress": ("task_progress", progress),
    "progress with metrics": ("task_progress", metrics),
    "progress out of range": ("task_progress", odd),
}


def batch(event_type: str, payload: Payload, tasks: int) -> list[Event]:
    return [
        Event(
            *("epoch", number, f"event-{number}", event_type, f"task-{number % tasks}"),
            *("2026-01-31T12:00:00Z", payload(number), NOW),
        )
        for number in range(1, EVENTS + 1)
    ]


START = batch("task_started", progress, 1)[0]


def fold_batch(events: list[Event]) -> None:
    tasks: dict[str, list[Segment]] = {}
    add_to_tasks(tasks, events)
    for task_id, segments in tasks.items():
        fold(fold(None, task_id, [START]), task_id, segments)


def measure(rounds: int, tasks: int) -> dict[str, float]:
    """Microseconds an event, by kind."""
    works = {
        name: partial(fold_batch, batch(event_type, payload, tasks))
        for name, (event_type, payload) in KINDS.items()
    }
    best = dict.fromkeys(works, float("inf"))
    for _ in range(rounds):
        for name, work in works.items():
            started = process_time()
            work()
            best[name] = min(best[name], (process_time() - started) / EVENTS * 1e6)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description="What an event costs when it is folded.")
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    one, many = measure(rounds, 1), measure(rounds, 20)
    print(f"{'µs an event':24}{'of 1 task':>12}{'of 20 tasks':>14}")
    for name in KINDS:
        print(f"{name:24}{one[name]:12.2f}{many[name]:14.2f}")


if __name__ == "__main__":
    main()
