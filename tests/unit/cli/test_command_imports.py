"""The garbage collector leaves alone what a command imports, and works again afterwards."""

import gc

import pytest

from relay.cli.main import frozen_imports


def test_the_collector_is_paused_within_the_block_alone() -> None:
    with frozen_imports():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_what_was_made_in_the_block_is_never_looked_at() -> None:
    with frozen_imports():
        made: list[object] = [[] for _ in range(1_000)]
    assert not {id(each) for each in made} & {id(each) for each in gc.get_objects()}


def test_the_collector_comes_back_after_a_failed_import() -> None:
    with pytest.raises(ImportError), frozen_imports():
        raise ImportError
    assert gc.isenabled()


def test_a_collector_that_was_off_stays_off() -> None:
    gc.disable()
    try:
        with frozen_imports():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
