"""What users ask without a stream: pages of events, and what they have."""

import time
from urllib.parse import urlencode

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.support.model.book import Asked, User
from tests.support.model.drawn import STARTS, Draft, Start
from tests.support.model.story import Holder, Story, hooks, recorded, session_of, users
from tests.support.patience import PATIENCE


class QuestionRules(Story):
    """An answer is as the book says."""

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
