"""The story of one run: what was done, step by step, and what the rules of all kinds share."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine

from tests.support.model.book import Credential, Ticket, User
from tests.support.model.drawn import Batch
from tests.support.model.publishing import Publishing
from tests.support.model.reader import Reader
from tests.support.model.watching import Watching

Holder = User | Credential  # a user stands for what it would use: a session, or a hook that lives

users: Bundle[User] = Bundle("users")
hooks: Bundle[Credential] = Bundle("hooks")
tickets: Bundle[Ticket] = Bundle("tickets")
readers: Bundle[Reader] = Bundle("readers")

TRANSPORTS = st.sampled_from(["websocket", "sse"])
FLOODS = [Batch(new=15, payload=60_000), Batch(new=15, payload=60_000), Batch(new=300)]


def session_of(holder: Holder) -> Credential:
    return holder.session if isinstance(holder, User) else holder


def recorded(step: Callable[..., Any]) -> Callable[..., Any]:
    """Write a rule's steps down: a failure that does not come again has its story all the same."""

    @wraps(step)
    def wrapped(machine: "Story", **given: Any) -> Any:
        words = ", ".join(f"{name}={value!r}" for name, value in given.items())
        machine.story.append(f"{time.time() - machine.began:7.3f} {step.__name__}({words})")
        place = len(machine.story) - 1
        machine.latest = step.__name__
        with machine.telling():
            result = step(machine, **given)
        if result is not None:
            machine.story[place] += f" -> {result!r}"
        return result

    return wrapped


class Story(Publishing, Watching, RuleBasedStateMachine):
    """`house` and `tally` are set by the test that runs it."""

    with_expiry = False  # streams that are over in two seconds, from the first moment on
    with_flood = False  # a reader that stalls in the end, and still sees everything

    def __init__(self) -> None:
        super().__init__()
        self.waits = 0
        self.floods = 0
        self.sessions_ended = 0
        self.revoked_while_opening = 0
        self.began = time.time()
        self.story: list[str] = []
        self.latest = ""
        self.failed = False
        self.brief: Credential | None = None  # a token that is over soon, and opened streams

    def news(self, question: str) -> bool:
        """Whether anything else was done since that was asked last."""
        return self.latest != question

    @contextmanager
    def telling(self) -> Iterator[None]:
        """What fails in here fails with the whole story."""
        try:
            yield
        except Exception as error:
            if not self.failed:
                error.add_note("\n".join(self.story))
            self.failed = True
            raise
