"""Network namespaces, each with one device whose other end is in the namespace of the wire.

It needs pairs of virtual Ethernet devices (veth), which a process may make that is root in its own
user namespace. It does without TUN devices: most machines keep those for root.
"""

import array
import ctypes
import errno
import fcntl
import os
import socket
import struct
import subprocess
from dataclasses import dataclass

from tests.support.hosts.addresses import PREFIX, address

CLONE_NEWNET = 0x40000000
SIOCETHTOOL = 0x8946
# tx-checksumming, tcp-segmentation-offload, generic-segmentation-offload (linux/ethtool.h)
OFFLOADS = (0x17, 0x1F, 0x24)
IPV4 = 0x0800  # its EtherType
PACKET_BYTES = 65_536
MAC = "02:00:00:00:00:01"  # of every host: each is alone on its pair of devices
MAC_BYTES = bytes.fromhex(MAC.replace(":", ""))


def new_namespace() -> int:
    """Enter a network namespace of its own; returns its descriptor. Raises OSError."""
    _call("unshare", CLONE_NEWNET)
    return os.open("/proc/self/ns/net", os.O_RDONLY)


def enter(namespace: int) -> None:
    _call("setns", namespace, CLONE_NEWNET)


def _call(name: str, *arguments: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments):
        raise OSError(ctypes.get_errno(), f"{name} of a network namespace failed")


@dataclass
class Host:
    """A namespace, and the wire's end of its device."""

    name: str
    number: int  # from 1
    namespace: int
    end: socket.socket

    @property
    def ip(self) -> bytes:
        return socket.inet_aton(address(self.number))

    def take(self) -> bytes | None:
        """The next packet that the host sent, without its Ethernet header; None if none waits."""
        try:
            return self.end.recv(PACKET_BYTES)
        except BlockingIOError:
            return None

    def give(self, packet: bytes) -> None:
        """Deliver a packet. A full device loses it, as any device does."""
        try:
            self.end.sendto(packet, (_end_of(self.number), IPV4, 0, 0, MAC_BYTES))
        except OSError as error:
            if error.errno not in (errno.ENOBUFS, errno.EAGAIN):
                raise


def make_hosts(names: list[str]) -> tuple[int, list[Host]]:
    """Enter a namespace for the wire, and make one for each host. Raises OSError.

    Returns the descriptor of the wire's namespace, and the hosts.
    """
    own = new_namespace()
    namespaces = [_make_host(number, own) for number in range(1, 1 + len(names))]
    enter(own)
    _ip(*(f"link set {_end_of(number)} up" for number in range(1, 1 + len(names))))
    ends = [_opened(number) for number in range(1, 1 + len(names))]
    rows = enumerate(zip(names, namespaces, ends, strict=True), 1)
    return own, [Host(name, number, namespace, end) for number, (name, namespace, end) in rows]


def _make_host(number: int, wire: int) -> int:
    """Make a namespace with a device `wire`; the other end of it is where the wire is."""
    namespace = new_namespace()
    there = f"/proc/{os.getpid()}/fd/{wire}"
    _ip(
        "link set lo up",
        f"link add wire address {MAC} type veth peer name {_end_of(number)} netns {there}",
        f"addr add {address(number)}/{PREFIX} dev wire",
        "link set wire arp off up",  # so every packet goes to the device's own address
    )
    _send_whole_packets("wire")
    return namespace


def _send_whole_packets(device: str) -> None:
    """Let the host compute checksums and cut segments, which it else leaves to the device."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        for offload in OFFLOADS:
            value = array.array("I", [offload, 0])
            request = struct.pack("16sP16x", device.encode(), value.buffer_info()[0])
            fcntl.ioctl(any_socket, SIOCETHTOOL, request)


def _opened(number: int) -> socket.socket:
    end = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
    end.bind((_end_of(number), IPV4))
    end.setblocking(False)
    return end


def _end_of(number: int) -> str:
    return f"host{number}"


def _ip(*commands: str) -> None:
    """Execute commands of `ip` in the present namespace."""
    batch = "\n".join(commands).encode()
    done = subprocess.run(["ip", "-batch", "-"], input=batch, check=False)
    if done.returncode:
        raise OSError(f"ip failed: {commands}")
