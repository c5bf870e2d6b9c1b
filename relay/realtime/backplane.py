"""What other processes on the same database stored: the net under every announcement.

Once a second one query asks how far the streams with readers here have got. Whoever is further
than its readers were told, because another process stored it or because a commit's answer was
lost, sends them to the journal.
"""

import trio

from relay.db.journal import Journal
from relay.errors import DatabaseAway
from relay.realtime.hub import Hub

POLL = 1.0  # seconds: how late an event from elsewhere may be


async def follow_other_processes(hub: Hub, journal: Journal) -> None:
    """Run for as long as the process serves."""
    while True:
        await trio.sleep(POLL)
        if users := hub.users():
            try:
                heads = await journal.heads(users)
            except DatabaseAway:
                continue  # told in the log by who looks for revocations
            for user_id, last_seq in heads.items():
                hub.recheck(user_id, last_seq)
