"""Events that only a look found are counted; those that a notification names in time are not."""

from uuid import UUID, uuid4

import trio
from prometheus_client import REGISTRY
from trio.testing import MockClock

from relay.realtime import look_findings
from relay.realtime.look_findings import GRACE_SECONDS, LookFindings

ME, YOU = uuid4(), uuid4()


def counted() -> float:
    return REGISTRY.get_sample_value("relay_backplane_look_found_total") or 0.0


async def after_a_look(findings: LookFindings) -> float:
    """How many more are counted once their time is over."""
    before = counted()
    await trio.sleep(GRACE_SECONDS)
    findings.count()
    return counted() - before


async def test_what_no_notification_names_is_counted_once(autojump_clock: MockClock) -> None:
    findings = LookFindings(lambda _user: False)
    findings.note_found(ME, 3)
    findings.note_found(ME, 5)  # found again before its time is over
    findings.note_found(YOU, 1)
    before = counted()
    findings.count()
    assert counted() == before
    assert await after_a_look(findings) == 2
    assert await after_a_look(findings) == 0


async def test_what_a_notification_names_in_time_is_not(autojump_clock: MockClock) -> None:
    findings = LookFindings(lambda _user: False)
    findings.note_named(ME, 9)  # before the look: of nothing that was found
    findings.note_found(ME, 3)
    findings.note_found(YOU, 3)
    findings.note_named(ME, 3)
    findings.note_named(YOU, 2)  # the third came without one
    findings.note_named(uuid4(), 3)
    assert await after_a_look(findings) == 1


async def test_what_this_process_is_storing_is_not(autojump_clock: MockClock) -> None:
    storing = {ME}
    findings = LookFindings(storing.__contains__)
    findings.note_found(ME, 3)
    findings.note_found(YOU, 3)
    assert await after_a_look(findings) == 1


async def test_it_stays_bounded(autojump_clock: MockClock) -> None:
    findings = LookFindings(lambda _user: False)
    for number in range(look_findings.MAX_FOUND + 5):
        findings.note_found(UUID(int=number), 1)
    assert await after_a_look(findings) == look_findings.MAX_FOUND
