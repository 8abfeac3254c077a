"""Finds the columns of images and of their classes in tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

IMAGE_COLUMNS = ("image", "img", "images", "pixel_values", "png", "jpg", "jpeg", "webp")
LABEL_COLUMNS = ("label", "labels", "fine_label", "target", "class", "cls")
"""Usual names, in the order in which they count. WebDataset names columns by files' suffixes."""


def find_image_column(features: Mapping[str, Any]) -> str | None:
    """Return the column of images: that of the type, or of several the first by its usual name.

    Args:
        features: Types of the columns by their names, as the library ``datasets`` has them.
    """
    typed = _list_typed(features, "Image")
    if len(typed) == 1:
        return typed[0]
    return next((name for name in IMAGE_COLUMNS if name in (typed or features)), None)


def find_label_column(features: Mapping[str, Any]) -> str | None:
    """Return the column of classes: the first by its usual name, or else the only one by its type.

    Args:
        features: As for :func:`find_image_column`.
    """
    if named := [name for name in LABEL_COLUMNS if name in features]:
        return named[0]
    typed = _list_typed(features, "ClassLabel")
    return typed[0] if len(typed) == 1 else None


def _list_typed(features: Mapping[str, Any], kind: str) -> list[str]:
    return [name for name, feature in features.items() if type(feature).__name__ == kind]
