"""Data sets of the Hugging Face Hub, and folders in their form."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from pydantic import Field, model_validator

from ganzoo.component import AbsolutePath
from ganzoo_zoo.data.files import OwnFiles

if TYPE_CHECKING:
    from ganzoo_zoo.data.files import Classes
    from ganzoo_zoo.data.hub_table import HubSource
    from ganzoo_zoo.data.image_source import ImageSource

HUB_ID = r"[A-Za-z0-9_][\w.-]*(/[\w.-]+)?"


class HubImages(OwnFiles):
    """Images of a data set of the Hugging Face Hub, or of a folder in its form.

    ``--data hf:user/name`` reads one of the Hub, ``--data hf:./name`` a folder of parquet files or
    WebDataset shards. The library ``datasets`` downloads it and keeps it on the disk. With
    ``image_size`` each image is cropped around its centre to that shape and resized.
    """

    repo: str | None = Field(
        default=None, pattern=f"^{HUB_ID}$", description="Name on the Hub, as user/name."
    )
    path: AbsolutePath | None = Field(
        default=None, description="Folder of the data set, if it is on this machine."
    )
    config_name: str | None = Field(
        default=None, description="Name of the configuration, which the Hub also calls subset."
    )
    revision: str | None = Field(
        default=None,
        description="Branch, tag or commit on the Hub. By default the newest, which the run keeps.",
    )
    split: str | None = Field(
        default=None,
        description="Split to read, such as test, train+test or train[:10%]; all reads every one, "
        "and the default is train.",
    )
    image_column: str | None = Field(
        default=None, description="Column of the images; by default the one that holds images."
    )
    label_column: str | None = Field(
        default=None,
        description="Column of the classes; by default the one that is called label or the like.",
    )

    hub_id = property(attrgetter("repo"))
    homepage = property(lambda self: self.repo and f"https://huggingface.co/datasets/{self.repo}")

    @model_validator(mode="after")
    def _check_place(self) -> HubImages:
        if (self.repo is None) is (self.path is None):
            raise ValueError("write --data hf:user/name for the Hub, or hf:./name for a folder")
        if self.path is not None and self.revision is not None:
            raise ValueError("a folder has no revisions: drop data.revision")
        return self

    @classmethod
    def parse_address(cls, text: str) -> dict[str, Any]:
        """Return the name on the Hub and the revision behind it, or the path of a folder."""
        repo, at, revision = text.partition("@")
        if not re.fullmatch(HUB_ID, repo):
            return {"path": text}
        return {"repo": repo, **({"revision": revision} if at else {})}

    def needs_download(self) -> bool:
        """Tell whether the Hub's data are not on this machine yet."""
        if self.repo is None:
            return False
        from ganzoo_zoo.data.hub_table import is_downloaded

        return not is_downloaded(self.repo)

    @contextmanager
    def open_source(self) -> Iterator[HubSource]:
        """Open the images of the split."""
        from ganzoo_zoo.data.hub_table import HubSource, TableChoice

        yield HubSource(
            TableChoice(
                self.repo,
                self.path,
                self.config_name,
                self.revision,
                self.split,
                self.image_column,
                self.label_column,
            )
        )

    def classes(self, source: ImageSource, names: Sequence[str]) -> Classes:
        """Return the classes that the column of labels names.

        Raises:
            InputError: it holds something else.
        """
        from ganzoo_zoo.data.hub_table import HubSource

        assert isinstance(source, HubSource)  # from open_source
        return source.find_classes(names)
