"""A null server: it answers each POST and forwards the body, unread, to the user's sockets.

    python null.py PORT [lose|double|stray|swap]

It measures the load generator: it uses plain sockets and two system calls per event, so that the
generator is the slower of the two. With a fault, it mishandles each user's fifth event; tests check
that the verdict reports it.
"""

import base64
import hashlib
import re
import select
import socket
import sys
from collections import defaultdict

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n" + b'{"ok":true}'
USER = re.compile(rb"user=(\w+)")
LENGTH = re.compile(rb"Content-Length: (\d+)")
KEY = re.compile(rb"Sec-WebSocket-Key: (\S+)")


def user_of(head: bytes) -> bytes:
    found = USER.search(head)
    assert found is not None
    return found[1]


def frame(body: bytes) -> bytes:
    size = len(body)
    if size < 126:
        return bytes((0x81, size)) + body
    return bytes((0x81, 126)) + size.to_bytes(2, "big") + body


FIFTH = b"-00000004@"


def main(port: int, fault: str = "") -> None:
    listener = socket.create_server(("127.0.0.1", port), backlog=1024)
    poll = select.epoll()
    poll.register(listener, select.EPOLLIN)
    open_sockets: dict[int, socket.socket] = {}
    watchers: dict[bytes, list[socket.socket]] = defaultdict(list)
    held: dict[bytes, bytes] = {}
    while True:
        for fd, _ in poll.poll():
            if fd == listener.fileno():
                sock, _ = listener.accept()
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                open_sockets[sock.fileno()] = sock
                poll.register(sock, select.EPOLLIN)
                continue
            sock = open_sockets[fd]
            try:
                data = sock.recv(65_536)
            except ConnectionResetError:
                data = b""
            if not data:
                poll.unregister(fd)
                open_sockets.pop(fd).close()
                for group in watchers.values():
                    if sock in group:
                        group.remove(sock)
            elif data.startswith(b"POST"):
                head, _, body = data.partition(b"\r\n\r\n")
                sock.send(ANSWER)
                user, message = user_of(head), frame(body)
                message += held.pop(user, b"")
                receivers = watchers[user]
                if fault and FIFTH in body:
                    if fault == "swap":
                        held[user] = message
                    if fault == "stray":
                        receivers = [each for group in watchers.values() for each in group]
                    message *= {"lose": 0, "swap": 0, "double": 2, "stray": 1}[fault]
                for watcher in receivers:
                    watcher.send(message)
            elif key := KEY.search(data):
                accept = base64.b64encode(hashlib.sha1(key[1] + GUID).digest())
                sock.send(
                    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                    b"Connection: Upgrade\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n"
                )
                watchers[user_of(data)].append(sock)
            elif data.startswith(b"GET"):
                sock.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
