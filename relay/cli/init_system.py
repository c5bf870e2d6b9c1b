"""Notifies the init system, if it asks for it: sd_notify(3)."""

import os
import socket
from contextlib import suppress


def notify_init_system(state: str) -> None:
    """Send `READY=1` or `STOPPING=1`. Errors are ignored: they must not stop the server."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path:
        return
    address = f"\0{path[1:]}" if path.startswith("@") else path
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock, suppress(OSError):
        sock.setblocking(False)
        sock.sendto(state.encode(), address)
