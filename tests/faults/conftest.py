"""Relay processes to break; one data folder is made once and copied for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from tests.support.relay_process import Program, copy_data, make_data, running
from tests.support.workers import Workers


@pytest.fixture(scope="session")
def made_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a migrated cluster and keys, of a Relay that was stopped."""
    return trio.run(make_data, tmp_path_factory.mktemp("made"))


@pytest.fixture
async def program(tmp_path: Path, made_data: Path) -> AsyncIterator[Program]:
    """A running Relay with a Postgres of its own."""
    program = Program(tmp_path)
    copy_data(made_data, program.data)
    async with running(program):
        yield program


@pytest.fixture
async def plain_program(tmp_path: Path, database_url: str) -> AsyncIterator[Program]:
    """A running Relay on a database that another program runs."""
    program = Program(tmp_path, database_url)
    async with running(program):
        yield program


@pytest.fixture
async def pair(tmp_path: Path, made_data: Path) -> AsyncIterator[Workers]:
    """Two workers, and a Postgres that their supervisor runs."""
    program = Workers(tmp_path, RELAY_HOUSEKEEPING_EVERY="0.2")
    copy_data(made_data, program.data)
    async with running(program):
        yield program
