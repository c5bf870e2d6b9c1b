"""A wire between network namespaces, run as a program: it makes both, and carries packets.

    python -m tests.support.hosts.wire NAME...

A packet that one host sends to another one is taken from the first one's device, and given to the
second one's: later, or never, as the way between the two is set. So it needs no traffic control of
the kernel, which many kernels lack. Its standard input is a socket that keeps messages apart
(SOCK_SEQPACKET). It sends the descriptors of the namespaces as a JSON object, then answers one
request after the other: to set ways, or to make a socket in a namespace, which it sends along. At
the end of its input it ends, and the namespaces with their last process.
"""

import heapq
import itertools
import json
import os
import random
import selectors
import socket
import sys
import time
from dataclasses import dataclass
from typing import Any

from tests.support.hosts.devices import PACKET_BYTES, Host, enter, make_hosts

AT_ONCE = 64  # packets of one host, before it is another one's turn
DESTINATION = slice(16, 20)  # of an IPv4 header


@dataclass
class Way:
    """How packets go from one host to another one."""

    delay: float = 0.0  # seconds
    loss: float = 0.0  # the share that gets lost; 1: all


class Wire:
    """The hosts, and the packets on their way."""

    def __init__(self, names: list[str], control: socket.socket) -> None:
        self._control = control
        self._own, hosts = make_hosts(names)
        self._hosts = {host.name: host for host in hosts}
        self._by_ip = {host.ip: host for host in hosts}
        self._ways = {pair: Way() for pair in itertools.permutations(names, 2)}
        self._flying: list[tuple[float, int, Host, bytes]] = []  # due, number, to, packet
        self._numbers = itertools.count()
        self._random = random.Random(0)

    def _take(self, host: Host) -> None:
        """Take what a host has sent."""
        for _ in range(AT_ONCE):
            if (packet := host.take()) is None:
                return
            to = self._by_ip.get(packet[DESTINATION])
            if to is None or to is host:
                continue
            way = self._ways[host.name, to.name]
            if self._random.random() >= way.loss:
                due = time.monotonic() + way.delay
                heapq.heappush(self._flying, (due, next(self._numbers), to, packet))

    def _deliver(self) -> float | None:
        """Deliver what is due; returns the seconds until the next packet is."""
        while self._flying:
            left = self._flying[0][0] - time.monotonic()
            if left > 0:
                return left
            _, _, to, packet = heapq.heappop(self._flying)
            to.give(packet)
        return None

    def _answer(self, request: dict[str, Any]) -> None:
        match request:
            case {"ways": ways, **way}:
                for source, to in ways:
                    self._ways[source, to] = Way(**way)
                self._control.send(b"set")
            case {"socket": name}:
                enter(self._hosts[name].namespace)
                with socket.socket() as made:
                    enter(self._own)
                    socket.send_fds(self._control, [b"socket"], [made.fileno()])

    def run(self) -> None:
        """Carry packets until the input ends."""
        namespaces = {host.name: host.namespace for host in self._hosts.values()}
        self._control.send(json.dumps(namespaces).encode())
        with selectors.DefaultSelector() as selector:
            for host in self._hosts.values():
                selector.register(host.end, selectors.EVENT_READ, host)
            selector.register(self._control, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select(self._deliver()):
                    if key.data is not None:
                        self._take(key.data)
                    elif request := self._control.recv(PACKET_BYTES):
                        self._answer(json.loads(request))
                    else:
                        return


if __name__ == "__main__":
    Wire(sys.argv[1:], socket.socket(fileno=os.dup(0))).run()
