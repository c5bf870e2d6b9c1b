"""Ports for programs that must keep theirs over a restart."""

import socket
import weakref
from typing import Self


class HeldPort:
    """A port of 127.0.0.1 that no other program is given while this object lives.

    It is bound and does not listen. Linux hands out no port that is bound, neither for a listener
    that takes any nor for an outgoing connection; and a server that sets SO_REUSEADDR, as they
    all do, still listens on it, again and again.
    """

    def __init__(self) -> None:
        held = socket.socket()
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        self.number: int = held.getsockname()[1]
        self.release = weakref.finalize(self, held.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
