"""What a machine lacks is skipped by name; where nothing may be skipped, it is a failure."""

from pathlib import Path

import pytest

from tests.programs import CHROMIUM, chromium, program

LACK = r"^chromium is not installed \(Debian's package chromium\)$"


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder that is all of PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("RELAY_TEST_ALL", raising=False)
    return tmp_path


def test_what_is_lacking_is_skipped_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(pytest.skip.Exception, match=LACK):
        chromium()
    monkeypatch.setenv("RELAY_TEST_ALL", "1")
    with pytest.raises(pytest.fail.Exception, match=LACK):
        chromium()


@pytest.mark.parametrize("name", CHROMIUM)
def test_a_program_is_found_by_any_of_its_names(bare: Path, name: str) -> None:
    (bare / name).touch(0o755)
    assert chromium() == str(bare / name)
    with pytest.raises(pytest.skip.Exception):
        program("another")
