"""The Python client: reports tasks to Relay without ever waiting for it, and reads them."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from relay.client.api_client import ApiError
    from relay.client.client import Client
    from relay.client.credentials import NoCredentials
    from relay.client.handler import LogHandler
    from relay.client.outcome import NotDelivered, Outcome
    from relay.client.reported_task import Task, task
    from relay.client.task_info import TaskInfo
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

# Each is imported on first use: a producer has no use for the HTTP client of what reads tasks, and
# a server, whose command line reads credentials, for neither.
_MODULES = {
    "ApiError": "api_client",
    "Client": "client",
    "LogHandler": "handler",
    "NoCredentials": "credentials",
    "NotDelivered": "outcome",
    "Outcome": "outcome",
    "Task": "reported_task",
    "TaskInfo": "task_info",
    "Tasks": "task_query",
    "task": "reported_task",
    "tasks": "task_query",
}


def __getattr__(name: str) -> Any:
    """Import what a program asks for."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
