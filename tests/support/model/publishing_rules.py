"""What producers do: single events, batches, and several posts at the same moment."""

from hypothesis import strategies as st
from hypothesis.stateful import rule

from tests.support.client.blocking import Call
from tests.support.client.protocol import NDJSON
from tests.support.model.book import Event, User
from tests.support.model.drawn import BAD_LINES, BATCHES, DRAFTS, POOL, STARTS, Batch, Draft, Start
from tests.support.model.reader import Reader
from tests.support.model.story import Holder, Story, hooks, recorded, users


class PublishingRules(Story):
    """A receipt enters the book, and a refusal leaves it as it is."""

    @rule(by=st.one_of(users, users, users, hooks), draft=DRAFTS)
    @recorded
    def publish(self, by: Holder, draft: Draft) -> None:
        hook = self.publisher(by) if isinstance(by, User) else by
        if hook is None:
            return
        user = hook.user
        event_id, (event, line) = draft.named(user), self.rendered(user, draft)
        call = self.post(hook, line)
        answer = self.let_in(call, hook, hook.may_publish)
        if answer is not None:
            assert answer.status == 200, f"{answer}"
            self.receive(user, event, event_id, call, answer.json)

    @rule(by=st.one_of(users, users, users, hooks), batch=BATCHES)
    @recorded
    def publish_batch(self, by: Holder, batch: Batch) -> None:
        hook = self.publisher(by) if isinstance(by, User) else by
        if hook is None:
            return
        user = hook.user
        drafts = batch.drafts(user)
        rendered = [self.rendered(user, draft) for draft in drafts]
        lines = [line for _, line in rendered]
        if batch.bad is not None:
            lines.insert(len(lines) // 2, BAD_LINES[batch.bad])
        call = self.post(hook, b"\n".join(lines) or b"\n", NDJSON)
        answer = self.let_in(call, hook, hook.may_publish)
        if answer is None:
            return
        if not lines:
            assert (answer.status, answer.code) == (400, "bad_request"), f"{answer}"
            return
        if batch.bad is not None:
            assert (answer.status, answer.code) == (422, "invalid"), f"{answer}"
            bad_line = f"line {len(rendered) // 2 + 1}"
            named = {error["where"].partition(":")[0] for error in answer.json["errors"]}
            assert named == {bad_line}, f"{answer}"
            self.tally["bad batch"] += 1
            return
        self.receive_batch(user, rendered, call, answer)

    @rule(
        user=users,
        other=users,
        ids=st.lists(st.one_of(st.none(), st.sampled_from(POOL)), min_size=2, max_size=5),
        start=STARTS,
        attentive=st.booleans(),
    )
    @recorded
    def crowd(
        self, user: User, other: User, ids: list[str | None], start: Start, attentive: bool
    ) -> None:
        """Several posts at the same moment, the same ids among them, and new readers."""
        posts: list[tuple[User, Event, Call]] = []
        coming: list[Reader] = []
        for number, event_id in enumerate(ids):
            for producer in dict.fromkeys((user, other)):
                if (hook := self.publisher(producer)) is not None:
                    event, line = self.rendered(producer, Draft(event_id, payload=str(number)))
                    posts.append((producer, event, self.post(hook, line)))
            if number < 2:
                transport = "websocket" if number else "sse"
                coming.append(self.come(user.session, transport, start, attentive=attentive))
        for producer in dict.fromkeys((user, other)):
            mine = [(event, call) for poster, event, call in posts if poster is producer]
            self.receive_crowd(producer, mine, len(coming))
        for reader in coming:
            self.greet(reader, user.session)
        self.watching += coming
        self.tally["crowd"] += 1
