"""Renders the sections of a card from its Markdown template, ``card.md.jinja``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from ganzoo.cards import markdown
from ganzoo.runs.reproduce import format_argument
from ganzoo.storage.paths import strip_folders


def render_sections(values: Mapping[str, Any]) -> dict[str, str]:
    """Render every section of a card, by name and in order; an empty one is omitted."""
    texts = {name: render_section(name, values) for name in _load_template().blocks}
    return {name: text for name, text in texts.items() if text}


def render_section(name: str, values: Mapping[str, Any]) -> str:
    """Render one section, which needs only those values that it mentions."""
    template = _load_template()
    text = "".join(template.blocks[name](template.new_context(dict(values))))
    return re.sub(r"\n{3,}", "\n\n", text).strip("\n")


@cache
def _load_template() -> Template:
    environment = Environment(
        loader=PackageLoader("ganzoo", "cards"),
        undefined=StrictUndefined,
        autoescape=False,  # for HTML alone; the filters escape for Markdown too
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "address": markdown.address,
        "arguments": _format_options,
        "cell": markdown.cell,
        "code": markdown.code,
        "count": _count,
        "duration": _format_duration,
        "links": markdown.add_links,
        "number": "{:,}".format,
        "prose": markdown.prose,
    }
    # Blocks are rendered one by one, and so see globals but no imports of the template.
    environment.globals["md"] = environment.get_template("macros.md.jinja").module
    return environment.get_template("card.md.jinja")


def _count(count: int, thing: str, things: str | None = None) -> str:
    """Return a number with its noun, such as ``1 class`` or ``1,000 images``."""
    return f"{count:,} {thing if count == 1 else things or f'{thing}s'}"


def _format_duration(seconds: float) -> str:
    """Return a time in words, such as ``3 minutes`` or ``1.5 hours``."""
    if seconds < 100:
        return _count(round(seconds), "second")
    if seconds < 6000:
        return _count(round(seconds / 60), "minute")
    return f"{seconds / 3600:,.1f} hours"


def _format_options(options: Mapping[str, Any]) -> list[str]:
    """Return options as the command line takes them, with the last names of paths alone."""
    return [
        f"{name}={format_argument(value)}" for name, value in strip_folders(dict(options)).items()
    ]
