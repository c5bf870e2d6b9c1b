"""Who hears what happens to connections: the log by default, the metrics when wired."""

import logging
import traceback
from collections.abc import Iterator

logger = logging.getLogger("relay.server")

FRAMES = 4  # the innermost calls name the place; all of them would flood the log


class Observer:
    """Hears of every connection's fate; override what is of interest and call `super()`.

    Called from the connection's own task, so methods return at once and do not raise.
    """

    def connection_opened(self) -> None:
        """One more live connection."""

    def connection_closed(self) -> None:
        """One less; called exactly once for each `connection_opened`."""

    def connection_refused(self) -> None:
        """One came when there were as many as there may be. It was never opened."""
        logger.debug("connection refused: as many as there may be")

    def connection_stalled(self) -> None:
        """One was cut because its reader made no progress."""
        logger.info("connection cut: no progress in writing")

    def connection_failed(self, failure: BaseException) -> None:
        """Serving one failed in a way nobody foresaw; it is gone, the others go on."""
        logger.error("connection failed: %s", describe(failure))

    def application_failed(self, failure: BaseException) -> None:
        """The application raised instead of answering."""
        logger.error("application failed: %s", describe(failure))

    def request_refused(self, status: int, code: str, request_id: str) -> None:
        """The guard answered in the application's place."""
        level = logging.ERROR if status == 500 else logging.DEBUG
        logger.log(level, "request refused: %d %s request_id=%s", status, code, request_id)


def describe(failure: BaseException) -> str:
    """What failed and where, in one line.

    Types and places only: a message may quote what a stranger sent, or a secret.
    """
    return "; ".join(f"{type(leaf).__qualname__} at {_place(leaf)}" for leaf in _leaves(failure))


def _leaves(failure: BaseException) -> Iterator[BaseException]:
    if isinstance(failure, BaseExceptionGroup):
        for part in failure.exceptions:
            yield from _leaves(part)
    else:
        yield failure


def _place(failure: BaseException) -> str:
    frames = traceback.extract_tb(failure.__traceback__)[-FRAMES:]
    return " > ".join(f"{frame.name} ({frame.filename}:{frame.lineno})" for frame in frames) or "?"
