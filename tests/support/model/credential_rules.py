"""What users do with their credentials: make, spend, revoke and outlive them."""

import time
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import initialize, multiple, precondition, rule

from tests.support.model.book import Credential, Standing, Ticket, User
from tests.support.model.drawn import Start
from tests.support.model.scene import excused
from tests.support.model.story import (
    TRANSPORTS,
    Holder,
    Story,
    hooks,
    recorded,
    session_of,
    tickets,
    users,
)

MOST_USERS = 4
MOST_SESSIONS_ENDED = 1  # in one example: some users have to be left
MOST_REVOKED_WHILE_OPENING = 2  # in one example: a second each
MOST_WAITS = 2  # expiries waited for in one example: seconds each
SCOPES = st.sampled_from([["webhook"], ["publish"], ["watch"], ["publish", "watch"]])


class CredentialRules(Story):
    """An answer fits the standing that the credential had while it was asked."""

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
