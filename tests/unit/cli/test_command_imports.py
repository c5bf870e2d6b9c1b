"""The garbage collector is paused while a command is imported, and not afterwards."""

import gc

import pytest

from relay.cli.main import garbage_kept


def test_the_collector_is_paused_within_the_block_alone() -> None:
    with garbage_kept():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_the_collector_comes_back_after_a_failed_import() -> None:
    with pytest.raises(ImportError), garbage_kept():
        raise ImportError
    assert gc.isenabled()


def test_a_collector_that_was_off_stays_off() -> None:
    gc.disable()
    try:
        with garbage_kept():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
