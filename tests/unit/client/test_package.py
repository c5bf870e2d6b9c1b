"""What `relay.client` offers, which is imported when a program asks for it."""

import pytest

from relay import client
from relay.client import reported_task


def test_it_offers_what_it_lists() -> None:
    assert set(client._MODULES) == set(client.__all__)
    assert [name for name in client.__all__ if not callable(getattr(client, name))] == []


def test_its_task_is_a_function_although_its_module_was_imported() -> None:
    assert client.task is reported_task.task


def test_another_name_is_not_there() -> None:
    with pytest.raises(AttributeError, match=r"'relay\.client' has no attribute 'nothing'"):
        _ = client.nothing
