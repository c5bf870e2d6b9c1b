"""The wheel of this checkout, and environments in which it is installed."""

import importlib.metadata
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from relay import DISTRIBUTION
from tests.support.packages import ROOT, closure
from tests.support.wheels import install


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, built with what is installed here."""
    folder = tmp_path_factory.mktemp("dist")
    build = (sys.executable, "-m", "build", "--wheel", "--no-isolation")
    subprocess.run([*build, "--outdir", folder, ROOT], check=True, capture_output=True)
    (wheel,) = folder.glob("relay_streams-*.whl")
    return wheel


@pytest.fixture(scope="session")
def full(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `pip install 'relay-streams[server]'` makes: all that is installed here is there."""
    folder = tmp_path_factory.mktemp("full") / "venv"
    return install(wheel, folder, Path(sysconfig.get_path("purelib")))


@pytest.fixture(scope="session")
def light(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `pip install relay-streams` makes: the packages that Relay asks for, and theirs."""
    folder = tmp_path_factory.mktemp("light")
    packages = folder / "packages"
    packages.mkdir()
    for name in closure([DISTRIBUTION]):
        distribution = importlib.metadata.distribution(name)
        files = distribution.files or []
        for top in {file.parts[0] for file in files} - {"..", "__pycache__"}:
            (packages / top).symlink_to(Path(str(distribution.locate_file(top))))
    return install(wheel, folder / "venv", packages)
