"""What viewers do: open streams, stall, resume, read and leave."""

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.support.model.book import Asked, Ticket, User
from tests.support.model.drawn import SPELT, STARTS, Batch, Start, spelt
from tests.support.model.publishing_rules import PublishingRules
from tests.support.model.reader import Reader
from tests.support.model.story import (
    FLOODS,
    TRANSPORTS,
    Holder,
    hooks,
    readers,
    recorded,
    session_of,
    tickets,
    users,
)

MOST_FLOODS = 2  # in one example: megabytes each


class WatchingRules(PublishingRules):
    """A stream is admitted or refused rightly, and starts where it was asked to."""

    @rule(
        target=readers,
        by=st.one_of(users, users, hooks, tickets),
        transport=TRANSPORTS,
        start=STARTS,
        narrow=st.booleans(),
        batched=st.booleans(),
        attentive=st.booleans(),
    )
    @recorded
    def open(
        self,
        by: Holder | Ticket,
        transport: str,
        start: Start,
        narrow: bool,
        batched: bool,
        attentive: bool,
    ) -> Reader:
        by = by if isinstance(by, Ticket) else session_of(by)
        return self.open_stream(
            by, transport, start, narrow=narrow, batched=batched, attentive=attentive
        )

    @rule(
        target=readers,
        user=users,
        transport=TRANSPORTS,
        seq=st.integers(0, 500),
        how=SPELT,
        narrow=st.booleans(),
        attentive=st.booleans(),
    )
    @recorded
    def open_at_a_cursor(
        self, user: User, transport: str, seq: int, how: str, narrow: bool, attentive: bool
    ) -> Reader:
        """From anywhere in the user's own stream, trimmed or not."""
        start = Start("own", seq, how)
        return self.open_stream(
            *(user.session, transport, start), narrow=narrow, batched=narrow, attentive=attentive
        )

    @precondition(lambda self: self.floods < MOST_FLOODS)
    @rule(
        target=readers,
        user=users,
        transport=TRANSPORTS,
        batched=st.booleans(),
        behind=st.booleans(),
        floods=st.lists(st.sampled_from(FLOODS), min_size=2, max_size=4),
    )
    @recorded
    def stall(
        self, user: User, transport: str, batched: bool, behind: bool, floods: list[Batch]
    ) -> Reader:
        """Come, take nothing, and be sent more than any buffer on the way holds."""
        self.floods += 1
        start = Start("oldest" if behind else "nowhere")
        reader = self.open_stream(
            *(user.session, transport, start), narrow=True, batched=batched, attentive=False
        )
        for batch in floods:
            self.publish_batch(by=user, batch=batch)
        return reader

    @rule(
        target=readers,
        reader=readers,
        transport=TRANSPORTS,
        how=SPELT,
        narrow=st.booleans(),
    )
    @recorded
    def resume(self, reader: Reader, transport: str, how: str, narrow: bool) -> Reader:
        """On from where it was: as a rule after leaving, now and then beside itself."""
        user = reader.user
        if not reader.cursor:
            asked = Asked()
        else:
            epoch, _, seq = reader.cursor.partition(".")
            asked = spelt(how, epoch, int(seq), transport)
        reader.leave(politely=False)
        again = self.come(user.session, transport, asked, narrow=narrow, attentive=reader.attentive)
        self.greet(again, user.session)
        self.watching.append(again)
        return again

    @rule(reader=readers, size=st.sampled_from([1, 100, 5000]))
    @recorded
    def read_a_little(self, reader: Reader, size: int) -> None:
        if reader.open:
            reader.read(0.001, size)

    @rule(reader=readers)
    @recorded
    def read_everything(self, reader: Reader) -> None:
        if reader.open:
            reader.catch_up()

    @rule(reader=readers, politely=st.booleans())
    @recorded
    def leave(self, reader: Reader, politely: bool) -> None:
        reader.leave(politely=politely)
