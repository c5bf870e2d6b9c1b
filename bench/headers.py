"""Measure one event per POST with different request headers, which should not affect the speed.

    python -m bench.headers [--against CHECKOUT] [--seconds 2] [--rounds 5]

In each round every head is measured in turn on one running Relay. The ratios compare events per
second of the server's CPU time with the plain head of the same round. With `--against` another
checkout of Relay is measured, too, and the plain heads of the two are compared.
"""

import argparse
import os
from collections.abc import Callable
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from statistics import median

from bench.clients import JSON, Clients, wait_for_subscriptions
from bench.generator import Poster, generator
from bench.machine import OTHER_CORES, pin, raise_descriptor_limit
from bench.marks import Lane
from bench.peer import Endpoint, Peer, PeerInstance, StartOptions
from bench.posting import post_at_full_rate
from bench.processes import ROOT
from bench.relay_peer import relay
from bench.shapes import CLIENTS
from bench.workloads import USERS, warm_up

ChangeHead = Callable[[Endpoint, bytes], bytes]
"""Changes the head of a POST."""


def add_header(field: str) -> ChangeHead:
    return lambda endpoint, head: head + field.format(port=endpoint.port).encode() + b"\r\n"


def replace_in_head(old: bytes, new: bytes) -> ChangeHead:
    return lambda endpoint, head: head.replace(old, new)


HEADS: dict[str, ChangeHead] = {
    "plain": lambda endpoint, head: head,
    "Origin": add_header("Origin: http://127.0.0.1:{port}"),
    "charset=UTF-8": replace_in_head(b"application/json", b"application/json;charset=UTF-8"),
    "bearer": replace_in_head(b"Authorization: Bearer", b"authorization: bearer"),
    "a browser's": add_header(
        "Origin: http://127.0.0.1:{port}\r\nAccept: */*\r\nAccept-Language: en\r\n"
        "Accept-Encoding: gzip, deflate, br\r\nSec-Fetch-Site: same-origin\r\n"
        "Sec-Fetch-Mode: cors\r\nSec-Fetch-Dest: empty\r\nReferer: http://127.0.0.1:{port}/\r\n"
        "User-Agent: Mozilla/5.0"
    ),
    **{name: add_header("\r\n".join(headers)) for name, headers in CLIENTS.items()},
    "with a query": replace_in_head(b" HTTP/1.1", b"?source=ci HTTP/1.1"),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--against", type=Path)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    raise_descriptor_limit()
    pin(os.getpid(), OTHER_CORES)
    checkouts = {"here": ROOT} | ({"there": options.against} if options.against else {})
    found: dict[str, dict[str, list[float]]] = {}
    with ExitStack() as stack:
        peers = {name: relay(f"relay, {name}", checkout=path) for name, path in checkouts.items()}
        scenes = {
            name: stack.enter_context(peer.start(StartOptions())) for name, peer in peers.items()
        }
        for _ in range(options.rounds):
            for head in HEADS:
                for name, peer in peers.items():
                    rate = measure(peer, scenes[name], HEADS[head], options.seconds)
                    found.setdefault(name, {}).setdefault(head, []).append(rate)
                    print(f"{name:6} {head:14} {rate:8.0f} events per CPU second", flush=True)
    for name, rates in found.items():
        for head in HEADS:
            print(f"{name:6} {head:14} {ratio(rates[head], rates['plain'])} of plain")
    if options.against:
        print(f"plain  here / there   {ratio(found['here']['plain'], found['there']['plain'])}")


def ratio(rates: list[float], base: list[float]) -> str:
    """Median, minimum and maximum of the rounds."""
    ratios = [rate / plain for rate, plain in zip(rates, base, strict=True)]
    return f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def measure(peer: Peer, instance: PeerInstance, change: ChangeHead, seconds: float) -> float:
    """Events per second of the server's CPU time."""
    with generator() as load:
        clients = Clients(load, peer, instance, instance.endpoints(USERS, True))
        with closing(clients):
            for user, endpoint in enumerate(clients.endpoints):
                clients.lanes.append(Lane(user, user, change(endpoint, endpoint.post_head(JSON))))
                poster = Poster(load, endpoint.port, [clients.lanes[-1]])
                poster.connect()
                clients.posters.append(poster)
            wait_for_subscriptions(load)
            warm_up(clients)
            phase = clients.phase(partial(post_at_full_rate, load, clients.posters, seconds))
            if not phase.good:
                raise RuntimeError(str(phase.record()["wrong"]))
            return phase.posted / phase.load.server


if __name__ == "__main__":
    main()
