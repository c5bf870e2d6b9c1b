"""The Python client: reports tasks to Relay without ever waiting for it, and reads them."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from relay.client.client import Client, NotDelivered, Outcome
from relay.client.credentials import NoCredentials
from relay.client.handler import LogHandler
from relay.client.task import Task, task
from relay.client.task_info import TaskInfo

if TYPE_CHECKING:
    from relay.client.api_client import ApiError
    from relay.client.task_query import Tasks, tasks

__all__ = [
    "ApiError",
    "Client",
    "LogHandler",
    "NoCredentials",
    "NotDelivered",
    "Outcome",
    "Task",
    "TaskInfo",
    "Tasks",
    "task",
    "tasks",
]

# These import the HTTP client, which takes time that a producer does not wait for.
_READING = {
    "ApiError": "relay.client.api_client",
    "Tasks": "relay.client.task_query",
    "tasks": "relay.client.task_query",
}


def __getattr__(name: str) -> Any:
    """Import what reads tasks on first use."""
    if name in _READING:
        return getattr(import_module(_READING[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
