"""The protocol of a Space: a demo of a model, which the Hub runs from a few files."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from ganzoo.component import Component


class Space(Component, ABC):
    """Base of Spaces, which ``ganzoo publish --space`` uploads beside a model.

    ganzoo writes the Space's card, ``README.md``, from the metadata.
    """

    def check(self) -> None:
        """Check, before anything is uploaded, that the Space can be built; by default it can.

        Raises:
            ganzoo.errors.GanzooError: something is missing; the message says how to get it.
        """

    @abstractmethod
    def metadata(self) -> Mapping[str, str]:
        """Return the metadata that the Hub needs to run the Space.

        At least ``sdk`` and ``app_file``, usually ``sdk_version`` and ``python_version`` as well.
        ganzoo adds the title, the model and its licence.
        """

    @abstractmethod
    def files(self, reference: str, requirements: Sequence[str]) -> Mapping[str, str]:
        """Return the texts of the Space's files by their names, all in one folder.

        Args:
            reference: The model, for :func:`ganzoo.load`: ``user/name@commit``.
            requirements: The packages of the model's components except ganzoo, for pip:
                ``acme-gan==1.2``.
        """
