"""The backplane over a Valkey or Redis: a channel of each user, and one of all processes.

A user's events go, sealed, to the user's channel, which only processes with readers of that user
hear. Channels are sharded: each is on one node of a cluster. What a process announces while the
node is away is lost, as is what it does not hear, and is found by the polls of the database.
"""

from collections.abc import Sequence
from uuid import UUID

import structlog
import trio

from relay.config.parsers import SigningKey
from relay.config.valkey_address import ValkeyAddress
from relay.observability import backplane_metrics
from relay.realtime.backplane import OnNotification
from relay.realtime.encoding import CommittedEvents
from relay.realtime.hub import Hub
from relay.realtime.notification import Notification
from relay.realtime.process_ids import new_process_id
from relay.realtime.reported_counts import ReportedCounts
from relay.realtime.sealing import Sealer
from relay.realtime.valkey.greeting import pack
from relay.realtime.valkey.limits import ValkeyLimits
from relay.realtime.valkey.messages import Messages
from relay.realtime.valkey.names import CountNames, Names
from relay.realtime.valkey.processes import Processes
from relay.realtime.valkey.stream_counts import StreamCounts
from relay.realtime.valkey.subscriptions import Subscriptions

ATTEND_TIMEOUT_SECONDS = 0.25  # for a subscription: a stream opens without it then
LEAVE_SECONDS = 30.0  # a channel without a reader for as long is left
LEAVE_INTERVAL = 5.0  # seconds between two looks for such channels
SIGN_OF_LIFE_INTERVAL = 1.0  # seconds between two messages that this process is alive
UNKNOWN_SECONDS = 3.0  # after a gap on the channel of all, until each process was heard again
FAREWELL_SECONDS = 1.0  # to send that it ends, which the others notice anyway
# Of messages that a node has not accepted yet: past the first, positions alone are announced; past
# the second nothing, and all processes are asked to look up everything.
MAX_WAITING_BYTES = 8 * 2**20
MOST_WAITING_BYTES = 9 * 2**20

log = structlog.get_logger("relay.backplane")


