"""Mailed codes are counted for all users and processes together."""

from datetime import timedelta

import pytest
import trio

from relay.db.mail_codes import take_mail_code, uncount_mail_code
from relay.db.pool import open_database
from tests.support.patience import PATIENCE

TOGETHER = 8
HOUR = timedelta(hours=1)


async def test_codes_asked_for_at_the_same_moment_are_as_many_as_the_rate_has_left(
    database_url: str,
) -> None:
    waits: list[float] = []
    async with (
        open_database(database_url, connections=TOGETHER, timeout=PATIENCE) as one,
        open_database(database_url, connections=TOGETHER, timeout=PATIENCE) as other,
    ):

        async def ask(number: int) -> None:
            database = (one, other)[number % 2]
            waits.append(await take_mail_code(database, HOUR, 3))

        async with trio.open_nursery() as nursery:
            for number in range(2 * TOGETHER):
                nursery.start_soon(ask, number)
        assert sorted(waits)[:3] == [0.0] * 3
        assert sorted(waits)[3:] == [pytest.approx(3_600, abs=PATIENCE)] * (2 * TOGETHER - 3)
        await uncount_mail_code(other, HOUR)
        assert await take_mail_code(one, HOUR, 3) == 0
        assert await take_mail_code(one, HOUR, 3) > 0
