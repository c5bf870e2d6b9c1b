"""What the server layer costs: Hypercorn's own, the guard around it, and the lean one, in turn.

    python -m bench.layers [bare ingest fanout idle] [--seconds 3] [--rounds 3]

Beside each rate stands how many a second of the server's own processor time gives: where the
machine is shared, that is the figure that holds still, and the ratios are made of it.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial
from statistics import median

from bench import wire
from bench.catalogue import relay
from bench.generator import Poster, generator
from bench.machine import OTHER_CORES, pin, raise_limits
from bench.marks import Lane
from bench.peer import Ask, Peer
from bench.posting import post_madly
from bench.processes import free_port, running
from bench.stage import JSON, Phase, Stage, settle
from bench.workloads import USERS, Order, idle, warm

Figures = tuple[float, float]  # a second, and a second of the server's processor time
LAYERS = ("guard", "lean")
CONNECTIONS = 64  # enough that the server always has something to do


def main() -> None:
    kinds = {"bare": bare, "ingest": ingest, "fanout": fanout, "idle": idling}
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=", ".join(kinds))
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    wanted = parser.parse_args()
    raise_limits()
    pin(os.getpid(), OTHER_CORES)
    for kind in wanted.kinds or kinds:
        kinds[kind](wanted.seconds, wanted.rounds)


def bare(seconds: float, rounds: int) -> None:
    """One small POST after the other, over kept connections, to an app that only answers."""
    with ExitStack() as stack:
        programs = {}
        for name in ("hypercorn", *LAYERS):
            port = free_port()
            command = [sys.executable, "-m", "bench.peers.bare", name, str(port)]
            programs[name] = stack.enter_context(running(command, port, {}))

        def measure(name: str) -> Figures:
            program = programs[name]
            head = wire.head("POST", "/", program.port, ["Content-Type: application/json"])
            with generator() as load:
                posters = [
                    Poster(load, program.port, [Lane(0, 0, head)]) for _ in range(CONNECTIONS)
                ]
                for poster in posters:
                    poster.connect()
                post_madly(load, posters, seconds / 10)
                for poster in posters:
                    poster.answers.clear()
                meter = program.meter()
                span = post_madly(load, posters, seconds)
                busy = meter.read().server
                count = sum(len(poster.answers) for poster in posters)
                for poster in posters:
                    poster.close()
            rate = count / (span.answered - span.began)
            return rate, rate / busy

        compared("bare ASGI, requests", list(programs), measure, rounds)


def ingest(seconds: float, rounds: int) -> None:
    """Relay's own: one event a POST, its token checked, itself validated, stored and answered."""
    _posted("ingestion, events", seconds, rounds, _produce)


def _produce(stage: Stage) -> None:
    """A connection for every user: many wait for one commit."""
    for user, door in enumerate(stage.doors):
        stage.lanes.append(Lane(user, user, door.posting(JSON)))
        poster = Poster(stage.load, door.port, [stage.lanes[-1]])
        poster.connect()
        stage.posters.append(poster)


def fanout(seconds: float, rounds: int) -> None:
    """Relay's own: one user's events on a hundred sockets."""
    _posted(
        "fan-out, deliveries",
        seconds,
        rounds,
        lambda stage: (stage.watch(100), stage.produce(lanes_each=16)),
        users=1,
        each=100,
    )


def _posted(
    what: str,
    seconds: float,
    rounds: int,
    prepare: Callable[[Stage], object],
    *,
    users: int = USERS,
    each: int = 1,
) -> None:
    def rates(phase: Phase) -> Figures:
        if not phase.good:
            raise RuntimeError(f"{what}: {phase.record()['wrong']}")
        ended = max(phase.ended, phase.span.answered)
        rate = phase.posted * each / (ended - phase.span.began)
        return rate, rate / phase.load.server

    with ExitStack() as stack:
        scenes = {name: stack.enter_context(_peer(name).start(Ask())) for name in LAYERS}

        def measure(name: str) -> Figures:
            scene = scenes[name]
            with generator() as load:
                stage = Stage(load, _peer(name), scene, scene.doors(users, True))
                with closing(stage):
                    prepare(stage)
                    settle(load)
                    warm(stage)
                    return rates(stage.phase(partial(post_madly, load, stage.posters, seconds)))

        compared(what, LAYERS, measure, rounds)


def idling(seconds: float, rounds: int) -> None:
    """What a thousand streams that wait take, each."""
    for name in LAYERS:
        peer = replace(_peer(name), streams=("ws",))
        with peer.start(Ask()) as scene:
            order = Order(idle=1_000, idle_seconds=1.0)
            for record in idle(peer, scene, order, "ws"):
                print(f"an idle WebSocket  {name:9} {record['kib_each']:6.1f} KiB", flush=True)


def compared(
    what: str, names: Sequence[str], measure: Callable[[str], Figures], rounds: int
) -> None:
    """Each in turn, so that a machine's moods hit all of them."""
    found: dict[str, list[Figures]] = {name: [] for name in names}
    for number in range(rounds):
        for name in names:
            found[name].append(measure(name))
            rate, own = found[name][-1]
            figures = f"{rate:8.0f}/s, {own:8.0f} a second of its own"
            print(f"{what}  round {number + 1}  {name:9} {figures}", flush=True)
    first = [own for _, own in found[names[0]]]
    for name in names[1:]:
        ratios = [own / base for (_, own), base in zip(found[name], first, strict=True)]
        print(
            f"{what}  {name} / {names[0]}: {median(ratios):.2f}"
            f" ({min(ratios):.2f} to {max(ratios):.2f})",
            flush=True,
        )


def _peer(layer: str) -> Peer:
    return relay(f"relay, {layer}", {"RELAY_HTTP1": layer})


if __name__ == "__main__":
    main()
