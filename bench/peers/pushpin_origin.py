"""Pushpin, and the web service behind it that says which stream gets which channel.

    python pushpin_origin.py PORT ORIGIN_PORT FOLDER

Pushpin listens on PORT. `FOLDER/pushpin.conf` is its configuration; its sockets and logs are in the
same folder. A stream's request is asked of the origin once: it answers with a hold of the user's
channel (GRIP), for a WebSocket over HTTP. Events are posted to Pushpin's own control endpoint, so
the origin has no part in them.
"""

import signal
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit


class Origin(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """The head of an event stream that Pushpin holds, or of a check that it serves."""
        if self._user is None:
            self._answer({})
        else:
            held = {"Grip-Hold": "stream", "Grip-Channel": self._user}
            self._answer({"Content-Type": "text/event-stream", **held})

    def do_POST(self) -> None:
        """A WebSocket's events: its opening subscribes it; pongs and its end need no answer."""
        events = self.rfile.read(int(self.headers["Content-Length"]))
        body = b""
        if events.startswith(b"OPEN\r\n"):
            control = b'c:{"type":"subscribe","channel":"%s"}' % str(self._user).encode()
            body = b"OPEN\r\nTEXT %x\r\n%s\r\n" % (len(control), control)
        kind = {"Content-Type": "application/websocket-events"}
        self._answer(kind | {"Sec-WebSocket-Extensions": "grip"}, body)

    @property
    def _user(self) -> str | None:
        return parse_qs(urlsplit(self.path).query).get("user", [None])[0]

    def _answer(self, headers: dict[str, str], body: bytes = b"") -> None:
        self.send_response(200)
        for name, value in (headers | {"Content-Length": str(len(body))}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """No access log."""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1_024


def main(port: int, origin_port: int, folder: Path) -> None:
    (folder / "routes").write_text(f"* 127.0.0.1:{origin_port},over_http\n")
    server = Server(("127.0.0.1", origin_port), Origin)
    pushpin = subprocess.Popen(["pushpin", f"--config={folder / 'pushpin.conf'}"])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        server.serve_forever()
    finally:
        pushpin.terminate()
        pushpin.wait()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
