"""Was a signal for us alone, or for our whole process group? Somebody beside us knows."""

import threading
import time

PATIENCE = 0.1  # seconds for the other's word; so late comes a signal that was for us alone
SAME = 0.5  # seconds; what was heard longer ago was another signal


class Witness:
    """What the keeper hears, which stands in our process group and is sent nothing by itself."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._heard: dict[int, float] = {}

    def hear(self, number: int) -> None:
        with self._changed:
            self._heard[number] = time.monotonic()
            self._changed.notify_all()

    def heard(self, number: int) -> bool:
        """Whether this signal, which we have just been sent, was sent to the whole group."""

        def recently() -> bool:
            return time.monotonic() - self._heard.get(number, float("-inf")) < SAME

        with self._changed:
            found = self._changed.wait_for(recently, PATIENCE)
            self._heard.pop(number, None)
            return found
