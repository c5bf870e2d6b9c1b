"""The users and what they hold; what Relay says of them is checked against the book."""

import json
import time
from collections import Counter
from typing import Any

from tests.support.client.blocking import Call
from tests.support.client.protocol import Answer
from tests.support.model.book import Credential, Standing, Ticket, User
from tests.support.model.reader import House, Reader
from tests.support.patience import PATIENCE


class Scene:
    """Users, their credentials and all readers."""

    house: House
    tally: Counter[str]

    def __init__(self) -> None:
        super().__init__()
        self.people: list[User] = []
        self.watching: list[Reader] = []

    def call(self, method: str, path: str, holder: Credential) -> Call:
        return Call(self.house.port, method, path, holder.token)

    def let_in(self, call: Call, holder: Credential, may: bool = True) -> Answer | None:
        """The answer to an accepted request; None, when it was refused and rightly so."""
        answer = call.answer()
        standing = holder.standing(call.asked_at, call.answered_at)
        if answer.status == 401:
            assert standing is not Standing.LIVE, f"{holder} is {standing}: {answer}"
            assert answer.code == "invalid_token", f"{answer}"
            self.tally["refused: 401"] += 1
            return None
        assert standing is not Standing.GONE, f"{holder} is {standing}: {answer}"
        if not may:
            refused = (answer.status, answer.code)
            assert refused == (403, "insufficient_scope"), f"{holder}: {answer}"
            self.tally["refused: 403"] += 1
            return None
        return answer

    def new_user(self) -> User:
        answer = Call(self.house.port, "POST", "/api/user").answer()
        assert answer.status == 201, f"{answer}"
        user = User(f"u{len(self.people)}", answer.json["user_id"], self.house.retention)
        month = time.time() + 30 * 86_400
        user.session = Credential(user, answer.json["session_token"], "", (), month)
        self.people.append(user)
        call = self.call("GET", "/api/me", user.session)
        self.check_me(user, call, call.answer())
        assert user.last == 0
        self.mint(user.session, ["webhook"], None)
        return user

    def mint_ticket(self, holder: Credential) -> Ticket:
        call = self.call("POST", "/api/rt/ticket", holder)
        answer = self.let_in(call, holder, holder.may_watch)
        if answer is None:
            return Ticket("never-issued", None, call.asked_at)
        assert answer.status == 201, f"{answer}"
        return Ticket(answer.json["ticket"], holder, call.asked_at)

    def mint(
        self, holder: Credential, scopes: list[str], expires_in: int | None
    ) -> Credential | None:
        wanted: dict[str, Any] = {"scopes": scopes}
        if expires_in is not None:
            wanted["expires_in"] = expires_in
        body = json.dumps(wanted).encode()
        call = Call(self.house.port, "POST", "/api/token", holder.token, body)
        answer = self.let_in(call, holder, holder.is_session)
        if answer is None:
            return None
        assert answer.status == 201, f"{answer}"
        made = answer.json
        assert (made["user_id"], made["scopes"]) == (holder.user.user_id, scopes)
        lifetime = expires_in or 90 * 86_400
        assert call.asked_at - 1 <= made["exp"] - lifetime <= call.answered_at
        hook = Credential(
            holder.user, made["token"], made["token_id"], tuple(scopes), float(made["exp"])
        )
        holder.user.hooks.append(hook)
        return hook

    def publisher(self, user: User) -> Credential | None:
        """A hook of this user that lives on; made, if there is none and a session can."""
        for hook in user.hooks:
            lasting = hook.expires_at > time.time() + 3600
            if hook.revoked_at is None and lasting and hook.may_publish:
                return hook
        return self.mint(user.session, ["webhook"], None)

    def any_other_user(self, user: User) -> User | None:
        return next((other for other in self.people if other is not user), None)

    def watchers(self, user: User, call: Call) -> tuple[int, int]:
        counted = [
            reader.counts(call.asked_at, call.answered_at)
            for reader in self.watching
            if reader.user is user
        ]
        return sum(at_least for at_least, _ in counted), sum(at_most for _, at_most in counted)

    def check_watchers(self, user: User, watchers: int, call: Call, coming: int = 0) -> None:
        fewest, most = self.watchers(user, call)
        assert fewest <= watchers <= most + coming, (
            f"{user} has {watchers} watchers by the answer and {fewest} to {most + coming}"
        )

    def check_me(self, user: User, call: Call, answer: Answer) -> None:
        assert answer.status == 200, f"{answer}"
        me = answer.json
        assert me["user_id"] == user.user_id, f"{answer}"
        assert user.learn_epoch(me["cursor"]) == user.last, f"{answer}"
        self.check_watchers(user, me["connections"], call)
        listed = {token["token_id"]: tuple(token["scopes"]) for token in me["tokens"]}
        for hook in user.hooks:
            standing = hook.standing(call.asked_at, call.answered_at)
            scopes = listed.pop(hook.token_id, None)
            if scopes is None:
                assert standing is not Standing.LIVE, f"{hook} is not listed: {answer}"
            else:
                assert standing is not Standing.GONE, f"{hook} is listed: {answer}"
                assert scopes == hook.scopes, f"{answer}"
        assert not listed, f"{user} has no such tokens: {listed}"

    def ask_to_revoke(self, holder: Credential, body: dict[str, str]) -> Call:
        text = json.dumps(body).encode() if body else b""
        return Call(self.house.port, "POST", "/api/token/revoke", holder.token, text)

    def is_over(self, credential: Credential, call: Call) -> None:
        """It was revoked: everything it opened is gone soon, stalled readers included."""
        if credential.revoked_at is None:
            credential.revoked_at = call.answered_at
            self.expect_end(credential)
            self.tally["revoked"] += 1

    def expect_end(self, credential: Credential) -> None:
        ending = [
            reader for reader in self.watching if reader.open and reader.credential is credential
        ]
        if any(reader.behind for reader in ending):
            self.settle(credential.user)  # a reader that does not read is cut without its help
        for reader in ending:
            reader.read_to_end()

    def settle(self, user: User) -> None:
        """Wait until Relay counts no reader that has left or had to end; then none may be."""
        deadline = time.time() + PATIENCE
        while user.session.revoked_at is None:
            call = self.call("GET", "/api/me", user.session)
            connections = call.answer().json["connections"]
            mine = [reader for reader in self.watching if reader.user is user]
            counted = [(reader, reader.counts(call.asked_at, call.answered_at)) for reader in mine]
            alive = sum(at_least for _, (at_least, _) in counted)
            if connections <= alive:
                for reader, (at_least, _) in counted:
                    if not at_least and reader.uncounted_at is None:
                        reader.uncounted_at = call.answered_at
                return
            assert time.time() < deadline, f"{user}: {connections} streams, {alive} may live"
            time.sleep(0.02)


def excused(holder: Credential, hook: Credential, call: Call) -> Standing:
    """Credentials that may revoke: also a hook that was revoked already, as long as it runs."""
    if holder.is_session or holder.revoked_at is None:
        return holder.standing(call.asked_at, call.answered_at)
    if holder.expires_at <= call.asked_at:
        return Standing.GONE
    return Standing.LIVE if call.answered_at < holder.expires_at else Standing.EITHER
