"""The transforms of ADA's pipeline, and how a person chooses among them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

GROUPS = {
    "blit": ("xflip", "rotate90", "xint"),
    "geom": ("scale", "rotate", "aniso", "xfrac"),
    "color": ("brightness", "contrast", "lumaflip", "hue", "saturation"),
    "filter": ("filter",),
    "noise": ("noise",),
    "cutout": ("cutout",),
}
"""Names of the transforms by group, in the paper's order (appendix B) and in its authors' words."""
TRANSFORMS = tuple(name for names in GROUPS.values() for name in names)
LETTERS = re.compile("(b?)(g?)(c?)(f?)(n?)(c?)")
"""The authors' short form, a letter for each group in order, such as ``bgc``."""


def split_parts(value: Any) -> Any:
    """Return a text as a list of parts, with a short form such as ``bgc`` in words."""
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    if not isinstance(value, list | tuple) or not all(isinstance(each, str) for each in value):
        return value
    return [word for part in value for word in _spell_out(part)]


def check_parts(parts: Iterable[str]) -> None:
    """Check that each part is a group or a transform, with a factor from 0 to 1 if it has one.

    Raises:
        ValueError: one is not.
    """
    for part in parts:
        name, sign, factor = part.partition(":")
        if name not in GROUPS and name not in TRANSFORMS:
            raise ValueError(
                f"unknown part '{name}'; known: bgc and its like, {', '.join(GROUPS)}, and "
                f"{', '.join(name for name in TRANSFORMS if name not in GROUPS)}"
            )
        if sign and not 0 <= _to_number(factor) <= 1:
            raise ValueError(f"'{part}': a factor is a number from 0 to 1, as in {name}:0.5")


def find_factors(parts: Iterable[str]) -> dict[str, float]:
    """Return the factor on the probability of each transform that parts enable, by name."""
    factors: dict[str, float] = {}
    for part in parts:
        name, sign, factor = part.partition(":")
        value = _to_number(factor) if sign else 1.0
        factors |= dict.fromkeys(GROUPS.get(name, (name,)), value)
    return {name: factors[name] for name in TRANSFORMS if factors.get(name)}


def _spell_out(part: str) -> list[str]:
    """Return the groups that letters stand for; a part in words as it is."""
    letters = LETTERS.fullmatch(part)
    if not part or letters is None:
        return [part]
    return [name for name, letter in zip(GROUPS, letters.groups(), strict=True) if letter]


def _to_number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return -1.0
