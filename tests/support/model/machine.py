"""The state machine: what users, producers and viewers may do to a running Relay, in any order.

Every rule does something and holds the answer against the book; what goes on by itself
meanwhile (trims, heartbeats, expiries) is Relay's own. In the end every reader that lives has
seen everything, and every stream is as the book says.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any
from urllib.parse import urlencode

from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from tests.support.client.blocking import Call
from tests.support.client.protocol import NDJSON
from tests.support.model.book import Asked, Credential, Event, Standing, Ticket, User
from tests.support.model.drawn import (
    BAD_LINES,
    BATCHES,
    DRAFTS,
    POOL,
    SPELT,
    STARTS,
    Batch,
    Draft,
    Start,
    spelt,
)
from tests.support.model.publishing import Publishing
from tests.support.model.reader import Reader
from tests.support.model.scene import excused
from tests.support.model.watching import Watching
from tests.support.patience import PATIENCE

MOST_USERS = 4
MOST_SESSIONS_ENDED = 1  # in one example: some users have to be left
MOST_REVOKED_WHILE_OPENING = 2  # in one example: a second each
MOST_FLOODS = 2  # in one example: megabytes each
MOST_WAITS = 2  # expiries waited for in one example: seconds each

TOUR = [
    *(("websocket", Start("foreign", 1)), ("sse", Start("ahead", 0, "header"))),
    *(("websocket", Start("end")), ("sse", Start("newest", 3))),
    *(("websocket", Start("edge", 1)), ("sse", Start("edge", 2))),
]

FLOODS = [Batch(new=15, payload=60_000), Batch(new=15, payload=60_000), Batch(new=300)]

TRANSPORTS = st.sampled_from(["websocket", "sse"])
SCOPES = st.sampled_from([["webhook"], ["publish"], ["watch"], ["publish", "watch"]])

Holder = User | Credential  # a user stands for what it would use: a session, or a hook that lives


def recorded(step: Callable[..., Any]) -> Callable[..., Any]:
    """Write a rule's steps down: a failure that does not come again has its story all the same."""

    @wraps(step)
    def wrapped(machine: "Machine", **given: Any) -> Any:
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


