"""What a request looks like must not decide how fast it is: one event a POST, in several forms.

    python -m bench.forms [--against CHECKOUT] [--seconds 2] [--rounds 5]

Each form takes its turn on one running Relay, in each round. The ratios are of events for each
second of the server's own processor time, to the plain form of the same round. With `--against`
the same is measured for another checkout of Relay, started beside the first, and their plain forms
are compared.
"""

import argparse
import os
from collections.abc import Callable
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from statistics import median

from bench.catalogue import relay
from bench.generator import Poster, generator
from bench.machine import OTHER_CORES, pin, raise_limits
from bench.marks import Lane
from bench.peer import Ask, Door, Peer, Scene
from bench.posting import post_madly
from bench.processes import ROOT
from bench.stage import JSON, Stage, settle
from bench.workloads import USERS, warm

Form = Callable[[Door, bytes], bytes]
"""The head of the same POST in another form."""


def with_field(field: str) -> Form:
    return lambda door, head: head + field.format(port=door.port).encode() + b"\r\n"


def respelt(old: bytes, new: bytes) -> Form:
    return lambda door, head: head.replace(old, new)


FORMS: dict[str, Form] = {
    "plain": lambda door, head: head,
    "Origin": with_field("Origin: http://127.0.0.1:{port}"),
    "charset=UTF-8": respelt(b"application/json", b"application/json;charset=UTF-8"),
    "bearer": respelt(b"Authorization: Bearer", b"authorization: bearer"),
    "a browser's": with_field(
        "Origin: http://127.0.0.1:{port}\r\nAccept: */*\r\nAccept-Language: en\r\n"
        "Accept-Encoding: gzip, deflate, br\r\nSec-Fetch-Site: same-origin\r\n"
        "Sec-Fetch-Mode: cors\r\nSec-Fetch-Dest: empty\r\nReferer: http://127.0.0.1:{port}/\r\n"
        "User-Agent: Mozilla/5.0"
    ),
    "with a query": respelt(b" HTTP/1.1", b"?source=ci HTTP/1.1"),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--against", type=Path)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    wanted = parser.parse_args()
    raise_limits()
    pin(os.getpid(), OTHER_CORES)
    checkouts = {"here": ROOT} | ({"there": wanted.against} if wanted.against else {})
    found: dict[str, dict[str, list[float]]] = {}
    with ExitStack() as stack:
        peers = {name: relay(f"relay, {name}", checkout=path) for name, path in checkouts.items()}
        scenes = {name: stack.enter_context(peer.start(Ask())) for name, peer in peers.items()}
        for _ in range(wanted.rounds):
            for form in FORMS:
                for name, peer in peers.items():
                    rate = posted(peer, scenes[name], FORMS[form], wanted.seconds)
                    found.setdefault(name, {}).setdefault(form, []).append(rate)
                    print(f"{name:6} {form:14} {rate:8.0f} events a second of its own", flush=True)
    for name, rates in found.items():
        for form in FORMS:
            print(f"{name:6} {form:14} {ratio(rates[form], rates['plain'])} of plain")
    if wanted.against:
        print(f"plain  here / there   {ratio(found['here']['plain'], found['there']['plain'])}")


def ratio(rates: list[float], base: list[float]) -> str:
    """Median, least and most of the rounds."""
    ratios = [rate / plain for rate, plain in zip(rates, base, strict=True)]
    return f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def posted(peer: Peer, scene: Scene, form: Form, seconds: float) -> float:
    """Events for each second of the server's own processor time."""
    with generator() as load:
        stage = Stage(load, peer, scene, scene.doors(USERS, True))
        with closing(stage):
            for user, door in enumerate(stage.doors):
                stage.lanes.append(Lane(user, user, form(door, door.posting(JSON))))
                poster = Poster(load, door.port, [stage.lanes[-1]])
                poster.connect()
                stage.posters.append(poster)
            settle(load)
            warm(stage)
            phase = stage.phase(partial(post_madly, load, stage.posters, seconds))
            if not phase.good:
                raise RuntimeError(str(phase.record()["wrong"]))
            return phase.posted / phase.load.server


if __name__ == "__main__":
    main()
