"""Users, events and credentials for tests of the streams alone: no server, no database."""

import math
import time
from datetime import UTC, datetime
from uuid import UUID, uuid4

from relay.auth.credentials import Credential
from relay.auth.revocations import RevocationKnowledge
from relay.auth.tokens import Kind, Scope
from relay.events import Event
from relay.realtime.encoding import EncodedEvent
from relay.realtime.hub import Hub
from relay.realtime.inbox import Inbox

EPOCH = "e" * 20
FAR = time.time() + 10**8  # nothing expires here


def an_event(seq: int, payload: str = "0", epoch: str = EPOCH) -> Event:
    return Event(
        epoch=epoch,
        seq=seq,
        id=f"e{seq}",
        event_type="log",
        task_id=None,
        ts="2026-01-31T12:00:00Z",
        payload=payload,
        received_at=datetime.now(UTC),
    )


def a_batch(*seqs: int, payload: str = "0", epoch: str = EPOCH) -> list[EncodedEvent]:
    return [EncodedEvent.from_event(an_event(seq, payload, epoch)) for seq in seqs]


def a_batch_of(total: int, first: int = 1, count: int = 2) -> list[EncodedEvent]:
    """Frames whose JSON is exactly so large together."""
    small = a_batch(*range(first, first + count - 1))
    missing = total - sum(frame.size for frame in small)
    last = first + count - 1
    payload = f'"{"x" * (missing - a_batch(last, payload=chr(34) * 2)[0].size)}"'
    return [*small, *a_batch(last, payload=payload)]


def a_credential(user_id: UUID, credential_id: UUID | None = None) -> Credential:
    return Credential(
        user_id=user_id,
        id=credential_id or uuid4(),
        kind=Kind.HOOK,
        scopes=(Scope.WATCH,),
        expires_at=FAR,
        ends_at=FAR,
    )


def live(inbox: Inbox, seq: int = 0) -> Inbox:
    """Its reader has all of a stream that goes up to `seq`."""
    inbox.start(EPOCH, seq, seq)
    return inbox


def known_revocations() -> RevocationKnowledge:
    """All revocations are known, and for ever."""
    revocations = RevocationKnowledge()
    revocations.note_success(math.inf)
    return revocations


def a_hub(
    max_streams: int = 100, max_streams_per_user: int = 100, max_streams_per_address: int = 100
) -> Hub:
    return Hub(
        known_revocations(),
        max_streams=max_streams,
        max_streams_per_user=max_streams_per_user,
        max_streams_per_address=max_streams_per_address,
    )
