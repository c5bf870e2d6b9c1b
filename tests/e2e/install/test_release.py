"""What `make release` builds and checks; the whole of it runs in CI, as a rehearsal."""

import json
import re
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml

from release.archives import expected_in_wheel, sdist_faults, wheel_faults
from release.notes import notes
from release.npm_package import make_npm_package
from tests.support.packages import PROJECT, ROOT
from tests.support.patience import PATIENCE
from tests.support.programs import program

CHANGELOG = """# Changelog

## Unreleased

Next.

## 1.2.0, 2026-12-01

First line.

### Fixed

Second line.

## 1.1.0

"""

# as a page's bundler or Node finds it: by the package's name
IMPORTS = """\
import { RelayStream } from 'relay-streams';
const stream = new RelayStream({
  url: 'http://127.0.0.1:9',
  fetch: () => new Promise(() => {}),
  WebSocket: class extends EventTarget { close() {} },
});
console.log(stream.state.state);
stream.close();
console.log(stream.state.state);
"""


def test_the_notes_are_the_section_of_the_version() -> None:
    assert notes(CHANGELOG, "1.2.0") == "First line.\n\n### Fixed\n\nSecond line.\n"
    assert notes(CHANGELOG, "Unreleased") == "Next.\n"


@pytest.mark.parametrize("version", ["1.2", "1.1.0", "1.3.0"])
def test_a_version_without_notes_is_refused(version: str) -> None:
    with pytest.raises(LookupError, match=re.escape(f"`## {version}`")):
        notes(CHANGELOG, version)


def test_the_wheel_holds_the_tracked_files_and_no_others(wheel: Path) -> None:
    assert wheel_faults(wheel, expected_in_wheel(ROOT)) == []


def test_what_an_archive_lacks_or_has_too_much_is_named(tmp_path: Path) -> None:
    built = tmp_path / "x-1.whl"
    with zipfile.ZipFile(built, "w") as archive:
        for name in ("relay/a.py", "relay/secret.env", "x-1.dist-info/METADATA"):
            archive.writestr(name, "")
    assert wheel_faults(built, {"relay/a.py", "relay/b.py"}) == [
        "x-1.whl lacks relay/b.py",
        "x-1.whl has relay/secret.env, which is not tracked",
    ]
    source = tmp_path / "x-1.tar.gz"
    with tarfile.open(source, "w:gz") as archive:
        for name in ("README.md", "CHANGELOG.md", "constraints.txt", "Makefile", "pyproject.toml"):
            archive.addfile(tarfile.TarInfo(f"x-1/{name}"))
    assert sdist_faults(source, {"relay/a.py"}) == [
        "x-1.tar.gz lacks LICENSE",
        "x-1.tar.gz lacks relay/a.py",
    ]


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """What `npm pack` makes of the package, unpacked where Node looks for it."""
    npm = program("npm")
    make_npm_package(tmp_path / "npm")
    command = [npm, "pack", "--json", "--pack-destination", str(tmp_path)]
    ran = subprocess.run(
        command, cwd=tmp_path / "npm", capture_output=True, timeout=PATIENCE, check=True
    )
    (described,) = json.loads(ran.stdout)
    assert (described["name"], described["version"]) == (PROJECT["name"], PROJECT["version"])
    modules = tmp_path / "node_modules"
    with tarfile.open(tmp_path / described["filename"]) as archive:
        archive.extractall(modules, filter="data")
    return (modules / "package").rename(modules / PROJECT["name"])


def test_the_npm_package_holds_what_relay_serves(packed: Path) -> None:
    names = {"LICENSE", "README.md", "package.json", "relay-stream.d.ts", "relay-stream.js"}
    assert {path.name for path in packed.iterdir()} == names
    manifest = json.loads((packed / "package.json").read_text())
    named = {*manifest["exports"]["."].values(), manifest["types"]}
    assert {name.removeprefix("./") for name in named} == {"relay-stream.d.ts", "relay-stream.js"}


def test_the_packed_module_is_imported_by_its_name(packed: Path, tmp_path: Path) -> None:
    node = program("node", "nodejs")
    (tmp_path / "page.mjs").write_text(IMPORTS)
    ran = subprocess.run(
        [node, tmp_path / "page.mjs"], capture_output=True, text=True, timeout=PATIENCE
    )
    assert (ran.stdout, ran.returncode) == ("connecting\nclosed\n", 0), ran.stderr


def test_the_workflow_runs_the_release_and_publishes_nothing() -> None:
    text = (ROOT / ".github" / "workflows" / "release.yml").read_text()
    workflow = yaml.safe_load(text)
    assert workflow["permissions"] == {"contents": "read"}
    steps = workflow["jobs"]["build"]["steps"]
    commands = [step["run"] for step in steps if "run" in step]
    assert commands[0] == "make release"
    assert not re.search(r"twine upload|npm publish|docker push|secrets\.", text)
