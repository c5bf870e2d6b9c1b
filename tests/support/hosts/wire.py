"""A wire between network namespaces, run as a program: it makes both, and carries packets.

    python -m tests.support.hosts.wire NAME...

Each host is a namespace with one TUN device. A packet that is sent to another host is read here,
and written to that host's device: later, or never, as the way between the two is set. So it needs
no traffic control of the kernel, which many kernels lack. It prints the descriptors of the
namespaces as a JSON object, then reads settings, one JSON object a line, and prints a line for
each. At the end of its input it ends, and the namespaces with their last process.
"""

import ctypes
import fcntl
import heapq
import itertools
import json
import os
import random
import selectors
import struct
import subprocess
import sys
import time
from dataclasses import dataclass

from tests.support.hosts.addresses import PREFIX, address

CLONE_NEWNET = 0x40000000
TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
PACKET_BYTES = 65_536
IPV4 = 4
DESTINATION = slice(16, 20)  # of an IPv4 header


@dataclass
class Way:
    """How packets go from one host to another one."""

    delay: float = 0.0  # seconds
    loss: float = 0.0  # the share that gets lost; 1: all


def new_namespace() -> int:
    """Enter a network namespace of its own; returns its descriptor. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "a network namespace cannot be made")
    return os.open("/proc/self/ns/net", os.O_RDONLY)


def new_device(ip: str) -> int:
    """Make a TUN device with this address in the present namespace; returns its descriptor."""
    device = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", b"wire", IFF_TUN | IFF_NO_PI))
    for arguments in ("link set lo up", f"addr add {ip}/{PREFIX} dev wire", "link set wire up"):
        subprocess.run(["ip", *arguments.split()], check=True)
    return device


class Wire:
    """The devices of the hosts, and the packets on their way."""

    def __init__(self, names: list[str]) -> None:
        self.namespaces: dict[str, int] = {}
        self._devices: dict[bytes, int] = {}  # by address
        self._names: dict[int, str] = {}  # by device
        self._ways = {pair: Way() for pair in itertools.permutations(names, 2)}
        self._flying: list[tuple[float, int, int, bytes]] = []  # due, number, device, packet
        self._numbers = itertools.count()
        self._random = random.Random(0)
        for number, name in enumerate(names, 1):
            self.namespaces[name] = new_namespace()
            device = new_device(address(number))
            self._devices[bytes(map(int, address(number).split(".")))] = device
            self._names[device] = name

    def set_way(self, source: str, to: str, **way: float) -> None:
        self._ways[source, to] = Way(**way)

    def take(self, device: int) -> None:
        """Take one packet from a host."""
        packet = os.read(device, PACKET_BYTES)
        to = self._devices.get(packet[DESTINATION])
        if packet[0] >> 4 != IPV4 or to is None:
            return
        way = self._ways[self._names[device], self._names[to]]
        if self._random.random() >= way.loss:
            due = time.monotonic() + way.delay
            heapq.heappush(self._flying, (due, next(self._numbers), to, packet))

    def deliver(self) -> float | None:
        """Deliver what is due; returns the seconds until the next packet is."""
        while self._flying:
            left = self._flying[0][0] - time.monotonic()
            if left > 0:
                return left
            _, _, to, packet = heapq.heappop(self._flying)
            os.write(to, packet)
        return None

    def run(self) -> None:
        """Carry packets until the input ends."""
        with selectors.DefaultSelector() as selector:
            for device in self._names:
                selector.register(device, selectors.EVENT_READ)
            selector.register(sys.stdin, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select(self.deliver()):
                    if key.fd in self._names:
                        self.take(key.fd)
                    elif line := sys.stdin.readline():
                        self.set_way(**json.loads(line))
                        print("set", flush=True)
                    else:
                        return


if __name__ == "__main__":
    wire = Wire(sys.argv[1:])
    print(json.dumps(wire.namespaces), flush=True)
    wire.run()
