"""The demo of `relay serve --demo`: what ends it ends nothing beside it."""

import json
from collections.abc import Callable

import pytest
import trio
from structlog.testing import capture_logs

from relay.cli import demo
from tests.support.foreign_answers import HTML, IN_HTML, JSON, answer
from tests.support.foreign_server import ForeignServer, Line, Play
from tests.support.patience import PATIENCE

UNAUTHORIZED = answer(b"401 Unauthorized", b'{"code":"invalid_token"}', JSON)
EVENT = "/api/webhook/cli"


def taken(path: str, number: int) -> bytes:
    """Relay's answer to the demo's request to a path. Each user and token has a number."""
    made = {"session_token": f"session-{number}", "token": f"token-{number}", "id": "e"}
    fields = [JSON]
    if path == "/api/user":
        fields.append(b"Set-Cookie: relay_session=session-%d; Path=/" % number)
    return answer(b"201 Created", json.dumps(made).encode(), *fields)


class Requests:
    """What came, in order, and answers to it: Relay's own where `answers` has none.

    An empty one is a connection that is cut.
    """

    def __init__(self, answers: Callable[[str, int], bytes | None]) -> None:
        self._answers = answers
        self.came: list[tuple[str, bytes]] = []

    @property
    def paths(self) -> list[str]:
        return [path for path, _ in self.came]

    def play(self, line: Line) -> None:
        while request := line.read_request():
            path, number = request.split(b" ", 2)[1].decode(), len(self.came)
            self.came.append((path, request))
            data = self._answers(path, number)
            if data == b"":
                return
            line.send(data or taken(path, number))


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "PAUSE_SECONDS", 0)


async def ended(play: Play, print_line: demo.PrintLine = lambda _: None) -> str:
    """Play the demo beside another task to its end, and return why it ended."""
    async with trio.open_nursery() as server:
        server.start_soon(trio.sleep_forever)
        with ForeignServer(0, play) as relay, capture_logs() as logged, trio.fail_after(PATIENCE):
            url = f"http://127.0.0.1:{relay.port}"
            await demo.play_demo(url, print_line)
            assert len(server.child_tasks) == 1, "what runs beside the demo goes on"
        server.cancel_scope.cancel()
    (line,) = logged
    assert (line["event"], line["log_level"]) == ("demo_ended", "warning")
    why: str = line["why"]
    return why.removeprefix(url)


@pytest.mark.parametrize(
    ("path", "refusal", "why"),
    [
        (EVENT, UNAUTHORIZED, f"{EVENT} answered 401"),
        ("/api/user", answer(b"403 Forbidden", b"{}", JSON), "/api/user answered 403"),
        ("/api/token", answer(b"200 OK", HTML, IN_HTML), "/api/token answered 200"),
        ("/api/token", answer(b"200 OK", b"[]", JSON), "/api/token answered 200"),
        ("/api/user", answer(b"302 Found", b"", b"Location: /login"), "/api/user answered 302"),
    ],
    ids=["a token that has ended", "no sign-up", "a page", "no object", "a login portal"],
)
async def test_a_refusal_ends_the_demo_and_nothing_beside_it(
    path: str, refusal: bytes, why: str
) -> None:
    requests = Requests(lambda came, _: refusal if came == path else None)
    assert await ended(requests.play) == why
    assert requests.paths.count(path) == 1


async def test_what_fails_for_a_while_is_tried_again() -> None:
    date = b"Retry-After: Fri, 31 Jan 2031 12:00:00 GMT"
    script = {
        0: answer(b"502 Bad Gateway", HTML, IN_HTML),
        1: answer(b"429 Too Many Requests", b"{}", date),
        2: b"",  # cut
        6: answer(b"503 Service Unavailable", b"{}", date),
        9: UNAUTHORIZED,
    }
    requests = Requests(lambda _, number: script.get(number))
    assert await ended(requests.play) == f"{EVENT} answered 401"
    made = ["/api/user"] * 4 + ["/api/token"] * 2
    assert requests.paths == [*made, *[EVENT] * 4]


async def test_another_user_follows_when_the_tokens_are_a_day_old(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(demo, "DAY_SECONDS", 0)
    requests = Requests(lambda _, number: UNAUTHORIZED if number == 7 else None)
    printed: list[str] = []

    def print_line(line: str) -> None:
        printed.append(line)
        if "token-5" in line:
            raise OSError("the terminal was closed")

    assert await ended(requests.play, print_line) == f"{EVENT} answered 401"
    assert requests.paths == ["/api/user", "/api/token", "/api/token", EVENT] * 2
    assert b"cookie" not in requests.came[4][1].lower(), "else it would be the first user again"
    assert b"Bearer token-6" in requests.came[7][1]
    watching = [word for line in printed for word in ("token-1", "token-5") if word in line]
    assert watching == ["token-1", "token-5"]
