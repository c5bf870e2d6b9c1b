"""The first half of an event's way: bytes are validated, numbered and stored."""
