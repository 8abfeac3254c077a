"""Fill the parts of pages and recipes that show records: ``python docs/results.py``.

A part lies between two comments. ``<!-- table NAME -->`` to ``<!-- /table -->`` is one of
``TABLES``, and ``<!-- record NAME -->`` to ``<!-- /record -->`` is what ``docs/records/NAME.json``
says. So are the ``results`` of a recipe in the box that a record has the name of. Nothing of this
is typed by hand: a test fails when it is not what the records say.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

DOCS = Path(__file__).parent
sys.path.append(str(DOCS))

from tables import defaults, gpus, models, presets, recipes, times, unrolled  # noqa: E402

TABLES = {
    "recipes": recipes.render,
    "models": models.render,
    "defaults": defaults.render,
    "gpus": gpus.render,
    "times": times.render,
    "unrolled": unrolled.render,
    "presets": presets.render,
}
PART = re.compile(
    r"^<!-- (?P<kind>table|record) (?P<name>\S+) -->\n(?P<text>.*?)^<!-- /(?P=kind) -->$",
    re.DOTALL | re.MULTILINE,
)


RECIPES = DOCS.parent / "plugins" / "ganzoo_zoo" / "recipes"
RESULTS = re.compile(r"^results:\n(?:- .*\n(?:  .*\n)*)*", re.MULTILINE)


def main() -> None:
    """Fill every page and every recipe."""
    for page in pages():
        page.write_text(fill(page), encoding="utf-8")
    for recipe in recipe_files():
        recipe.write_text(fill_recipe(recipe), encoding="utf-8")


def recipe_files() -> Iterator[Path]:
    """Yield the recipes that there is a record of."""
    for name in recipes.names():
        if (path := RECIPES / f"{name}.yaml").exists():
            yield path


def fill_recipe(path: Path) -> str:
    """Return a recipe with what its record says it gave, and at what cost."""
    lines = "".join(f"- '{line}'\n" for line in recipes.list_results(path.stem))
    text = RESULTS.sub("", path.read_text(encoding="utf-8"))
    return text.replace("architecture:", f"results:\n{lines}architecture:", 1)


def pages() -> Iterator[Path]:
    """Yield the pages that show records."""
    for page in (DOCS.parent / "README.md", *sorted(DOCS.rglob("*.md"))):
        if PART.search(page.read_text(encoding="utf-8")):
            yield page


def fill(page: Path) -> str:
    """Return a page with its parts as the records say."""

    def write(part: re.Match[str]) -> str:
        kind, name = part["kind"], part["name"]
        text = TABLES[name](page) if kind == "table" else recipes.describe(page, name)
        return f"<!-- {kind} {name} -->\n{text}\n<!-- /{kind} -->"

    return PART.sub(write, page.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
