"""Pages that are not Relay's: a web server of their own, on a port of their own."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

EMPTY = b"<!doctype html><meta charset=utf-8><link rel=icon href=data:,><title>elsewhere</title>"
TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8"}


class Elsewhere:
    """The same pages under two origins: one of Relay's own site (127.0.0.1), one of another."""

    def __init__(self) -> None:
        self.same_site = self.cross_site = ""
        self.written: dict[bytes, bytes] = {}  # what stands in the files, and what is sent for it


@contextmanager
def elsewhere(folder: Path | None = None) -> Iterator[Elsewhere]:
    """Serves the files of a folder, or an empty page at every address."""
    pages = Elsewhere()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.partition("?")[0].removeprefix("/") or "index.html"
            path = Path(name) if folder is None else folder / name
            body = EMPTY if folder is None else path.read_bytes()
            for old, new in pages.written.items():
                body = body.replace(old, new)
            self.send_response(200)
            self.send_header("Content-Type", TYPES.get(path.suffix, TYPES[".html"]))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Tests have nothing to say about it."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        pages.same_site = f"http://127.0.0.1:{server.server_port}"
        pages.cross_site = f"http://localhost:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield pages
        finally:
            server.shutdown()
            thread.join()
