"""Find the hash slot of a key or channel, which says which node of a cluster has it."""

from binascii import crc_hqx

SLOTS = 16_384


def slot_of(tag: bytes) -> int:
    """The slot of a name; `tag` is the part in braces, or all of a name without braces.

    The checksum is CRC-16/XMODEM, as in the specification of the cluster.
    """
    return crc_hqx(tag, 0) % SLOTS
