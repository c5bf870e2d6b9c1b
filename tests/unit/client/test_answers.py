"""Which answers are Relay's, and what an answer of another program says about itself."""

import json
from typing import Any

import msgspec
import pytest

from relay.client.answers import Problem, foreign_text, read_object, read_problem, read_retry_after
from relay.client.http_answer import HttpAnswer
from relay.client.plain_text import MAX_SHOWN

PROBLEM = {
    "type": "urn:relay:problem:invalid",
    "title": "Invalid input",
    "status": 422,
    "detail": "Some fields are invalid.",
    "code": "invalid",
    "request_id": "r",
    "errors": [{"where": "ts", "message": "is missing"}],
}
RECEIPT = {"accepted": 2, "duplicates": 0, "first_seq": 1, "last_seq": 2, "ok": True}


def answer(status: int, body: object, kind: str = "application/problem+json") -> HttpAnswer:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return HttpAnswer("http://relay.test", status, "Reason", {"content-type": kind}, text)


def test_a_problem_document_of_relay_is_read_whole() -> None:
    problem = read_problem(answer(422, PROBLEM))
    assert problem is not None
    assert (problem.code, str(problem)) == ("invalid", "Some fields are invalid. ts: is missing")


@pytest.mark.parametrize(
    "changed",
    [
        {
            "code": "a_code_of_a_later_version",
            "type": "urn:relay:problem:a_code_of_a_later_version",
        },
        {"type": "about:blank"},
        {"errors": []},
        {"later": "a field of a later version"},
    ],
)
def test_older_and_later_problem_documents_count(changed: dict[str, Any]) -> None:
    assert isinstance(read_problem(answer(422, {**PROBLEM, **changed})), Problem)


@pytest.mark.parametrize(
    "foreign",
    [
        answer(422, b"<html>422</html>", "text/html"),
        answer(422, PROBLEM, "application/json"),
        answer(400, PROBLEM),  # its status is another one
        answer(422, {**PROBLEM, "code": "bad_things", "type": "https://example.com/bad"}),
        answer(422, {"status": 422, "title": "of another service"}),
        answer(422, {**PROBLEM, "errors": "many"}),
        answer(422, [PROBLEM]),
        answer(422, b""),
        answer(422, b"\xff\xfe{}"),
        answer(422, b"[" * 100_000),
    ],
)
def test_refusals_of_other_programs_are_none_of_relay(foreign: HttpAnswer) -> None:
    assert read_problem(foreign) is None


@pytest.mark.parametrize(
    ("status", "body", "kind", "is_object"),
    [
        (200, RECEIPT, "application/json", True),
        (201, RECEIPT, "application/json; charset=utf-8", True),
        (200, b'{"events":[{"payload":1e309}]}', "Application/JSON", True),
        (200, RECEIPT, "text/html", False),
        (200, RECEIPT, "", False),
        (302, RECEIPT, "application/json", False),
        (422, RECEIPT, "application/json", False),
        (200, b"", "application/json", False),
        (200, b"null", "application/json", False),
        (200, b"[" * 100_000, "application/json", False),
        (200, b"\xff\xfe{}", "application/json", False),
    ],
)
def test_a_success_is_a_json_object(status: int, body: object, kind: str, is_object: bool) -> None:
    assert (read_object(answer(status, body, kind)) is not None) is is_object


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (200, "scheme, host and port"),
        (400, "a port for https"),
        (401, "A proxy asks for credentials"),
        (403, "proxy or firewall"),
        (404, "scheme, host and port"),
        (407, "A proxy asks for credentials"),
        (413, "limits the size of requests"),
        (502, "while Relay is away"),
    ],
)
def test_another_programs_answer_is_named_with_what_to_check(status: int, advice: str) -> None:
    text = foreign_text(answer(status, b"<html>", "Text/HTML; charset=x"))
    assert f"http://relay.test is not a Relay: it answered {status} Reason (text/html)." in text
    assert advice in text


def test_a_redirect_names_its_target() -> None:
    moved = HttpAnswer("http://relay.test", 301, "", {"location": "https://relay.test/"}, b"")
    assert foreign_text(moved) == (
        "http://relay.test is not a Relay: it answered 301 (no Content-Type)."
        " It redirects to https://relay.test/: use that address."
    )


EVIL = "a\x1b]0;x\x07\x9b31m\u202e\nforged" * 1_000


def test_a_servers_text_is_one_clean_line_of_bounded_length() -> None:
    fields = {"content-type": EVIL, "location": EVIL, "content-encoding": EVIL}
    foreign = foreign_text(HttpAnswer("http://relay.test", 302, EVIL, fields, b""))
    errors = [{"where": EVIL, "message": EVIL}] * 9
    body = {"status": 422, "code": "invalid", "detail": EVIL, "errors": errors}
    problem = read_problem(answer(422, body))
    for text in (foreign, str(problem)):
        assert text.isprintable()
        assert len(text) < 3 * MAX_SHOWN


@pytest.mark.parametrize("encoding", ["gzip", "br", "gzip, gzip", "IDENTITY, gzip"])
def test_a_compressed_answer_is_none_of_relays(encoding: str) -> None:
    fields = {"content-type": "application/json", "content-encoding": encoding}
    compressed = HttpAnswer("http://relay.test", 200, "OK", fields, b'{"ok":true}')
    assert read_object(compressed) is None
    assert f"(application/json, {encoding.removeprefix('IDENTITY, ')})" in foreign_text(compressed)
    plain = msgspec.structs.replace(compressed, headers={**fields, "content-encoding": "identity"})
    assert read_object(plain) == {"ok": True}


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        *(("2", 2.0), ("0.5", 0.5), ("-1", 0.0), ("soon", None), ("inf", None), ("nan", None)),
        *(("3600", 300.0), ("1e300", 300.0)),
    ],
)
def test_retry_after_is_in_seconds_within_bounds(value: str, seconds: float | None) -> None:
    busy = HttpAnswer("http://relay.test", 503, "", {"retry-after": value}, b"")
    assert read_retry_after(busy) == seconds
