"""Wheels, installed into environments of their own."""

import subprocess
import sys
from pathlib import Path


def install(wheel: Path, folder: Path, packages: Path) -> Path:
    """A fresh environment with the wheel and, beside it, what `packages` holds; its programs."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = folder / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check")
    offline = ("--no-deps", "--no-index", "--quiet", "--no-compile")
    subprocess.run([*pip, "install", *offline, wheel], check=True)
    (own,) = folder.glob("lib/python*/site-packages")
    # a folder named here is looked into, but its own .pth files are not read: an editable
    # install of this checkout stays unseen
    (own / "beside.pth").write_text(f"{packages}\n")
    return folder / "bin"
