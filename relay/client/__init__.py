"""What producers in Python use: tasks that tell Relay how they go, and never wait for it."""

from relay.client.client import Client, NotDelivered, Outcome
from relay.client.credentials import NoCredentials
from relay.client.handler import LogHandler
from relay.client.task import Task, task

__all__ = ["Client", "LogHandler", "NoCredentials", "NotDelivered", "Outcome", "Task", "task"]
