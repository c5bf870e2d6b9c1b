"""Asks: a program asks, a person answers."""

from hmac import compare_digest
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, Raw
from quart import Blueprint

from relay.asks.asks import MAX_OPEN_ASKS
from relay.asks.questions import GivenAnswer, Question, check_answer, new_ask
from relay.asks.view import AskView, ShownAsk
from relay.auth.tokens import Kind
from relay.auth.webhook_signatures import BadSignature
from relay.db.asks import Ask, select_ask, select_open_asks
from relay.errors import (
    BadRequest,
    DiskFull,
    Draining,
    InsufficientScope,
    JournalFull,
    NotFound,
    Problem,
    ProcessFull,
    TooManyConnections,
)
from relay.events import Cursor, parse_uuid
from relay.media_types import JSON
from relay.realtime.wait import WaitEnd
from relay.schema_types import CursorText, Examples, Moment, Uuid
from relay.web.answers import Answer, json_answer, json_text_answer
from relay.web.json import read_json
from relay.web.needs import ASKER, PUBLISHER, SESSION
from relay.web.openapi.describe import Link, Parameter, Text, described
from relay.web.rate_limits import (
    READS,
    TOKENS,
    charge_events,
    charge_look,
    limited,
    limited_by_handler,
)
from relay.web.request import HTTPRequest, Request
from relay.web.routes import direct, needs
from relay.web.signed_requests import check_signature
from relay.web.task_catch_up import catch_up
from relay.web.waiting import MAX_WAIT_SECONDS, WaitingCall, read_wait

asks = Blueprint("asks", __name__)


class OpenedAsk(msgspec.Struct):
    """The ask is open. `cursor` is the position of its event in the stream. `duplicate`: the same
    request opened it before."""

    ask_id: Uuid
    expires_at: Moment
    cursor: CursorText
    duplicate: bool


class OpenAsks(msgspec.Struct):
    """The user's open asks, the oldest first."""

    asks: list[AskView]


class Answered(msgspec.Struct):
    """The answer counts."""

    ok: bool = True


class NoSuchAsk(NotFound):
    hint = "There is no such ask. It may have been deleted, or belong to another user."


class TooManyAsks(Problem):
    status, code, title = 409, "too_many_asks", "Too many asks"
    hint = f"This user has {MAX_OPEN_ASKS} open asks. Answer or withdraw one first."


class AskedDifferently(Problem):
    status, code, title = 409, "asked_differently", "Another ask"
    hint = "This event_id belongs to another ask. Send a new one."


class AlreadyAnswered(Problem):
    status, code, title = 409, "already_answered", "Already answered"
    hint = "Another answer came first, and it counts."


class QuestionChanged(Problem):
    status, code, title = 409, "changed", "Another question"
    hint = "The question_hash is not that of this ask. Show the ask again before it is answered."


class AskOver(Problem):
    status, code, title = 410, "ask_over", "Too late"
    hint = "The ask has expired or was withdrawn. The answer was not recorded."


ASK = AskView(
    ask_id=Examples.TOKEN_ID,
    state="open",
    question="Deploy build 17?",
    kind="choice",
    options=["yes", "no"],
    details=Raw(b'{"commit":"59677f0"}'),
    question_hash="9b1f6cbd2e2ba6a1e9d1f2c4a9e58b8f6f6d2b8f7a5c3e1d0b9a8c7d6e5f4a3b",
    task_id="build-17",
    asked_at=Examples.NOW,
    expires_at=Examples.LATER,
    answer=None,
    answered_at=None,
)
_UNTIL_IT_EXPIRES = frozenset({WaitEnd.CLIENT_LEFT})  # not after its time
_PATH = Parameter("ask_id", Uuid, "The ask.", Examples.TOKEN_ID, "path")


@asks.post("/api/asks")
@described(
    "asks",
    body={
        JSON: Question(
            "Deploy build 17?", "choice", 3_600, options=["yes", "no"], task_id="build-17"
        )
    },
    answers={
        201: OpenedAsk(Examples.TOKEN_ID, Examples.LATER, Examples.CURSOR, duplicate=False),
        200: OpenedAsk(Examples.TOKEN_ID, Examples.LATER, Examples.CURSOR, duplicate=True),
    },
    links=(Link("read_ask", parameters={"ask_id": "ask_id"}),),
    refuses=(TooManyAsks, AskedDifferently, JournalFull, DiskFull, Draining),
)
@limited_by_handler
@needs(PUBLISHER)
async def ask(request: HTTPRequest) -> Answer:
    """Ask a person. The answer comes with the ask itself, which can be waited for."""
    asked = await read_json(request, Question)
    credential = request.credential
    if asked.event_id is UNSET and credential.signing_kid is not None:
        asked.event_id = request.headers["webhook-id"]  # sent again, it is the same ask
    new = new_ask(asked, user_id=credential.user_id, token_id=credential.id)
    await charge_events(request, 1)
    opened, receipt = await request.services.asks.open(new)
    if opened.outcome == "too_many":
        raise TooManyAsks()
    if opened.ask is None or receipt is None:
        raise AskedDifferently()
    found = opened.outcome == "found"
    view = AskView.of(opened.ask)
    cursor = str(Cursor(receipt.epoch, receipt.seq))
    return json_answer(
        OpenedAsk(view.ask_id, view.expires_at, cursor, duplicate=found), 200 if found else 201
    )


