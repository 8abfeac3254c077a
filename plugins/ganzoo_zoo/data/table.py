"""A table of numbers in a CSV file, as vectors."""

from __future__ import annotations

from pydantic import Field

from ganzoo import Dataset, Samples
from ganzoo.component import AbsolutePath


class Table(Dataset):
    """The rows of a CSV file as vectors, with a first line that names the columns.

    Each column is shifted and scaled to mean 0 and standard deviation 1, which a model knows: the
    samples that it writes have the table's own units and column names. Columns are separated by
    commas, semicolons, tabs or bars.
    """

    path: AbsolutePath = Field(description="The CSV file.")
    columns: tuple[str, ...] | None = Field(
        default=None,
        min_length=1,
        description="Names of the columns that samples have; all but the label if not given.",
    )
    label: str | None = Field(
        default=None, description="Name of the column that holds the class of each row."
    )

    def needs_download(self) -> bool:
        """Return False: the table is a file on this machine."""
        return False

    def read(self) -> Samples:
        """Read every row.

        Raises:
            ganzoo.errors.InputError: the file is no such table, or a cell holds no number.
        """
        from ganzoo_zoo.data.table_reading import read_table

        return read_table(self.path, self.columns, self.label)
