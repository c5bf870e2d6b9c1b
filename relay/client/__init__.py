"""The Python client: reports tasks to Relay without ever waiting for it."""

from relay.client.client import Client, NotDelivered, Outcome
from relay.client.credentials import NoCredentials
from relay.client.handler import LogHandler
from relay.client.task import Task, task

__all__ = ["Client", "LogHandler", "NoCredentials", "NotDelivered", "Outcome", "Task", "task"]