@asks.get("/api/asks")
@described(
    "asks",
    parameters=(
        Parameter("state", Annotated[str, Meta(pattern="^open$")], "`open`, the default.", "open"),
    ),
    answers={200: OpenAsks([ASK])},
    refuses=(BadRequest,),
)
@limited(READS)
@needs(SESSION)
async def list_asks(request: HTTPRequest) -> Answer:
    """List the asks that are open."""
    request.args.refuse_others("state")
    if request.args.get("state") not in (None, "open"):
        raise BadRequest("`state` must be `open`.")
    await catch_up(request)  # an end of their task withdraws them
    found = await select_open_asks(request.services.database, request.credential.user_id)
    return json_answer(OpenAsks([AskView.of(one) for one in found]))


@asks.get("/api/asks/<ask_id>")
@described(
    "asks",
    parameters=(
        _PATH,
        Parameter(
            "wait_s",
            Annotated[int, Meta(ge=0, le=MAX_WAIT_SECONDS)],
            "Wait so many seconds for its end.",
            0,
        ),
    ),
    answers={200: ASK},
    refuses=(NoSuchAsk, BadRequest, TooManyConnections, ProcessFull, Draining),
)
@direct
@limited_by_handler
@needs(ASKER)
async def read_ask(request: HTTPRequest) -> Answer:
    """Read an ask. With `wait_s` the answer comes when the ask ends, or after that time."""
    wait, services, ask_id = read_wait(request), request.services, _ask_id(request)
    await charge_look(request, ask_id)
    if not wait:
        found = await _find(request)
        if found.state == "open" and found.task_id is not None:
            await catch_up(request)  # an end of its task withdraws it
            found = await _find(request)
        return json_answer(AskView.of(found))
    user_id, waits = request.credential.user_id, services.asks.waits
    with WaitingCall(request, waits, [(user_id, ask_id)]) as call:
        await services.backplane.attend(user_id)
        shown = waits.find_state((user_id, ask_id))
        if shown is None:
            found = await _find(request)
            if found.state != "open":
                return json_answer(AskView.of(found))
            shown = ShownAsk.of(found)
            waits.note(call, (user_id, ask_id), shown)
        _check_asker(request, shown.asked_by)
        left = max((shown.expires_at - services.clock.now()).total_seconds(), 0)
        held = json_text_answer(shown.json)
        if left > wait:
            return await call.hold(request, held, wait, _answer_now)
        return await call.hold(request, held, left, _answer_now, valid_after=_UNTIL_IT_EXPIRES)


async def _answer_now(request: HTTPRequest) -> Answer:
    """The ask as it is now."""
    return json_answer(AskView.of(await _find(request)))


@asks.post("/api/asks/<ask_id>/answer")
@described(
    "asks",
    parameters=(_PATH,),
    body={JSON: GivenAnswer("yes", question_hash=ASK.question_hash)},
    answers={200: Answered()},
    refuses=(NoSuchAsk, AlreadyAnswered, QuestionChanged, AskOver),
)
@limited(TOKENS)
@needs(SESSION)
async def answer_ask(request: HTTPRequest) -> Answer:
    """Answer an ask. The first answer counts."""
    given = await read_json(request, GivenAnswer)
    found = await _find(request)
    if not compare_digest(given.question_hash.encode(), found.question_hash.encode()):
        raise QuestionChanged()
    check_answer(found, given.answer)
    if found.task_id is not None:
        await catch_up(request)  # an end of the task withdraws the ask
    ended, present = await request.services.asks.end(
        found, "answered", by=request.credential.id, answer=given.answer
    )
    if not ended:
        raise AlreadyAnswered() if present and present.state == "answered" else AskOver()
    return json_answer(Answered())


@asks.delete("/api/asks/<ask_id>")
@described(
    "asks",
    parameters=(_PATH,),
    answers={204: Text("The ask is withdrawn, or had ended already.")},
    refuses=(NoSuchAsk, BadSignature),
)
@limited(TOKENS)
@needs(ASKER)
async def withdraw_ask(request: HTTPRequest) -> Answer:
    """Withdraw an ask. One that has ended stays as it is."""
    check_signature(request, b"")
    found = await _find(request)
    await request.services.asks.end(found, "withdrawn", by=request.credential.id)
    return Answer(204, [], b"")


def _ask_id(request: HTTPRequest) -> UUID:
    """The id in the path. Raises NoSuchAsk."""
    ask_id = parse_uuid(request.path_args["ask_id"])
    if ask_id is None:
        raise NoSuchAsk()
    return ask_id


async def _find(request: HTTPRequest) -> Ask:
    """The ask of the path. Raises NoSuchAsk; InsufficientScope for a token that did not ask it."""
    user_id = request.credential.user_id
    found = await select_ask(request.services.database, user_id, _ask_id(request))
    if found is None:
        raise NoSuchAsk()
    _check_asker(request, found.asked_by)
    return found


def _check_asker(request: Request, asked_by: UUID) -> None:
    """Raise InsufficientScope for a token that did not ask."""
    credential = request.credential
    if credential.kind is Kind.HOOK and credential.id != asked_by:
        raise InsufficientScope("Another token asked this. Use that one, or a session.")
