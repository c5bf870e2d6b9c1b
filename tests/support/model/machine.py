"""The state machine: what users, producers and viewers may do to a running Relay, in any order.

Every rule does something and holds the answer against the book; what goes on by itself
meanwhile (trims, heartbeats, expiries) is Relay's own. In the end every reader that lives has
seen everything, and every stream is as the book says.
"""

import time

from hypothesis.stateful import invariant, rule

from tests.support.model.credential_rules import CredentialRules
from tests.support.model.drawn import Batch, Draft, Start
from tests.support.model.question_rules import QuestionRules
from tests.support.model.story import FLOODS, recorded
from tests.support.model.watching_rules import WatchingRules

TOUR = [
    *(("websocket", Start("foreign", 1)), ("sse", Start("ahead", 0, "header"))),
    *(("websocket", Start("end")), ("sse", Start("newest", 3))),
    *(("websocket", Start("edge", 1)), ("sse", Start("edge", 2))),
]


class Machine(CredentialRules, WatchingRules, QuestionRules):
    """Every rule, what holds between them, and the end of a run."""

    @rule()
    @recorded
    def while_nothing_happens(self) -> None:
        """Time passes. The last name of all: Hypothesis's simplest story, and now a short one."""
        time.sleep(0.003)

    # -- what always holds

    @invariant()
    def attentive_readers_have_everything(self) -> None:
        with self.telling():
            for reader in self.watching:
                if reader.attentive and reader.open:
                    reader.catch_up()

    @invariant()
    def epochs_differ(self) -> None:
        with self.telling():
            assert len({user.epoch for user in self.people}) == len(self.people)

    def teardown(self) -> None:
        try:
            if not self.failed:
                self.the_end()
        finally:
            for reader in self.came:
                reader.stream.leave(politely=False)

    @recorded
    def the_end(self) -> None:
        """A last event each: readers see everything up to it, new readers get a right greeting
        with their start, and readers that have to end do."""
        first = max(self.people, key=lambda user: (user.session.revoked_at is None, user.last))
        if self.with_flood:
            self.stall(user=first, transport="sse", batched=False, behind=False, floods=FLOODS)
        for user in self.people:
            self.publish(by=user, draft=Draft(payload='"the last"'))
        self.publish_batch(by=first, batch=Batch(new=5, bad="no ts"))
        for reader in self.watching:
            reader.catch_up()
        for user in self.people:
            self.page(by=user, start=Start("oldest"), limit=None)
            self.what_is_mine(by=user)
        self.trimmed_in_time(user=first)
        for transport, start in TOUR:
            self.open_stream(first.session, transport, start, attentive=True).catch_up()
        if self.brief is not None:
            time.sleep(max(0.0, self.brief.expires_at - time.time()))
            self.expect_end(self.brief)
        self.end_session(user=first)
