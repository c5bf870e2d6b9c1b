"""Readers that open streams and read pages: admitted or refused, and where they start."""

import time

import msgspec

from tests.support.client.protocol import Answer
from tests.support.model.book import Asked, Credential, Standing, Ticket, User
from tests.support.model.drawn import Start
from tests.support.model.messages import Fields, Message
from tests.support.model.reader import Reader
from tests.support.model.scene import Scene

MAX_PAGE_BYTES = 7 * 2**20  # a page of so many bytes may be cut short


class Watching(Scene):
    """Streams on either transport, and the same as pages."""

    def __init__(self) -> None:
        super().__init__()
        self.came: list[Reader] = []

    def come(
        self,
        by: Credential | Ticket,
        transport: str,
        start: Start | Asked,
        *,
        narrow: bool = False,
        batched: bool = False,
        attentive: bool = False,
    ) -> Reader:
        """Ask for a stream; whether it is opened is seen later."""
        credential = by.credential if isinstance(by, Ticket) else by
        if credential is None:  # a ticket that was not given out: no user's
            credential = self.people[0].session
        user = credential.user
        asked = start
        if isinstance(start, Start):
            asked = start.asked(user, self.any_other_user(user), transport)
        assert isinstance(asked, Asked)
        headers = {}
        if isinstance(by, Ticket):
            asked = Asked(
                {**asked.query, "ticket": by.text},
                *(asked.headers, asked.cursor, asked.oldest, asked.newest, asked.bad),
            )
        else:
            headers["Authorization"] = f"Bearer {by.token}"
        name = f"r{len(self.came) + 1}"
        reader = Reader(
            *(name, self.house, user, credential, transport, asked, headers, self.tally),
            narrow=narrow,
            batched=batched,
            attentive=attentive,
        )
        self.came.append(reader)
        return reader

    def greet(self, reader: Reader, by: Credential | Ticket) -> None:
        """It is accepted or refused, rightly; an accepted stream is greeted."""
        status = reader.await_answer()
        answer = reader.stream.answer
        standing = by.standing(reader.asked_at, time.time())
        if isinstance(by, Ticket):
            by.spent = True
        if status not in (101, 200):
            reader.over_at = reader.asked_at
        if status == 401:
            assert standing is not Standing.LIVE, f"{by} is {standing}: {answer}"
            assert answer is not None
            assert answer.code == "invalid_token", f"{answer}"
            self.tally[f"refused at the door: {type(by).__name__}"] += 1
        else:
            assert standing is not Standing.GONE, f"{by} is {standing}: {answer}"
            if not reader.credential.may_watch:
                assert status == 403, f"{answer}"
            elif reader.asked.bad is not None:
                assert status == 400, f"{answer}"
                assert answer is not None
                assert answer.code == reader.asked.bad, f"{answer}"
            else:
                assert status == (101 if reader.transport == "websocket" else 200), f"{answer}"
                reader.await_hello()

    def open_stream(
        self,
        by: Credential | Ticket,
        transport: str,
        start: Start,
        *,
        narrow: bool = False,
        batched: bool = False,
        attentive: bool = False,
    ) -> Reader:
        reader = self.come(
            *(by, transport, start), narrow=narrow, batched=batched, attentive=attentive
        )
        self.greet(reader, by)
        self.watching.append(reader)
        return reader

    def check_page(self, user: User, asked: Asked, limit: int, answer: Answer) -> None:
        facts = answer.json
        before = user.floor
        user.learn_oldest(facts["oldest"], before)
        page = msgspec.json.decode(answer.body, type=dict[str, msgspec.Raw])
        events = msgspec.json.decode(page["events"], type=list[Fields])
        end = user.learn_epoch(facts["cursor"])
        start = end - len(events)
        for seq, fields in enumerate(events, start + 1):
            assert user.event(seq, Message(fields)).seq == seq
        gap = facts.get("gap")
        greeting = (facts["resumed"], facts.get("reason"), gap and (gap["from"], gap["to"]))
        right = {  # the oldest may have moved while the page was put together
            (where.seq, where.resumed, where.reason, where.gap)
            for oldest in range(before, user.floor + 1)
            for where in [asked.where(user.epoch, oldest, user.last)]
        }
        assert (start, *greeting) in right, (
            f"{user}: asked for {asked}, got {start} to {end}, {greeting}"
        )
        whole = min(limit, user.last - start)
        assert len(events) == whole or len(answer.body) > MAX_PAGE_BYTES, f"{len(events)} {whole}"
        self.tally["page"] += 1
