"""Keep the channels of this process's readers subscribed, wherever their slots are.

A subscription ends with its connection, and where its slot moves. Messages that are published
meanwhile are lost, so the user of a channel that stands again is to be looked up.
"""

from collections.abc import Callable
from uuid import UUID

import hiredis
import trio

from relay.config.valkey_address import ValkeyAddress
from relay.observability import backplane_metrics
from relay.realtime.valkey.connection import NodeConnection
from relay.realtime.valkey.greeting import Reply
from relay.realtime.valkey.names import Names
from relay.realtime.valkey.nodes import Nodes

OnMessage = Callable[[UUID | None, bytes], None]
OnMissed = Callable[[set[UUID], bool], None]


class _Subscription:
    """One channel: of a user, or of all processes if `user_id` is None."""

    __slots__ = ("channel", "connection", "late", "slot", "standing", "used_at", "user_id")

    def __init__(self, channel: bytes, slot: int, user_id: UUID | None) -> None:
        self.channel = channel
        self.slot = slot
        self.user_id = user_id
        self.connection: NodeConnection | None = None  # on which it was asked for
        self.standing = trio.Event()
        self.late = False  # whether messages were lost, or may have been
        self.used_at = trio.current_time()

    def end(self) -> None:
        self.connection = None
        self.late = True
        if self.standing.is_set():
            self.standing = trio.Event()


class Subscriptions:
    """The channels, and the connections to the nodes that have them.

    `on_message` is called with a user, or None for the channel of all, and the message.
    `on_missed` is called with users whose messages may be lost, and whether those of the channel
    of all may be. Neither may raise.
    """

    def __init__(
        self, address: ValkeyAddress, names: Names, on_message: OnMessage, on_missed: OnMissed
    ) -> None:
        self.nodes = Nodes(address, self)
        self._names = names
        self._on_message = on_message
        self._on_missed = on_missed
        self._by_channel: dict[bytes, _Subscription] = {}
        self._missed: set[UUID] = set()
        self._missed_all = False

    def listen_to_all(self) -> None:
        """Subscribe to the channel of all processes."""
        everyone = _Subscription(self._names.everyone, self._names.everyone_slot, None)
        everyone.late = True
        self._add(everyone)

    async def attend(self, user_id: UUID, *, within: float) -> None:
        """Subscribe to a user's channel, and wait until that stands, for `within` seconds at most.

        Without a connection it returns at once. The user counts as missed later if it returned
        before.
        """
        names = self._names.of_user(user_id)
        subscription = self._by_channel.get(names.channel)
        if subscription is None:
            subscription = _Subscription(names.channel, names.slot, user_id)
            self._add(subscription)
        subscription.used_at = trio.current_time()
        if subscription.standing.is_set():
            return
        if subscription.connection is not None:
            with trio.move_on_after(within):
                await subscription.standing.wait()
                return
        subscription.late = True

    def leave_unused(self, is_used: Callable[[UUID], bool], *, after: float) -> None:
        """Unsubscribe from users' channels that were not used for `after` seconds."""
        now = trio.current_time()
        for subscription in list(self._by_channel.values()):
            if subscription.user_id is None or is_used(subscription.user_id):
                subscription.used_at = now
            elif now - subscription.used_at >= after:
                del self._by_channel[subscription.channel]
                if subscription.connection is not None:
                    subscription.connection.unsubscribe(subscription.channel)
        self._count()

    @property
    def hears_all(self) -> bool:
        """Whether the channel of all processes stands."""
        everyone = self._by_channel.get(self._names.everyone)
        return everyone is not None and everyone.standing.is_set()

    @property
    def channels(self) -> set[bytes]:
        """The channels that are subscribed to, or are to be."""
        return set(self._by_channel)

    def _add(self, subscription: _Subscription) -> None:
        self._by_channel[subscription.channel] = subscription
        self._place(subscription)
        self._count()

    def _count(self) -> None:
        backplane_metrics.channels.set(len(self._by_channel) - 1)  # but for that of all

    def _place(self, subscription: _Subscription) -> None:
        """Subscribe on the connection to the node that has the slot, unless that was asked for."""
        connection = self.nodes.connection_of(subscription.slot)
        if connection is None or connection is subscription.connection:
            return
        if subscription.connection is not None:
            subscription.end()
        subscription.connection = connection

        def settle(reply: Reply) -> None:
            if subscription.connection is not connection:
                return
            if isinstance(reply, hiredis.ReplyError):
                subscription.end()
                if self.nodes.note_refusal(connection, reply) is not None:
                    self._place(subscription)
                return
            subscription.standing.set()
            if subscription.late:
                subscription.late = False
                self._miss(subscription)

        connection.subscribe(subscription.channel, settle)

    def _miss(self, subscription: _Subscription) -> None:
        if subscription.user_id is None:
            self._missed_all = True
        else:
            self._missed.add(subscription.user_id)

    def on_message(self, channel: bytes, payload: bytes) -> None:
        if (subscription := self._by_channel.get(channel)) is not None:
            self._on_message(subscription.user_id, payload)

    def on_unsubscribed(self, connection: NodeConnection, channel: bytes) -> None:
        subscription = self._by_channel.get(channel)
        if subscription is None or subscription.connection is not connection:
            return
        if subscription.standing.is_set():  # else it was left before, and asked for again
            subscription.end()
            self.nodes.look_soon()

    def on_refused(
        self, connection: NodeConnection, message: bytes | None, error: hiredis.ReplyError
    ) -> None:
        self.nodes.redirect(connection, message, error)

    def on_pause(self) -> None:
        if self._missed or self._missed_all:
            missed, self._missed = self._missed, set()
            missed_all, self._missed_all = self._missed_all, False
            self._on_missed(missed, missed_all)

    def on_up(self, connection: NodeConnection) -> None:
        self.on_topology()

    def on_topology(self) -> None:
        for subscription in self._by_channel.values():
            self._place(subscription)

    def on_lost(self, connection: NodeConnection) -> None:
        for subscription in self._by_channel.values():
            if subscription.connection is connection:
                subscription.end()
