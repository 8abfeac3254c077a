"""The site of these pages: ``sphinx-build -W docs docs/_build`` writes it, without a network.

The pages are Markdown that reads as well where the repository is browsed. So the index is the one
source of the navigation: each of its shelves becomes a part of the menu.
"""

from __future__ import annotations

import re
import shutil
import tomllib
from pathlib import Path
from typing import Any

from pygments.lexers.shell import BashLexer

HERE = Path(__file__).parent
METADATA = tomllib.loads((HERE.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]

project = METADATA["name"]
author = METADATA["authors"][0]["name"]
release = METADATA["version"]
extensions = ["myst_parser"]
root_doc = "README"
exclude_patterns = ["_build"]
myst_heading_anchors = 6
html_theme = "furo"
html_title = f"{project} {release}"
html_favicon = "images/digits-dcgan-wgan-gp.png"
html_copy_source = False
html_use_index = False
html_show_sphinx = False
# Of a folder's own index, which repeats a shelf: a test holds that every page is in the menu.
suppress_warnings = ["toc.not_included"]


def add_menu(app: Any, name: str, source: list[str]) -> None:
    """Add a menu to the index: a part for each shelf, with the pages that the shelf lists."""
    if name != root_doc:
        return
    for shelf in source[0].split("\n## ")[1:]:
        title = shelf.partition("\n")[0]
        pages = re.findall(r"^- \[.+?\]\((.+?)\.md\)", shelf, re.M)
        menu = "\n".join([":hidden:", f":caption: {title}", *pages])
        source[0] += f"\n```{{toctree}}\n{menu}\n```\n"


def copy_indexes(app: Any, error: Exception | None) -> None:
    """Let a folder's address show its README, as it does where the repository is browsed."""
    if error is None and app.builder.format == "html":
        for page in Path(app.outdir).rglob("README.html"):
            shutil.copy(page, page.with_name("index.html"))


def setup(app: Any) -> None:
    """Connect the functions above, and show commands in colour without a prompt before them."""
    app.add_lexer("console", BashLexer)
    app.connect("source-read", add_menu)
    app.connect("build-finished", copy_indexes)
