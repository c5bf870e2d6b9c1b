"""Was a signal for us alone, or for our whole process group? Somebody beside us knows."""

import threading
import time
from collections.abc import Callable

PATIENCE = 0.1  # seconds for the other's word; so late comes a signal that was for us alone
SAME = 2.0  # seconds; what was heard longer ago was another signal


class Witness:
    """What the keeper hears, which stands in our process group and is sent nothing by itself."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._heard: dict[int, float] = {}
        self._answers = 0
        self._gone = False

    def hear(self, number: int) -> None:
        with self._changed:
            self._heard[number] = time.monotonic()
            self._changed.notify_all()

    def answer(self) -> None:
        """It was asked, and has told all that it had heard by then."""
        with self._changed:
            self._answers += 1
            self._changed.notify_all()

    def go(self) -> None:
        """It hears nothing more: the command has ended."""
        with self._changed:
            self._gone = True
            self._changed.notify_all()

    def heard(self, number: int, ask: Callable[[], None]) -> bool:
        """Whether this signal, which we have just been sent, need not be passed on.

        It was sent to the whole group, or nobody is left. `ask` has the keeper answer: on a busy
        machine it may not have had its turn yet.
        """

        def recently() -> bool:
            return time.monotonic() - self._heard.get(number, float("-inf")) < SAME

        with self._changed:
            if not self._changed.wait_for(recently, PATIENCE) and not self._gone:
                answers = self._answers
                ask()
                self._changed.wait_for(lambda: self._answers > answers or self._gone)
            found = recently()
            self._heard.pop(number, None)
            return found or self._gone
