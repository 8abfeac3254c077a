"""The image files of CelebA, each with what its lists say of it."""

from __future__ import annotations

from pathlib import Path

from ganzoo_zoo.data.sources import FolderSource


class LabelledFolder(FolderSource):
    """The images of CelebA.

    Args:
        root: The folder.
        names: Paths in it.
        labels: Whether each has the attribute that is asked for, 0 or 1.
    """

    def __init__(self, root: Path, names: list[str], labels: list[int] | None) -> None:
        super().__init__(root, names)
        self.labels = None if labels is None else dict(zip(names, labels, strict=True))
