"""What the wheel and the source archive must hold, compared with what git tracks."""

import subprocess
import tarfile
import zipfile
from pathlib import Path

# at the top of the checkout, inside the package
_MOVED = {"sql": "relay/sql", "hypercorn.toml": "relay/hypercorn.toml"}
# what building or packaging Relay from the archive needs
_SOURCE = ("LICENSE", "README.md", "CHANGELOG.md", "constraints.txt", "Makefile", "pyproject.toml")


def tracked(root: Path, *paths: str) -> set[str]:
    """The files that git tracks below these paths."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--", *paths], cwd=root, check=True, capture_output=True
    )
    return {name for name in listed.stdout.decode().split("\0") if name}


def expected_in_wheel(root: Path) -> set[str]:
    """The files of the package, as the wheel must hold them; its metadata is not among them."""
    found = set[str]()
    for name in tracked(root, "relay", *_MOVED):
        top, _, rest = name.partition("/")
        found.add("/".join(filter(None, (_MOVED.get(top, top), rest))))
    return found


def wheel_faults(wheel: Path, expected: set[str]) -> list[str]:
    """How the wheel differs from the files it must hold. Empty if it does not."""
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    return [
        *(f"{wheel.name} lacks {name}" for name in sorted(expected - names)),
        *(f"{wheel.name} has {name}, which is not tracked" for name in sorted(names - expected)),
    ]


def sdist_faults(sdist: Path, expected: set[str]) -> list[str]:
    """What the source archive lacks: the package's files as they lie in git, and others."""
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    return [f"{sdist.name} lacks {name}" for name in sorted({*expected, *_SOURCE} - names)]
