"""A Relay with scripted answers, for what a real one does rarely."""

import json
import threading
import time
from collections import deque
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from tests.support.patience import PATIENCE

TOKEN = "stand-in-token"
Answer = tuple[int, dict[str, Any] | bytes, dict[str, str]]  # bytes: of another program


class StandIn:
    """Stores what it is sent, once per event_id, unless the next answers were set otherwise."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.requests = 0
        self.came: list[float] = []  # when each request came, also those that get no answer
        self.batches: list[int] = []
        self.script: deque[Answer] = deque()
        self.always: Answer | None = None
        self.size_limit = 2**30  # bytes of a body that a proxy in front lets through
        self.refuses = ""  # an event that holds this is a bad line
        self.blocks = ""  # a body that holds this is refused by a firewall in front
        self.open = threading.Event()  # requests are answered while this is set
        self.open.set()
        self.beats: list[list[str]] = []  # the tasks of each beat
        self.takes_beats = True
        self.beat_script: deque[Answer] = deque()  # answers to the next beats
        self.beats_open = threading.Event()  # beats are answered while this is set
        self.beats_open.set()
        self.stored_before: list[int] = []  # how many events were stored when each beat came
        self._changed = threading.Condition()
        self._seen: set[str] = set()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.path == "/api/tasks/beat":
                    answer = outer.beat(body)
                    outer.beats_open.wait()
                    self.send(*answer)
                    return
                outer.note()
                if not outer.open.is_set():
                    outer.open.wait()
                    self.close_connection = True
                    return  # it never came to be handled
                self.send(*outer.answer(body))

            def send(self, status: int, answer: Any, headers: Mapping[str, str]) -> None:
                text = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                kind = "application/json" if status == 200 else "application/problem+json"
                described = {"Content-Type": kind, "Content-Length": str(len(text))}
                try:
                    self.send_response(status)
                    for name, value in {**described, **headers}.items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(text)
                except OSError:
                    pass  # nothing waits for it any more

            def log_message(self, *_arguments: object) -> None:
                """Nothing to say."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.open.set()
        self.beats_open.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def note(self) -> None:
        with self._changed:
            self.came.append(time.monotonic())
            self._changed.notify_all()

    def answer(self, body: bytes) -> Answer:
        lines = [json.loads(line) for line in body.splitlines()]
        with self._changed:
            self.requests += 1
            if len(body) > self.size_limit:
                return elsewhere(413)
            if self.blocks and self.blocks in body.decode():
                return elsewhere(403)
            self._changed.notify_all()
            if self.script:
                return self.script.popleft()
            if self.always is not None:
                return self.always
            if self.refuses and self.refuses in body.decode():
                return refusal(422, "invalid", "Some lines are wrong.")
            if not lines:
                return refusal(400, "bad_request", "The batch contains no event.")
            self.batches.append(len(lines))
            before = len(self.events)
            for line in lines:
                if line["event_id"] not in self._seen:
                    self._seen.add(line["event_id"])
                    self.events.append(line)
            self._changed.notify_all()
            new = len(self.events) - before
        receipt = {
            "ok": True,
            "accepted": new,
            "duplicates": len(lines) - new,
            "first_seq": before + 1,
            "last_seq": before + new,
        }
        return 200, receipt, {}

    def beat(self, body: bytes) -> Answer:
        with self._changed:
            self.beats.append(json.loads(body)["task_ids"])
            self.stored_before.append(len(self.events))
            self._changed.notify_all()
            if self.beat_script:
                return self.beat_script.popleft()
        return (200, {"stop": []}, {}) if self.takes_beats else refusal(404, "not_found", "Gone.")

    def has_beats(self, times: int) -> None:
        """Wait until so many beats came."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.beats) >= times, PATIENCE)

    def was_asked(self, times: int = 1) -> None:
        """Wait until so many requests came."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.came) >= times, PATIENCE)

    def has_stored(self, text: str) -> None:
        """Wait until an event that holds this is stored."""
        with self._changed:
            assert self._changed.wait_for(lambda: text in str(self.events), PATIENCE)

    def log_lines(self) -> list[str]:
        """The lines of all logs, in order."""
        texts = [e["payload"]["message"] for e in self.events if e["event_type"] == "log"]
        return [line for text in texts for line in text.split("\n")]


def refusal(status: int, code: str, detail: str, **headers: str) -> Answer:
    """A problem document as Relay writes them."""
    document = {
        "type": f"urn:relay:problem:{code}",
        "title": "Refused",
        "status": status,
        "detail": detail,
        "code": code,
        "request_id": "9f76c2e77bae08ee",
    }
    return status, document, headers


def busy(after: str = "0", status: int = 503) -> Answer:
    return refusal(status, "unavailable", "Too much is going on.", **{"Retry-After": after})


def elsewhere(status: int, body: bytes = b"<html>blocked</html>", kind: str = "html") -> Answer:
    """What another program answers: a proxy, a login portal, another service."""
    return status, body, {"Content-Type": f"text/{kind}" if kind == "html" else kind}
