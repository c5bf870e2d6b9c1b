"""The documentation's site is built strictly, and loads nothing from another host."""

import re
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.support.documentation_site import ROOT, build, copy_pages

FAULTS = {
    "a missing page": "[a](nowhere.md)",
    "a missing anchor": "[a](README.md#no-such-heading)",
    "a missing picture": "![a](nowhere.png)",
    "a missing source file": "[a](ops/nowhere.conf)",
    "a folder": "[a](docs/explanation/)",
    "a file outside": "[a](../../nowhere.md)",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    copy_pages(ROOT, folder / "pages")
    built = build(folder, folder / "site", capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return folder / "site"


def test_every_page_and_every_linked_source_file_is_built(site: Path) -> None:
    names = [page.relative_to(ROOT) for page in (ROOT / "docs").rglob("*.md")]
    pages = [
        name.with_name("index.html") if name.name == "README.md" else name.with_suffix(".html")
        for name in names
    ]
    assert [name for name in pages if not (site / name).is_file()] == []
    assert "proxy_pass" in (site / "ops/nginx/relay.conf.html").read_text()


def test_every_address_in_the_site_leads_to_a_file(site: Path) -> None:
    """Those in HTML tags, too, which MkDocs does not look at."""
    addresses = re.compile(r'(?:src|href|srcset)="(?!\w+:|#)([^"#?]+)')
    for page in site.rglob("*.html"):
        folder = site if page.name == "404.html" else page.parent
        named = {unquote(name) for name in addresses.findall(page.read_text())}
        found = {name for name in named if (folder / name.lstrip("/")).exists()}
        assert named == found, page


def test_no_page_loads_anything_from_another_host(site: Path) -> None:
    loaded = re.compile(
        r'<(?:script|img|source|link|iframe)\b[^>]*?(?:src|href|srcset)="(\w+:[^"]*)'
    )
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 100
    for page in pages:
        text = page.read_text()
        assert [url for url in loaded.findall(text) if not url.startswith("data:")] == []
        assert "Content-Security-Policy\" content=\"default-src 'self'" in text
    for sheet in site.rglob("*.css"):
        assert (
            re.findall(r"(?:url\(|@import )[\"']?(?:https?:)?//[^\"')]+", sheet.read_text()) == []
        )


def test_each_kind_of_broken_link_fails_the_build(tmp_path: Path) -> None:
    pages = tmp_path / "pages"
    (pages / "docs/explanation").mkdir(parents=True)
    (pages / "docs/explanation/page.md").write_text("# A page\n")
    (pages / "README.md").write_text("\n\n".join(["# Relay", *FAULTS.values()]))
    built = build(tmp_path, tmp_path / "site", capture_output=True, text=True)
    assert built.returncode == 1
    found = [line for line in built.stderr.splitlines() if "Doc file 'README.md'" in line]
    unseen = {
        kind
        for kind, link in FAULTS.items()
        if not any(f"'{link.partition('(')[2][:-1]}'" in line for line in found)
    }
    assert unseen == set(), built.stderr
