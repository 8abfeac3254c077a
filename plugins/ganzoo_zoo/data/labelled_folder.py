"""The image files of CelebA with their labels."""

from __future__ import annotations

from pathlib import Path

from ganzoo_zoo.data.sources import FolderSource


class LabelledFolder(FolderSource):
    """A folder of images with a label for each file.

    Args:
        root: The folder.
        names: File names relative to ``root``.
        labels: Label of each file, 0 or 1; None without labels.
    """

    def __init__(self, root: Path, names: list[str], labels: list[int] | None) -> None:
        super().__init__(root, names)
        self.labels = None if labels is None else dict(zip(names, labels, strict=True))
