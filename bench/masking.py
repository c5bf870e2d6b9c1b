"""Measure how fast output becomes masked lines and progress, without sending.

    python -m bench.masking [--rounds 20]

In each round every form is measured with every number of secrets in turn, so that changes in the
machine's speed affect all of them. A figure is the best round.
"""

import argparse
import base64
import hashlib
from collections.abc import Callable
from time import process_time

from relay.runner.lines import LineSplitter
from relay.runner.progress import progress_of_bars, progress_of_lines
from relay.runner.recorder import MAX_BATCH
from relay.runner.redaction import Mask

SECRETS = (1, 10, 100)
SIZE = 4 * 2**20  # bytes per round and form

Form = Callable[[int], str]


def plain(number: int) -> str:
    return f"2026-01-31 12:00:{number % 60:02} INFO worker {number}: wrote page {number} to disk\n"


def colours(number: int) -> str:
    """The level has a colour."""
    time = f"2026-01-31 12:00:{number % 60:02}"
    return f"{time} \x1b[32mINFO\x1b[0m worker {number}: wrote page {number} to disk\n"


def bold(number: int) -> str:
    """Most words have a colour of their own."""
    return (
        f"\x1b[2m12:00:{number % 60:02}\x1b[0m [\x1b[32m\x1b[1minfo     \x1b[0m]"
        f" \x1b[1mwrote page to disk\x1b[0m  \x1b[36mworker\x1b[0m=\x1b[35m{number}\x1b[0m\n"
    )


def bars(number: int) -> str:
    """A bar that is written over, and a line after each hundred states of it."""
    done = number % 100
    end = "\n" if done == 99 else ""
    return f"\r{done:3}%|{'#' * (done // 5):20}| {done}/100 [00:{done // 2:02}, 2.00it/s]{end}"


def drawn(number: int) -> str:
    """A bar as rich and pip draw it: erased, then written in colours."""
    done = number % 100
    bar = f"\x1b[38;5;76m{'━' * (done // 5)}\x1b[0m\x1b[38;5;237m{'━' * (20 - done // 5)}\x1b[0m"
    return f"\r\x1b[2Kcopying {bar} \x1b[35m{done:3}%\x1b[0m \x1b[36m0:00:{done // 2:02}\x1b[0m"


def nested(number: int) -> str:
    """A bar below another one, as tqdm draws them: the cursor goes up again."""
    done = number % 100
    inner = f"\n\rbatches: {done:3}%|{'#' * (done // 5):20}| {done}/100 [00:{done // 2:02}]\x1b[A"
    return f"\repochs: {number // 100 % 100:3}%|{'#' * 10:20}| 5/10 [00:42, 2.00it/s]{inner}"


def identifiers(number: int) -> str:
    """All characters of secrets are in the text, and its words are as long as tokens."""
    digest = hashlib.sha256(b"request %d" % number).digest()
    name = base64.urlsafe_b64encode(digest[:18]).decode()
    return (
        f"12:00:{number % 60:02} \x1b[32mINFO\x1b[0m request \x1b[1m{name}\x1b[0m: GET"
        f' /pages/{number}?size=20 in 12 ms, "{digest[:8].hex()}"\n'
    )


FORMS: tuple[Form, ...] = (plain, colours, bold, identifiers, bars, drawn, nested)


def secrets(count: int) -> list[str]:
    """Tokens of 27 letters, digits, `_` and `-`."""
    digests = (hashlib.sha256(b"%d" % number).digest() for number in range(count))
    return [base64.urlsafe_b64encode(digest[:20]).decode().rstrip("=") for digest in digests]


def blocks(form: Form) -> list[bytes]:
    lines: list[bytes] = []
    size = 0
    while size < SIZE:
        lines.append(form(len(lines)).encode())
        size += len(lines[-1])
    text = b"".join(lines)
    return [text[at : at + MAX_BATCH] for at in range(0, len(text), MAX_BATCH)]


def measure(mask: Mask, output: list[bytes]) -> float:
    """MB/s through the splitter, the mask and the search for progress."""
    lines = LineSplitter(mask)
    begun = process_time()
    for block in output:
        text, drawn = lines.feed(block, 0.0)
        if drawn is not None:
            progress_of_bars(drawn)
        if text is not None:
            progress_of_lines(text)
    return sum(map(len, output)) / (process_time() - begun) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    output = {form: blocks(form) for form in FORMS}
    masks = {count: Mask(secrets(count)) for count in SECRETS}
    best: dict[tuple[Form, int], float] = {}
    for _ in range(rounds):
        for form in FORMS:
            for count, mask in masks.items():
                found = measure(mask, output[form])
                best[form, count] = max(found, best.get((form, count), 0.0))
    print(f"{'MB/s':12}" + "".join(f"{f'{count} secrets':>13}" for count in SECRETS))
    for form in FORMS:
        print(f"{form.__name__:12}" + "".join(f"{best[form, count]:13.0f}" for count in SECRETS))


if __name__ == "__main__":
    main()
