"""Stream an answer as a file to save: with a deadline, and an end that can be relied on.

An answer that stops before its end is cut off, so that its client sees that something is missing.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing

import structlog
import trio

from relay.errors import Problem
from relay.web.answers import NO_STORE, Answer
from relay.web.auth import check_again
from relay.web.request import HTTPRequest

# A reader that takes a byte now and then would keep its place for ever. The most that is stored of
# a user by default, 256 MiB, takes an hour at 75 KiB/s.
MAX_DOWNLOAD_SECONDS = 3600.0
CHECK_SECONDS = 1.0  # between two looks whether the credential was revoked
PART_BYTES = 65_536  # of the texts that are gathered before they are written

log = structlog.get_logger("relay.download")


async def send_download(
    request: HTTPRequest,
    texts: AsyncGenerator[bytes, None],
    *,
    media_type: str,
    name: str,
) -> Answer | None:
    """Send the texts as a file of this name, ASCII without quotes. HEAD gets the headers alone.

    The caller holds a place (`Downloads`), from before it looks for what it sends.
    """
    headers = [
        (b"content-type", media_type.encode()),
        (b"content-disposition", f'attachment; filename="{name}"'.encode()),
        NO_STORE,
    ]
    if request.method == "HEAD":
        return Answer(200, headers, b"")
    deadline = trio.current_time() + MAX_DOWNLOAD_SECONDS
    await request.start(200, headers)
    if await _send_all(request, texts, deadline):
        await request.end()
    return None


async def _send_all(
    request: HTTPRequest, texts: AsyncGenerator[bytes, None], deadline: float
) -> bool:
    """Whether all of it was sent: in time, to a client that stayed."""
    complete = False
    async with trio.open_nursery() as sending:
        sending.cancel_scope.deadline = deadline
        sending.start_soon(_cancel_when_gone, request, sending.cancel_scope)
        try:
            checked_at = trio.current_time()
            async with aclosing(_parts(texts)) as parts:
                async for part in parts:
                    if trio.current_time() - checked_at >= CHECK_SECONDS:
                        await check_again(request)
                        checked_at = trio.current_time()
                    await request.write(part)
            complete = True
        except Problem as problem:  # the database is away, or the credential has ended
            log.info("download_cut", reason=problem.code)
        sending.cancel_scope.cancel()
    if not complete and trio.current_time() >= deadline:
        log.info("download_cut", reason="too_slow")
    return complete


async def _cancel_when_gone(request: HTTPRequest, sending: trio.CancelScope) -> None:
    await request.wait_for_disconnect()
    sending.cancel()


async def _parts(texts: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """The texts, joined to parts of about `PART_BYTES`."""
    gathered: list[bytes] = []
    size = 0
    async with aclosing(texts):
        async for text in texts:
            gathered.append(text)
            size += len(text)
            if size >= PART_BYTES:
                yield b"".join(gathered)
                gathered, size = [], 0
    if gathered:
        yield b"".join(gathered)
