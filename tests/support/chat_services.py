"""Stand-ins for ntfy, Slack and Discord: each holds a call against its documented format.

They answer as the services do, and refuse what these do not document, so that a field that was
misspelt is seen. What a reader of the service would see of markup and mentions is worked out by the
rules of the service.
"""

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

NTFY_PATH, SLACK_PATH = "/", "/services/T0123/B0456/abcDEF789"
DISCORD_PATH = "/api/webhooks/1234567890/to-ken_A1"


TYPES = ("task.failed", "task.lost", "task.waiting", "task.succeeded", "task.canceled")


class Answer(NamedTuple):
    status: int
    body: bytes = b""
    headers: dict[str, str] = {}  # noqa: RUF012 - of a tuple


class Call(NamedTuple):
    path: str
    headers: dict[str, str]
    body: dict[str, Any]


class BadCall(Exception):
    """The service would refuse this; the text is the answer that it gives."""


Check = Callable[[Call], Answer]


class Service:
    """One service: the calls that it took, and answers to give before it takes more."""

    def __init__(self, check: Check, port: int) -> None:
        self.check = check
        self.url = f"http://127.0.0.1:{port}"
        self.taken: list[Call] = []
        self.refused: list[str] = []
        self.script: list[Answer] = []
        self.open = threading.Event()  # calls are answered while this is set
        self.open.set()

    def answer(self, call: Call) -> Answer:
        if self.script:
            return self.script.pop(0)
        try:
            answer = self.check(call)
        except (BadCall, AssertionError, KeyError, TypeError) as error:
            self.refused.append(repr(error))
            return Answer(400, str(error).encode())
        self.taken.append(call)
        return answer


@contextmanager
def service(check: Check) -> Iterator[Service]:
    """A stand-in for the block."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            assert headers["content-type"] == "application/json"
            made.open.wait()
            status, body, extra = made.answer(Call(self.path, headers, json.loads(content)))
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **extra}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None:
            """Nothing to say."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    made = Service(check, server.server_port)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield made
    finally:
        made.open.set()
        server.shutdown()
        thread.join()
        server.server_close()


def only(given: dict[str, Any], *known: str) -> None:
    if unknown := set(given) - set(known):
        raise BadCall(f"unknown: {sorted(unknown)}")


def ntfy(call: Call) -> Answer:
    """https://docs.ntfy.sh/publish/#publish-as-json, with the limits of its server."""
    body = call.body
    only(body, *("topic", "title", "message", "priority", "tags", "click", "actions"))
    only({"path": call.path} if call.path != NTFY_PATH else {})
    assert re.fullmatch(r"[-_A-Za-z0-9]{1,64}", body["topic"])
    assert 0 < len(body["title"].encode()) <= 1_024
    assert 0 < len(body["message"].encode()) <= 4_096
    assert body["priority"] in range(1, 6)
    assert len(",".join(body["tags"])) <= 512
    assert body["click"].startswith(("http://", "https://"))
    assert len(body["actions"]) <= 3
    for action in body["actions"]:
        only(action, "action", "label", "url", "clear")
        assert (action["action"], bool(action["label"]), action["clear"]) == ("view", True, True)
        assert action["url"].startswith(("http://", "https://"))
    return Answer(200, b'{"id":"hwQ2YpKdmg","event":"message"}')


def slack(call: Call) -> Answer:
    """https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks, and Block Kit."""
    if call.path != SLACK_PATH:
        return Answer(404, b"no_service")
    body = call.body
    only(body, *("text", "mrkdwn", "unfurl_links", "unfurl_media", "blocks"))
    assert 0 < len(body["text"]) <= 40_000
    assert 0 < len(body["blocks"]) <= 50
    for block in body["blocks"]:
        only(block, "type", "text")
        text = block["text"]
        only(text, *("type", "text", "emoji") if text["type"] == "plain_text" else ("type", "text"))
        most = {"header": 150, "section": 3_000}[block["type"]]
        assert 0 < len(text["text"]) <= most
        assert block["type"] == "section" or text["type"] == "plain_text"
    return Answer(200, b"ok")


def slack_marks(body: dict[str, Any]) -> list[str]:
    """What Slack takes for links and mentions: `<…>` where text is not plain."""
    texts = [body["text"]]
    texts += [b["text"]["text"] for b in body["blocks"] if b["text"]["type"] == "mrkdwn"]
    return [found for text in texts for found in re.findall(r"<[^>]*>", text)]


def discord(call: Call) -> Answer:
    """https://discord.com/developers/docs/resources/webhook#execute-webhook"""
    path, _, query = call.path.partition("?")
    if path != DISCORD_PATH:
        return Answer(404, b'{"message":"Unknown Webhook","code":10015}')
    body = call.body
    only(body, "content", "allowed_mentions", "flags")
    assert 0 < len(body["content"]) <= 2_000
    assert body["allowed_mentions"] == {"parse": []}
    assert body["flags"] == 4
    assert query.split("&")[-1] == "wait=true"
    return Answer(200, b'{"id":"1","type":0}')


def discord_marks(content: str) -> list[str]:
    """What is left of markup and mentions outside code blocks: without what is escaped."""
    outside = re.sub(r"```\n.*?\n```", "", content, flags=re.DOTALL)
    return re.findall(r"[*_~`|>#@<\[\]()]+", re.sub(r"\\.", "", outside))