class ValkeyBackplane:
    """`run` connects it. `limits` are those that processes count together there.

    Raises ValueError for files of certificates that cannot be used.
    """

    def __init__(self, address: ValkeyAddress, keys: Sequence[SigningKey], hub: Hub) -> None:
        self._hub = hub
        self._id = new_process_id()
        self._sealer = Sealer(keys, self._id)
        self._messages = Messages(self._id, self._sealer)
        self._names = Names(address.prefix)
        self._processes = Processes()
        self._subscriptions = Subscriptions(address, self._names, self._on_message, self._on_missed)
        self._nodes = self._subscriptions.nodes
        self._reported = ReportedCounts(hub)
        self._counts = StreamCounts(
            self._nodes,
            self._names,
            self._id,
            self._processes,
            self._reported,
            self._all_known_since,
        )
        count_names = CountNames(address.prefix, keys)
        self.limits = ValkeyLimits(self._nodes, count_names, self._id, self._count_processes)
        self._all_known_at = float("inf")
        self._overflowed = False
        self._heard_all = False  # whether the channel of all has stood
        self._unknown_until = 0.0
        self._on_notification: OnNotification = _ignore

    def announce_events(self, user_id: UUID, events: CommittedEvents) -> None:
        if self._is_alone():
            return
        names = self._names.of_user(user_id)
        connection = self._nodes.connection_of(names.slot)
        if connection is None:
            backplane_metrics.send_failures.inc()
        elif connection.waiting < MOST_WAITING_BYTES:
            with_texts = connection.waiting < MAX_WAITING_BYTES
            message = self._messages.of_events(user_id, events, with_texts=with_texts)
            connection.publish(pack(b"SPUBLISH", names.channel, message))
            backplane_metrics.sent.inc()
        elif not self._overflowed:
            self._overflowed = True
            backplane_metrics.overflows.inc()

    def announce_revoked(self, credential_id: UUID) -> None:
        if self._is_alone():
            return
        if self._to_all(self._messages.of_revoked(credential_id)):
            backplane_metrics.sent.inc()
        else:
            backplane_metrics.send_failures.inc()

    def _is_alone(self) -> bool:
        """Whether no other process is known to be alive, and one would be known."""
        return (
            self._processes.none
            and self._subscriptions.hears_all
            and trio.current_time() >= self._unknown_until
        )

    def _count_processes(self) -> int | None:
        """All processes, this one included; None while some may not have been heard."""
        if trio.current_time() < self._all_known_since():
            return None
        return 1 + self._processes.count()

    def _all_known_since(self) -> float:
        """Trio's time from which on each process that lives is heard; infinite while none is."""
        return self._all_known_at if self._subscriptions.hears_all else float("inf")

    def _to_all(self, message: bytes) -> bool:
        """Send a message to all processes; returns whether there is a connection for it."""
        connection = self._nodes.connection_of(self._names.everyone_slot)
        if connection is not None and connection.waiting < MOST_WAITING_BYTES:
            connection.publish(pack(b"SPUBLISH", self._names.everyone, message))
            return True
        return False

    async def attend(self, user_id: UUID) -> None:
        await self._subscriptions.attend(user_id, within=ATTEND_TIMEOUT_SECONDS)

    def look_for_watchers(self, user_id: UUID) -> None:
        self._counts.look_soon(user_id)

    def watchers(self, user_id: UUID) -> int:
        return self._counts.elsewhere(user_id)

    async def run(
        self,
        on_notification: OnNotification,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        self._on_notification = on_notification
        connected = trio.CancelScope(shield=True)
        async with trio.open_nursery() as nursery:
            try:
                self._subscriptions.listen_to_all()
                await nursery.start(self._stay_connected, connected)
                nursery.start_soon(self._counts.run)
                nursery.start_soon(self.limits.run)
                nursery.start_soon(self._leave_channels)
                task_status.started()
                await self._show_life()
            finally:  # the connections are needed for one more message
                with trio.move_on_after(FAREWELL_SECONDS, shield=True):
                    await self._say_farewell()
                connected.cancel()

    async def _stay_connected(
        self, scope: trio.CancelScope, task_status: trio.TaskStatus[None]
    ) -> None:
        with scope:
            await self._nodes.run(task_status=task_status)

    async def _show_life(self) -> None:
        while True:
            if self._to_all(self._messages.of_itself(everything=self._overflowed)):
                self._overflowed = False
            backplane_metrics.processes.set(1 + self._processes.count())
            await trio.sleep(SIGN_OF_LIFE_INTERVAL)

    async def _say_farewell(self) -> None:
        connection = self._nodes.connection_of(self._names.everyone_slot)
        if connection is not None:
            self._to_all(self._messages.of_itself(leaves=True))
            accepted = trio.Event()
            connection.send(pack(b"PING"), lambda _: accepted.set())
            await accepted.wait()

    async def _leave_channels(self) -> None:
        while True:
            await trio.sleep(LEAVE_INTERVAL)
            self._subscriptions.leave_unused(self._hub.is_attended, after=LEAVE_SECONDS)

    def _on_message(self, user_id: UUID | None, message: bytes) -> None:
        if self._sealer.is_own(message):
            return
        notification = self._messages.read(message)
        if notification is None:
            log.warning("notification_not_understood")
            self._on_missed(set() if user_id is None else {user_id}, user_id is None)
            return
        if notification.leaves:
            self._processes.forget(notification.sender)
        elif self._processes.note(notification.sender):
            self._to_all(self._messages.of_itself())  # known at once in both directions
        if notification:
            backplane_metrics.received.inc()
            self._on_notification(notification)

    def _on_missed(self, users: set[UUID], everything: bool) -> None:
        self._reported.forget()  # a node that was away may have lost the numbers of streams
        if everything:
            self._all_known_at = trio.current_time() + UNKNOWN_SECONDS
            if self._heard_all:
                self._unknown_until = self._all_known_at
            self._heard_all = True
            self._to_all(self._messages.of_itself())  # those that hear it answer
        self._on_notification(Notification(self._id, everything=everything, missed=users))


def _ignore(_notification: Notification) -> None:
    """Take a notification before `run` has begun."""
