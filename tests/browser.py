"""A browser for tests of pages: a Chromium of this machine, headless, driven by Playwright.

The fixture ``browser`` is skipped where there is none; on Debian ``apt-get install chromium`` gives
one. It lives as long as a test module, because Playwright's event loop would be in the way of tests
that start one of their own.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
QUIET = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
)
"""The browser itself speaks to nobody, and works as root in a container."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Start a Chromium, or skip the test where none is installed."""
    reason = "needs playwright, which is among the test requirements"
    playwright = pytest.importorskip("playwright.sync_api", reason=reason)
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip("needs Chromium, which is not installed: apt-get install chromium")
    with playwright.sync_playwright() as engine:
        started = engine.chromium.launch(executable_path=path, args=list(QUIET))
        yield started
        started.close()


@dataclass
class Opened:
    """A page in a browser, and what it did that a page on its own should not do."""

    page: Any
    complaints: list[str] = field(default_factory=list)
    """What the console says, and errors of scripts."""
    requests: list[str] = field(default_factory=list)
    """Addresses that were asked for, but for the file itself and what it holds, or the server."""

    @property
    def overflow(self) -> int:
        """How many pixels the page is wider than its window."""
        return self.page.evaluate("document.documentElement.scrollWidth - innerWidth")


@contextmanager
def opened(browser: Any, file: Path | str, width: int = 1280, **options: Any) -> Iterator[Opened]:
    """Open a page in a window of its own.

    Args:
        browser: The fixture.
        file: An HTML file, or the address of a server.
        width: Pixels of the window.
        options: Of Playwright's ``new_page``, such as ``color_scheme="dark"``.
    """
    page = browser.new_page(viewport={"width": width, "height": 800}, **options)
    seen = Opened(page)
    address = file if isinstance(file, str) else file.resolve().as_uri()
    own = "data:" if address.startswith("file:") else address.partition("#")[0]
    page.on("console", lambda message: seen.complaints.append(message.text))
    page.on("pageerror", lambda error: seen.complaints.append(str(error)))

    def note(request: Any) -> None:
        if request.url != address and not request.url.startswith(("data:", own)):
            seen.requests.append(request.url)

    page.on("request", note)
    try:
        page.goto(address)
        yield seen
    finally:
        page.close()
