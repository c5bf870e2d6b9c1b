"""Measure the parsing of events that are written in different valid ways.

    python -m bench.parsing [--rounds 20]

In each round every form is measured in turn, so that changes in the machine's speed affect all of
them. A form's figure is its best round; its ratio compares it with the tidy form.
"""

import argparse
import json
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from time import process_time
from uuid import UUID

import trio

from relay.ingest.ndjson import parse_batch
from relay.ingest.parsing import parse_event

EVENTS = 50  # per batch
REPEATS = 4  # of each batch per round
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)

Form = Callable[[int], bytes]
Figures = dict[str, float]  # microseconds per event


def event(number: int, payload: object, **fields: str) -> dict[str, object]:
    named = {"event_id": str(UUID(int=number)), "task_id": "build-17"}
    time = f"2026-01-31T12:00:00.{number:03}Z"
    return {"event_type": "task_progress", "ts": time, "payload": payload, **named, **fields}


def tidy(number: int, **fields: str) -> bytes:
    """As `json.dumps` writes it."""
    message = f"step {number} of the build, which compiles the file named below and links"
    payload = {"progress": 0.5, "message": message, "work": "build", "path": "/srv/build/lib/a.c"}
    return json.dumps(event(number, payload, **fields)).encode()


def compact(number: int) -> bytes:
    return json.dumps(json.loads(tidy(number)), separators=(",", ":")).encode()


def names(number: int) -> bytes:
    """The payload contains the envelope's field names, as names and as values."""
    payload = {"task_id": "build", "ts": "12:00", "payload": {"event_type": "event_id"}}
    return json.dumps(event(number, {**payload, "message": f"step {number} of it"})).encode()


def escapes(number: int) -> bytes:
    r"""The payload contains `\u00e9`, a surrogate pair, quotes and backslashes."""
    payload = {"message": f'"étape" {number} \U0001f600', "path": "C:\\users\\uma\\build"}
    return json.dumps(event(number, {**payload, "progress": 0.5})).encode()


def slashes(number: int) -> bytes:
    r"""Identifiers contain `\/`, as some encoders write slashes."""
    return tidy(number, task_id="builds/17/main", event_id=f'"{number}"/a').replace(b"/", b"\\/")


def html_safe(number: int) -> bytes:
    r"""An identifier contains `\u0026`, as HTML-safe encoders write `&`."""
    return tidy(number, task_id="build&test").replace(b"&", rb"\u0026")


def carriage_returns(number: int) -> bytes:
    return tidy(number) + b"\r"


def blank_lines(number: int) -> bytes:
    return tidy(number) + b"\n"


def leap(number: int) -> bytes:
    """The time is a leap second on 29 February, with lower-case `t` and `z`."""
    return tidy(number, ts="2024-02-29t23:59:60.123456z")


def mixed(number: int) -> bytes:
    """Each line has another form."""
    return EACH[number % len(EACH)](number)


def worst(number: int) -> bytes:
    """Several of these forms in one event."""
    nested = json.loads(names(number))["payload"] | json.loads(escapes(number))["payload"]
    line = json.dumps(event(number, nested, task_id="builds/17", ts="2024-02-29T23:59:60+00:00"))
    return line.encode().replace(b"/", b"\\/") + b"\r\n"


def large(number: int) -> bytes:
    """A payload of eight kilobytes."""
    return json.dumps(event(number, {"lines": ["and so on to the end of the line"] * 220})).encode()


EACH: tuple[Form, ...] = (
    *(tidy, compact, names, escapes, slashes, html_safe, carriage_returns, blank_lines, leap),
)
FORMS: tuple[Form, ...] = (*EACH, mixed, worst, large)


def single(form: Form) -> Figures:
    bodies = [form(number) for number in range(EVENTS)]
    begun = process_time()
    for _ in range(REPEATS):
        for body in bodies:
            parse_event(body, NOW)
    return {"single": (process_time() - begun) / REPEATS / EVENTS * 1e6}


async def batch(form: Form) -> Figures:
    body = b"\n".join([form(number) for number in range(EVENTS)])
    begun = process_time()
    for _ in range(REPEATS):
        await parse_batch(body, NOW)
    return {"batch": (process_time() - begun) / REPEATS / EVENTS * 1e6}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    best: dict[str, Figures] = {form.__name__: {} for form in FORMS}
    for _ in range(rounds):
        for form in FORMS:
            found = single(form) | trio.run(partial(batch, form))
            for way, figure in found.items():
                of_form = best[form.__name__]
                of_form[way] = min(figure, of_form.get(way, figure))
    print(f"{'µs per event':18} {'single':>7} {'of tidy':>8}  {'batch':>7} {'of tidy':>8}  bytes")
    for form in FORMS:
        figures = best[form.__name__]
        shares = {way: best["tidy"][way] / figure for way, figure in figures.items()}
        print(
            f"{form.__name__:18} {figures['single']:7.2f} {shares['single']:8.2f}"
            f"  {figures['batch']:7.2f} {shares['batch']:8.2f}  {len(form(1)):5}"
        )


if __name__ == "__main__":
    main()
