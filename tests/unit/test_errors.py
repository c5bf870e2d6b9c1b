"""Problems: what each kind has by itself, and what one of it overrides."""

import msgspec
import pytest

from relay.errors import (
    BadRequest,
    DiskFull,
    Invalid,
    InvalidToken,
    Problem,
    ProblemDocument,
    ProcessFull,
    RateLimited,
    SessionEnded,
    TooManyConnections,
    Unavailable,
    UserGone,
)


@pytest.mark.parametrize(
    ("kind", "seconds"),
    [
        (RateLimited, 1),
        (Unavailable, 1),
        (TooManyConnections, 10),
        (ProcessFull, 10),
        (DiskFull, 30),
    ],
)
def test_a_kind_has_its_retry_after_and_one_problem_another(
    kind: type[Problem], seconds: int
) -> None:
    assert kind().headers == {"Retry-After": str(seconds)}
    assert kind("Wait.", retry_after=7).headers == {"Retry-After": "7"}
    assert kind(headers={"Allow": "GET"}).headers == {"Allow": "GET", "Retry-After": str(seconds)}


def test_a_problem_that_does_not_pass_names_no_time() -> None:
    assert BadRequest().headers == {}


@pytest.mark.parametrize("kind", [UserGone, SessionEnded])
def test_a_credential_that_ended_with_something_else_is_a_revoked_one(
    kind: type[InvalidToken],
) -> None:
    problem = kind()
    assert (problem.status, problem.code, problem.reason) == (401, "invalid_token", "revoked")
    assert problem.detail == kind.hint != InvalidToken.hint


def test_a_refused_credential_has_the_reason_that_is_given() -> None:
    assert [InvalidToken().reason, InvalidToken(reason="expired").reason] == ["invalid", "expired"]


def test_the_problem_of_one_field_names_it() -> None:
    document = msgspec.json.decode(
        Invalid.of("url", "is private").document("id"), type=ProblemDocument
    )
    assert [(fault.where, fault.message) for fault in document.errors] == [("url", "is private")]
    assert (document.code, document.detail) == ("invalid", Invalid.hint)
