"""Every dependency is pinned, installed as pinned, and under a compatible licence."""

import importlib.metadata
import re
import sys

import pytest

from tests.support.licences import PAGE, is_allowed, licence, page
from tests.support.packages import EXTRAS, PROJECT, ROOT, closure, pins

ALL = closure([f"{PROJECT['name']}[dev]"])
on_the_pinned_python = pytest.mark.skipif(
    sys.version_info[:2] != (3, 11), reason="other Pythons need a few packages more or fewer"
)


@pytest.mark.parametrize("package", sorted(ALL))
def test_installed_versions_are_the_pinned_ones(package: str) -> None:
    assert pins()[package] == importlib.metadata.version(package)


@on_the_pinned_python
def test_every_pin_is_required() -> None:
    assert set(pins()) == ALL


def test_no_file_names_a_package_index() -> None:
    """No address of a registry, no package from an address of its own."""
    asked = [*PROJECT["dependencies"], *(text for extra in EXTRAS.values() for text in extra)]
    assert [text for text in asked if "@" in text or "/" in text] == []
    for name in ("constraints.txt", "pyproject.toml"):
        addresses = re.findall(
            r"--\w*-?index\S*|--find-links|https?://\S+", (ROOT / name).read_text()
        )
        assert (name, addresses) == (name, [])


@pytest.mark.parametrize("package", sorted(ALL))
def test_every_packages_licence_is_compatible(package: str) -> None:
    assert is_allowed(licence(package)), licence(package)


def test_an_incompatible_licence_is_detected() -> None:
    for spdx in ("GPL-3.0-only", "AGPL-3.0-or-later", "MIT AND GPL-2.0-only", "SSPL-1.0"):
        assert not is_allowed(spdx)
    assert is_allowed("GPL-2.0-only OR MIT")


@on_the_pinned_python
def test_the_licences_page_is_up_to_date() -> None:
    assert PAGE.read_text() == page(), "make licences"
