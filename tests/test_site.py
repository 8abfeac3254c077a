"""The pages as a site, which builds without a warning and asks no other machine for anything."""

import functools
import http.server
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from browser import opened

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Build the site as its page says."""
    for package in ("sphinx", "myst_parser", "furo"):
        pytest.importorskip(package, reason="needs pip install -e '.[docs]'")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-d", folder / "read"]
    done = subprocess.run(
        [*command, DOCS, folder / "pages"],
        capture_output=True,
        text=True,
        env={**os.environ, "http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"},
    )
    assert done.returncode == 0, done.stderr
    return folder / "pages"


@pytest.fixture(scope="module")
def address(site):
    """Serve the site; what a search shows of a page is fetched."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

    handler = functools.partial(Quiet, directory=site)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def test_every_page_is_in_the_menu_of_each(site):
    index = (site / "index.html").read_text()
    menu = index.partition('class="sidebar-tree"')[2].partition("</aside>")[0]
    captions = re.findall(r'class="caption-text">([^<]+)<', menu)
    assert captions == ["Start", "How to", "Understand", "Extend", "Look up"]
    shown = set(re.findall(r'href="([^"#]+)\.html"', menu))
    pages = {path.relative_to(DOCS).with_suffix("").as_posix() for path in DOCS.rglob("*.md")}
    assert pages - shown == {"README", "how-to/README", "understand/README"}
    assert (site / "how-to" / "index.html").exists()


def test_pages_ask_no_other_machine(site):
    for page in site.rglob("*.html"):
        text = page.read_text()
        loaded = re.findall(r'<(?:script|img|iframe)[^>]* src="(\w+:)?//', text)
        loaded += re.findall(r'<link[^>]* href="(\w+:)?//', text)
        assert not loaded, page


def test_pictures_and_records_are_in_the_site(site):
    gallery = {path.name for path in (DOCS / "images" / "gallery").iterdir()}
    assert gallery <= {path.name for path in (site / "_images").iterdir()}
    given = {path.name for path in (site / "_downloads").rglob("*") if path.is_file()}
    records = {path.name for path in (DOCS / "records").rglob("*.json*")}
    assert records <= given
    assert "CITATION.cff" in given


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_pages_fit_their_window(address, browser, width, scheme):
    for name in ("index", "python", "understand/results"):
        with opened(browser, f"{address}{name}.html", width, color_scheme=scheme) as seen:
            assert seen.overflow <= 0, name
            assert not seen.complaints
            assert all(request.startswith(address) for request in seen.requests)


def test_the_search_finds_a_page(address, browser):
    with opened(browser, f"{address}index.html") as seen:
        seen.page.fill("input[name=q]", "wgan-gp")
        seen.page.press("input[name=q]", "Enter")
        found = seen.page.locator("#search-results li a")
        found.first.wait_for()
        assert "What is in the box" in found.all_inner_texts()
        assert not seen.complaints
