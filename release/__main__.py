"""`make release`: build everything that a release publishes, check it, and publish nothing.

The result is in dist/: the wheel, the source archive, the npm package, checksums and the notes.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from release.archives import expected_in_wheel, sdist_faults, tracked, wheel_faults
from release.notes import notes
from release.npm_package import make_npm_package

ROOT = Path(__file__).parents[1]
DIST = ROOT / "dist"
TWINE = ROOT / ".venv-release" / "bin" / "twine"
NO_ENGINE = 3  # of ops/container/build


class Release:
    """One attempt: what is wrong with it, and what could not be tried here."""

    def __init__(self, *, rehearsal: bool) -> None:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        self.name: str = project["name"]
        self.version: str = project["version"]
        self.rehearsal = rehearsal
        self.faults: list[str] = []
        self.untried: list[str] = []

    def run(self, what: str, *command: str | Path, folder: Path = ROOT) -> bool:
        """Run one step, its output shown; a step that fails is a fault."""
        print(f"== {what}", flush=True)
        failed = subprocess.run(command, cwd=folder, check=False).returncode != 0
        if failed:
            self.faults.append(f"{what} failed")
        return not failed

    def check_tree(self) -> None:
        """Nothing uncommitted, and the version not released before."""
        if _git("status", "--porcelain"):
            self.faults.append("the tree has changes that are not committed")
        tag = f"v{self.version}"
        if _git("tag", "--list", tag) and _git("rev-parse", f"{tag}^{{commit}}") != _git(
            "rev-parse", "HEAD"
        ):
            self.faults.append(f"{tag} is the tag of another commit: raise the version")

    def write_notes(self) -> None:
        """The section of CHANGELOG.md as a file; a rehearsal takes the one named Unreleased."""
        changelog = (ROOT / "CHANGELOG.md").read_text()
        try:
            text = notes(changelog, self.version)
        except LookupError as error:
            self.faults.append(str(error))
            if not self.rehearsal:
                return
            text = notes(changelog, "Unreleased")
        (DIST / f"NOTES-{self.version}.md").write_text(text)

    def build_python(self) -> None:
        """The source archive, the wheel from it, and what an index would say of both."""
        build = (sys.executable, "-m", "build", "--no-isolation", "--outdir", DIST, ROOT)
        if not self.run("python -m build", *build):
            return
        base = f"{self.name.replace('-', '_')}-{self.version}"
        wheel, sdist = DIST / f"{base}-py3-none-any.whl", DIST / f"{base}.tar.gz"
        self.run("twine check --strict", TWINE, "check", "--strict", wheel, sdist)
        self.faults += wheel_faults(wheel, expected_in_wheel(ROOT))
        self.faults += sdist_faults(sdist, tracked(ROOT, "relay", "sql", "hypercorn.toml"))

    def build_npm(self) -> None:
        """The browser's module, packed, and what npm would publish."""
        folder = DIST / "npm"
        make_npm_package(folder)
        if shutil.which("npm") is None:
            self.untried.append("npm pack and npm publish --dry-run: there is no npm here")
        elif self.run("npm pack", "npm", "pack", "--pack-destination", DIST, folder=folder):
            dry = ("npm", "publish", "--dry-run", "--access", "public")
            self.run("npm publish --dry-run", *dry, folder=folder)

    def build_image(self) -> None:
        """The container image, built and tried, where an engine answers."""
        print("== ops/container/build --check", flush=True)
        build = ROOT / "ops" / "container" / "build"
        code = subprocess.run([str(build), "--check"], cwd=ROOT, check=False).returncode
        if code == NO_ENGINE:
            self.untried.append("the container image: no container engine answers here")
        elif code:
            self.faults.append("ops/container/build --check failed")

    def write_checksums(self) -> None:
        """SHA256SUMS, as `sha256sum --check` reads it."""
        files = sorted(path for path in DIST.iterdir() if path.suffix in (".whl", ".gz", ".tgz"))
        lines = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}" for file in files]
        (DIST / "SHA256SUMS").write_text("\n".join(lines) + "\n")

    def report(self) -> int:
        """Say what was found and what is left to do. 0 if nothing is wrong."""
        print(f"\n{self.name} {self.version}, in dist/:")
        for path in sorted(DIST.iterdir()):
            print(f"  {path.name}")
        for line in self.untried:
            print(f"NOT TRIED: {line}")
        for line in self.faults:
            print(f"FAULT: {line}")
        if self.faults:
            return 1
        print(_BY_HAND.format(name=self.name, version=self.version))
        return 0


_BY_HAND = """
Nothing was published. By hand, in this order:
  git tag --sign v{version} && git push origin v{version}
  .venv-release/bin/twine upload dist/*.whl dist/*.tar.gz
  npm publish --access public ./dist/{name}-{version}.tgz
  tag relay:{version} for your registry, and push it
  a release of the tag: its text is dist/NOTES-{version}.md, its files those in dist/SHA256SUMS"""


def _git(*arguments: str) -> str:
    ran = subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True)
    return ran.stdout.strip()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m release", description=__doc__)
    parser.add_argument(
        "--rehearsal",
        action="store_true",
        help="accept changes that are not committed, and notes that stand under Unreleased",
    )
    release = Release(rehearsal=parser.parse_args().rehearsal)
    # archives of one commit are the same, whenever they are built
    os.environ["SOURCE_DATE_EPOCH"] = _git("log", "-1", "--format=%ct")
    shutil.rmtree(DIST, ignore_errors=True)
    DIST.mkdir()
    release.check_tree()
    release.write_notes()
    if release.rehearsal:
        for line in release.faults:
            print(f"(rehearsal) {line}")
        release.faults.clear()
    release.build_python()
    release.build_npm()
    release.build_image()
    release.write_checksums()
    return release.report()


if __name__ == "__main__":
    sys.exit(main())
