"""Events of connections: logged here, counted by subclasses."""

import logging

import structlog

log = structlog.get_logger("relay.server")


class Observer:
    """Is called for each event of a connection's life; override some and call `super()`.

    Called from the connection's own task, so methods return at once and do not raise.
    """

    def connection_opened(self) -> None:
        """One more live connection."""

    def connection_closed(self) -> None:
        """One less; called exactly once for each `connection_opened`."""

    def connection_refused(self) -> None:
        """One came when there were as many as there may be. It was never opened."""
        log.debug("connection_refused")

    def connection_displaced(self) -> None:
        """One that waited for a request was closed: another came when there was no more room."""

    def connection_stalled(self) -> None:
        """One was cut because its reader made no progress."""
        log.info("connection_stalled")

    def connection_failed(self, failure: BaseException) -> None:
        """Serving one failed for an unforeseen reason; it is gone, the others go on."""
        log.error("connection_failed", exc_info=failure)

    def application_failed(self, failure: BaseException) -> None:
        """The application raised instead of answering."""
        log.error("application_failed", exc_info=failure)

    def request_refused(self, status: int, code: str, request_id: str) -> None:
        """The server answered in the application's place."""
        level = logging.ERROR if status == 500 else logging.DEBUG
        log.log(level, "request_refused", status=status, code=code, request_id=request_id)
