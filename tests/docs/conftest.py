"""The Relay that tests share."""

from tests.support.shared_relay import relay, served

__all__ = ["relay", "served"]
