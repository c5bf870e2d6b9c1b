"""Pages that are not Relay's: a web server of their own, on a port of their own."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PAGE = b"<!doctype html><meta charset=utf-8><link rel=icon href=data:,><title>elsewhere</title>"


class Elsewhere:
    """The same pages under two origins: one of Relay's own site (127.0.0.1), one of another."""

    def __init__(self, port: int) -> None:
        self.same_site = f"http://127.0.0.1:{port}"
        self.cross_site = f"http://localhost:{port}"


@contextmanager
def elsewhere(page: Path | None = None) -> Iterator[Elsewhere]:
    """Serves one page at every address: a given file, or an empty one."""
    body = PAGE if page is None else page.read_bytes()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Tests have nothing to say about it."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield Elsewhere(server.server_port)
        finally:
            server.shutdown()
            thread.join()
