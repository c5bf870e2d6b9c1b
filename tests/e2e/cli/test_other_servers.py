"""Commands against servers that are hostile or no Relay: their text stays text."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from click.testing import CliRunner, Result

from relay.cli.main import main

EVIL = "\x1b]52;c;ZWNobw==\x07\x1b[2J\x9b31m\x9d0;x\x9c\u202e\n\r\x7f"
CONTROLS = set("\x1b\x07\x9b\x9d\x9c\u202e\r\x7f")
PROBLEM = {
    **{"type": "x", "title": EVIL, "detail": f"{EVIL}d", "code": "invalid", "request_id": EVIL},
    "errors": [{"where": EVIL, "message": EVIL}],
}
TIME = "2026-01-01T00:00:00.000Z"
TOKEN_ROW = {
    **{"token_id": EVIL, "name": f"ci{EVIL}", "scopes": [EVIL], "created_at": EVIL},
    **{"expires_at": TIME, "last_used_at": None},
}
ME = {"user_id": EVIL, "created_at": EVIL, "cursor": EVIL, "connections": 1, "tokens": [TOKEN_ROW]}
CREATED = {
    **{"token": "opaque", "token_id": EVIL, "scopes": [EVIL], "signing_secret": EVIL},
    **{"session_token": "opaque", "user_id": EVIL, "link": f"http://x/{EVIL}", "expires_in": 60},
    **{"ended": 1, "seq": EVIL, "id": EVIL, "duplicate": False, "ok": True, "events": []},
}
COMMANDS = [
    ("login", "URL"),
    ("login", "URL/#link=abcdefghijklmnopqrstuv"),
    ("login", "URL", "--with-token"),
    ("whoami",),
    ("token", "list"),
    ("token", "create", "--signed"),
    ("token", "revoke", "ci"),
    ("send", "log", "--wait", "0"),
]


@contextmanager
def answering(status: int, answer: Any, kind: str = "application/json") -> Iterator[str]:
    """The address of a server that answers everything so; `GET /api/me` with ME if it may."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            own = self.path == "/api/me" and answer is CREATED
            body = answer if isinstance(answer, bytes) else json.dumps(ME if own else answer)
            data = body if isinstance(body, bytes) else body.encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_POST = do_GET

        def log_message(self, *_arguments: object) -> None:
            """Nothing is logged."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def run(command: tuple[str, ...], url: str) -> Result:
    words = [word.replace("URL", url) for word in command]
    env = {"RELAY_URL": url, "RELAY_TOKEN": None if command[0] == "login" else "opaque"}
    return CliRunner().invoke(main, words, "opaque\n", env=env)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize(
    ("status", "answer"),
    [(status, PROBLEM) for status in (400, 401, 403, 404, 422, 429, 503)] + [(200, CREATED)],
)
def test_no_control_character_of_a_server_comes_through(
    command: tuple[str, ...], status: int, answer: dict[str, Any]
) -> None:
    with answering(status, answer) as url:
        ended = run(command, url)
    assert not isinstance(ended.exception, Exception), ended.exception
    assert CONTROLS & set(ended.stdout + ended.stderr) == set()
    if status != 200:
        assert (len(ended.stderr.splitlines()), ended.stdout) == (1, "")
        assert ended.exit_code in (1, 4, 5)


@pytest.mark.parametrize("command", COMMANDS[:-1], ids=" ".join)
@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"<html>Sign in</html>", "text/html"),
        (b"", "text/plain"),
        (b'{"status": "ok"}', "application/json"),
        (b'{"ok": true, "token": 7, "user_id": [], "tokens": {}}', "application/json"),
        (b"[]", "application/json"),
    ],
)
def test_another_service_is_no_relay(command: tuple[str, ...], answer: bytes, kind: str) -> None:
    with answering(200, answer, kind) as url:
        ended = run(command, url)
    (line,) = ended.stderr.splitlines()
    assert (ended.exit_code, ended.stdout) == (1, "")
    assert f"{url} is not a Relay: " in line


def test_a_token_that_is_none_is_not_kept() -> None:
    with answering(200, {**CREATED, "session_token": f"opaque{EVIL}"}) as url:
        ended = run(("login", "URL"), url)
    (line,) = ended.stderr.splitlines()
    assert ended.exit_code == 4
    assert line.startswith(f"Error: the token in the answer of {url} is invalid: character 7")