class Machine(Publishing, Watching, RuleBasedStateMachine):
    """`house` and `tally` are set by the test that runs it."""

    with_expiry = False  # streams that are over in two seconds, from the first moment on
    with_flood = False  # a reader that stalls in the end, and still sees everything

    users = Bundle("users")
    hooks = Bundle("hooks")
    tickets = Bundle("tickets")
    readers = Bundle("readers")

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

    # -- users and credentials

    @initialize(target=users)
    @recorded
    def first_user(self) -> User:
        user = self.new_user()
        if self.with_expiry:
            self.brief = self.brief_token(user)
        return user

    def brief_token(self, user: User) -> Credential:
        """A token that opens streams on both transports before it ends, and ends soon."""
        lifetime = 2
        while True:
            brief = self.mint(user.session, ["webhook"], lifetime)
            assert brief is not None
            opened = [
                self.open_stream(brief, "sse", Start("nowhere")),
                self.open_stream(self.mint_ticket(brief), "websocket", Start("nowhere")),
            ]
            if all(reader.open for reader in opened):
                return brief
            lifetime *= 2

    @initialize(target=users)
    @recorded
    def second_user(self) -> User:
        return self.new_user()

    @precondition(lambda self: len(self.people) < MOST_USERS)
    @rule(target=users)
    @recorded
    def another_user(self) -> User:
        return self.new_user()

    @rule(
        target=hooks,
        by=st.one_of(users, users, hooks),
        scopes=SCOPES,
        expires_in=st.sampled_from([None, None, 1, 2]),
    )
    @recorded
    def make_token(self, by: Holder, scopes: list[str], expires_in: int | None) -> Any:
        holder = session_of(by)
        made = self.mint(holder, scopes, expires_in)
        return multiple() if made is None else made

    @rule(target=tickets, by=st.one_of(users, hooks))
    @recorded
    def make_ticket(self, by: Holder) -> Ticket:
        return self.mint_ticket(session_of(by))

    @rule(by=st.one_of(users, users, hooks), hook=hooks, how=st.sampled_from(["id", "token"]))
    @recorded
    def revoke(self, by: Holder, hook: Credential, how: str) -> None:
        holder = session_of(by)
        named = hook.token_id if how == "id" else hook.token
        field = "token_id" if how == "id" else "token"
        call = self.ask_to_revoke(holder, {field: named})
        answer = call.answer()
        standing = excused(holder, hook, call)
        if answer.status == 401:
            assert standing is not Standing.LIVE, f"{holder}: {answer}"
            return
        assert standing is not Standing.GONE, f"{holder} was let in: {answer}"
        if not holder.is_session and holder is not hook:
            assert answer.status == 403, f"{answer}"
        elif holder.user is not hook.user:
            assert answer.status == 404, f"{answer}"
        else:
            assert (answer.status, answer.json) == (200, {"ok": True}), f"{answer}"
            self.is_over(hook, call)

    @rule(hook=hooks)
    @recorded
    def revoke_itself(self, hook: Credential) -> None:
        call = self.ask_to_revoke(hook, {})
        answer = call.answer()
        if answer.status == 401:
            assert excused(hook, hook, call) is not Standing.LIVE, f"{hook}: {answer}"
            return
        assert (answer.status, answer.json) == (200, {"ok": True}), f"{answer}"
        self.is_over(hook, call)

    @precondition(lambda self: self.sessions_ended < MOST_SESSIONS_ENDED)
    @rule(user=users)
    @recorded
    def end_session(self, user: User) -> None:
        self.sessions_ended += 1
        call = self.call("DELETE", "/api/session", user.session)
        answer = self.let_in(call, user.session)
        if answer is not None:
            assert answer.status == 204, f"{answer}"
            self.is_over(user.session, call)

    @precondition(lambda self: self.revoked_while_opening < MOST_REVOKED_WHILE_OPENING)
    @rule(by=users, start=st.sampled_from([Start("oldest"), Start("nowhere")]))
    @recorded
    def revoke_while_coming(self, by: User, start: Start) -> None:
        """A token that is revoked while it opens streams, by itself and by a ticket."""
        self.revoked_while_opening += 1
        hook = self.mint(by.session, ["webhook"], None)
        if hook is None:
            return
        ticket = self.mint_ticket(hook)
        coming = [self.come(hook, transport, start) for transport in ("websocket", "sse")]
        coming.append(self.come(ticket, "sse", start))
        call = self.ask_to_revoke(by.session, {"token_id": hook.token_id})
        assert call.answer().status == 200
        hook.revoked_at = call.answered_at
        self.watching += coming
        for reader in coming:
            status = reader.await_answer()
            if status == 401:
                reader.over_at = reader.asked_at
            else:
                assert status in (101, 200), f"{reader.stream.answer}"
                reader.read_to_end()
                self.tally["revoked while coming"] += 1

    @precondition(lambda self: self.waits < MOST_WAITS)
    @rule(hook=hooks, transport=TRANSPORTS, by_ticket=st.booleans())
    @recorded
    def let_expire(self, hook: Credential, transport: str, by_ticket: bool) -> None:
        """Wait until a token expires; whatever it opened, a reader of now included, ends."""
        if hook.expires_at > time.time() + 3:
            return
        self.waits += 1
        if by_ticket and hook.may_watch:
            ticket = self.mint_ticket(hook)
            self.open_stream(
                ticket, transport, Start("oldest"), narrow=False, batched=False, attentive=True
            )
        else:
            self.open_stream(
                hook, transport, Start("oldest"), narrow=False, batched=False, attentive=True
            )
        time.sleep(max(0.0, hook.expires_at - time.time()))
        self.expect_end(hook)
        self.tally["expiry"] += 1

    # -- publishing

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

    # -- watching

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

    @rule(
        by=st.one_of(users, users, hooks), start=STARTS, limit=st.sampled_from([None, 1, 7, 1000])
    )
    @recorded
    def page(self, by: Holder, start: Start, limit: int | None) -> None:
        holder = session_of(by)
        asked = start.asked(holder.user, self.any_other_user(holder.user), "page")
        query = dict(asked.query)
        if limit is not None:
            query["limit"] = str(limit)
        call = self.call("GET", f"/api/events?{urlencode(query)}", holder)
        answer = self.let_in(call, holder, holder.may_watch)
        if answer is None:
            return
        if asked.bad is not None:
            assert (answer.status, answer.code) == (400, asked.bad), f"{answer}"
            return
        assert answer.status == 200, f"{answer}"
        if start.kind == "nowhere":
            asked = Asked(oldest=True)
        self.check_page(holder.user, asked, limit or 1000, answer)

    @precondition(lambda self: self.news("what_is_mine"))
    @rule(by=st.one_of(users, users, hooks))
    @recorded
    def what_is_mine(self, by: Holder) -> None:
        """A session sees its user and makes no other one; publishing is for hooks."""
        holder = session_of(by)
        self.settle(holder.user)
        call = self.call("GET", "/api/me", holder)
        answer = self.let_in(call, holder, holder.is_session)
        if answer is not None:
            self.check_me(holder.user, call, answer)
        call = self.call("POST", "/api/user", holder)
        answer = self.let_in(call, holder, holder.is_session)
        if answer is not None:
            same = (answer.status, answer.json["user_id"])
            assert same == (200, holder.user.user_id), f"{answer}"
        if holder.is_session:
            _, line = self.rendered(holder.user, Draft())
            call = self.post(holder, line)
            assert self.let_in(call, holder, False) is None

    @precondition(lambda self: self.house.retention < 1000 and self.news("trimmed_in_time"))
    @rule(user=users)
    @recorded
    def trimmed_in_time(self, user: User) -> None:
        """A stream goes back to what may be kept, and no further."""
        if user.session.revoked_at is not None:
            return
        deadline = time.time() + PATIENCE
        while user.floor < user.oldest_at_most():
            assert time.time() < deadline, f"{user}: trimmed to {user.floor} only"
            self.page(by=user, start=Start("oldest"), limit=1)
            self.tally["trim"] += 1
            time.sleep(0.01)

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


def session_of(holder: Holder) -> Credential:
    return holder.session if isinstance(holder, User) else holder
