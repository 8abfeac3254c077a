"""The protocol of a Space: a page about a model, which the Hub runs from a few files."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from ganzoo.component import Component


class Space(Component, ABC):
    """Base of Spaces. What ``ganzoo publish --space`` sends beside the model is theirs.

    The card of the Space, ``README.md``, is written around what they give.
    """

    def check(self) -> None:
        """Refuse, before anything is sent, if something is missing; else nothing.

        Raises:
            ganzoo.errors.GanzooError: what is missing, and how to get it.
        """

    @abstractmethod
    def metadata(self) -> Mapping[str, str]:
        """Return what the Hub is to know in order to run it.

        ``sdk`` and ``app_file`` at least, ``sdk_version`` and ``python_version`` as a rule; the
        model and its licence come by themselves.
        """

    @abstractmethod
    def files(self, reference: str, requirements: Sequence[str]) -> Mapping[str, str]:
        """Return the text of each file by its name, all in one folder.

        Args:
            reference: What :func:`ganzoo.load` finds the model by: ``user/name@commit``.
            requirements: What the packages are called, as pip reads it, that gave the model's
                components, but for ganzoo: ``acme-gan==1.2``.
        """
