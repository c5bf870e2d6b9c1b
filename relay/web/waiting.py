"""Calls that wait: for a bounded time, and no longer than the client is there.

The answer of a call whose time is over is made at its beginning, and the server holds it. So a
call that waits costs an object and the bytes of its answer, but no task of its handler and no
request (decision 104).
"""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence, Set
from typing import Any, Self
from uuid import UUID

from relay.errors import BadRequest
from relay.realtime.shared_waits import SharedWaits
from relay.realtime.wait import Wait, WaitEnd
from relay.shared_limits import HeldPlaces
from relay.web.answers import Answer
from relay.web.auth import check_again
from relay.web.middleware.access_log import kept_of_request, note_end_later, scope_of_kept
from relay.web.places import places_of
from relay.web.request import HTTPRequest
from relay.web.scope_keys import HANDLER, WAITED

MAX_WAIT_SECONDS = 25  # below the 30 seconds after which common proxies give up

_NOT_ENDED = frozenset({WaitEnd.TIME_OVER, WaitEnd.CLIENT_LEFT})

MakeAnswer = Callable[[HTTPRequest], Awaitable[Answer]]


def read_wait(request: HTTPRequest) -> int:
    """The `wait_s` of the query; 0 if it is not given. Raises BadRequest."""
    text = request.args.get("wait_s")
    if text is None:
        return 0
    if not (
        text.isascii() and text.isdecimal() and len(text) <= 2 and int(text) <= MAX_WAIT_SECONDS
    ):
        raise BadRequest(f"`wait_s` must be a whole number from 0 to {MAX_WAIT_SECONDS}.")
    return int(text)


class WaitingCall(Wait):
    """A call that waits for one of some keys; the server's `HeldCall` once its answer is held.

    In its block, the handler looks whether there is anything to wait for. The block ends the call
    unless the server holds its answer then.
    """

    __slots__ = (
        "_address",
        "_credential",
        "_is_counted",
        "_is_held",
        "_kept",
        "_keys",
        "_make_answer",
        "_note_end",
        "_places",
        "_seconds",
        "_services",
        "_valid_after",
        "_waits",
    )

    def __init__(
        self, request: HTTPRequest, waits: SharedWaits[Any, Any], keys: Sequence[Any]
    ) -> None:
        super().__init__()
        self._services = request.services
        self._credential = request.credential
        self._address = request.address_block
        self._waits = waits
        self._keys = keys
        self._places: HeldPlaces | None = None
        self._is_counted = False  # by the hub
        self._is_held = False  # by the server

    def __enter__(self) -> Self:
        self._waits.expect(self, self._keys)
        return self

    def __exit__(self, *_: object) -> None:
        if not self._is_held:
            self.finish(sent=False)

    async def hold(
        self,
        request: HTTPRequest,
        answer: Answer,
        seconds: float,
        make_answer: MakeAnswer,
        *,
        valid_after: Set[WaitEnd] = _NOT_ENDED,
    ) -> Answer:
        """Hold `answer` for at most `seconds`, and send it if the wait ends as `valid_after` names.

        Otherwise, or if what this process knows may be too old, the request is run again with
        `make_answer` as its handler: its credential is checked again, which may be revoked by then.
        The call counts as a live stream meanwhile. Raises TooManyConnections, ProcessFull,
        Draining, InvalidToken.
        """
        await self._enter(request)
        await check_again(request)  # whatever is revoked from now on ends this wait
        request.scope[WAITED] = True
        if self._credential.expires_at <= time.time() + seconds:
            valid_after = valid_after - {WaitEnd.TIME_OVER}
        self._valid_after = valid_after
        self._seconds = seconds
        self._make_answer = make_answer
        if request.handle is None:  # another server than ours holds nothing
            if not await self.wait(request.wait_for_disconnect):
                return answer
            await check_again(request)
            return await make_answer(request)
        self._kept = kept_of_request(request.scope)
        self._note_end = note_end_later(request.scope, answer.status)
        request.handle.hold(self)
        self._is_held = True
        return answer

    async def _enter(self, request: HTTPRequest) -> None:
        """Take the places of the call, and count it."""
        places = places_of(request, self._services.hub, self._credential.user_id)
        if places is not None:
            await places.take()
            self._places = places
        self._services.hub.begin_wait(self, *self._owner)
        self._is_counted = True

    @property
    def scope(self) -> Mapping[str, Any]:
        """The scope of the request that is run again to make the answer."""
        return {**scope_of_kept(self._kept), WAITED: True, HANDLER: self._make_answer}

    async def wait(self, disconnected: Callable[[], Awaitable[object]]) -> bool:
        """Wait, as `HeldCall` says; returns whether the request must be run again."""
        end = await self.run(disconnected, self._seconds)
        is_current = self._waits.is_current and self._services.revocations.is_current
        return end not in self._valid_after or not is_current

    def finish(self, *, sent: bool) -> None:
        """Free what the call holds, as `HeldCall` says."""
        self._waits.forget(self, self._keys)
        if self._is_counted:
            self._services.hub.end_wait(self, *self._owner)
        if self._places is not None:
            self._places.release()
        if sent:
            self._note_end()

    @property
    def _owner(self) -> tuple[UUID, UUID, str]:
        return self._credential.user_id, self._credential.id, self._address
