"""Presets of the page: small runs that show something about GANs, each with a sentence about it.

``tests/benchmarks/presets.py`` trains them with several seeds, and judges whether they do what
their sentences say.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from pydantic import Field

from ganzoo.component import Options

FILE = Path(__file__).parent / "presets.yaml"


class Asked(Options):
    """What the page asks for; see :func:`ganzoo_zoo.apps.watch.web.choices.resolve_choices`."""

    architecture: str
    loss: str
    data: str
    settings: dict[str, str] = Field(
        description="Options by their full names, with values as for --set."
    )


class Preset(Options):
    """A small run that shows something."""

    name: str
    title: str
    sentence: str = Field(description="What will happen.")
    look: str = Field(description="What to look at, and what to try then.")
    asked: Asked


@cache
def read_presets() -> tuple[Preset, ...]:
    """Read all presets, in the order of the page."""
    import yaml

    return tuple(map(Preset.model_validate, yaml.safe_load(FILE.read_text(encoding="utf-8"))))
