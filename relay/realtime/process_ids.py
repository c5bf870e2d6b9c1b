"""The ids of serving processes, which say what a process understands of the others.

An id is a UUID of version 8, whose layout is the application's (RFC 9562, section 5.8): random,
but for its last byte, the number of the protocol. Processes of Relay 0.1 had ids of version 4.
So a process knows from the row or the message of another one what to send it, in an upgrade that
replaces one process after the other, too.
"""

import secrets
from uuid import UUID

POSITIONS = 1  # the process listens for positions of streams on the channel of all
EVENTS = 2  # it listens for events on the channels of the users that have readers there

_VERSION_MASK, _VERSION_8 = 0xF << 76, 8 << 76
_VARIANT_MASK, _VARIANT = 0x3 << 62, 0x2 << 62


def new_process_id() -> UUID:
    """A random id of a process with the protocol `EVENTS`."""
    value = secrets.randbits(128) & ~(_VERSION_MASK | _VARIANT_MASK | 0xFF)
    return UUID(int=value | _VERSION_8 | _VARIANT | EVENTS)


def protocol_of(process_id: UUID) -> int:
    """The protocol of the process with this id."""
    return process_id.int & 0xFF if process_id.version == 8 else POSITIONS
