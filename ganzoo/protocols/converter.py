"""The protocol of a converter, which turns the weights of another program into those of ganzoo."""

from __future__ import annotations

import fnmatch
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from ganzoo.component import Component
from ganzoo.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from torch import Tensor

    from ganzoo.protocols.dataset import DataSpec

    Plain: TypeAlias = str | int | float | bool | None
    """A value of a file that is not a tensor."""


class ForeignWeights:
    """The tensors of another program's file, by their names there; each is to be taken once.

    Names of nested dictionaries and modules are joined by dots, such as ``G_ema.mapping.w_avg``.

    Args:
        tensors: The tensors, on the CPU.
        values: What else the file holds and is plain, by name.
    """

    def __init__(
        self, tensors: Mapping[str, Tensor], values: Mapping[str, Plain] | None = None
    ) -> None:
        self.tensors = dict(tensors)
        self.values = dict(values or {})
        self._used: set[str] = set()
        self._ignored: set[str] = set()
        self._prefix = ""

    def __contains__(self, name: str) -> bool:
        return self._prefix + name in self.tensors

    @property
    def names(self) -> list[str]:
        """Names of all tensors, taken or not, in their order in the file."""
        start = len(self._prefix)
        return [name[start:] for name in self.tensors if name.startswith(self._prefix)]

    def under(self, prefix: str) -> ForeignWeights:
        """Return the tensors whose names begin with ``prefix.``, without it; all for ``""``.

        What is taken there is taken here.
        """
        part = ForeignWeights({})
        part.tensors, part.values = self.tensors, self.values
        part._used, part._ignored = self._used, self._ignored
        part._prefix = f"{self._prefix}{prefix}." if prefix else self._prefix
        return part

    def find_part(self, *prefixes: str) -> ForeignWeights:
        """Return the tensors under the first prefix that the file has; all if it has none."""
        found = (prefix for prefix in prefixes if self.under(prefix).names)
        return self.under(next(found, ""))

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a tensor.

        Raises:
            ganzoo.errors.InputError: there is none of this name.
        """
        return tuple(self._find(name).shape)

    def value(self, name: str) -> Plain:
        """Return what the file holds under a name beside its tensors; None if there is nothing."""
        return self.values.get(self._prefix + name)

    def take(self, name: str) -> Tensor:
        """Return a tensor in fp32, and count it as taken; whole numbers keep their type.

        Raises:
            ganzoo.errors.InputError: there is none of this name.
        """
        found = self._find(name)
        self._used.add(self._prefix + name)
        return found.float() if found.is_floating_point() else found

    def ignore(self, *patterns: str) -> None:
        """Count tensors as taken that a model does not need, by shell-style patterns."""
        for name in self.names:
            if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns):
                self._ignored.add(self._prefix + name)

    def ignored(self) -> list[str]:
        """Return the names of the tensors that were ignored, and not taken."""
        dropped = self._ignored - self._used
        return [name for name in self.names if self._prefix + name in dropped]

    def left_over(self) -> list[str]:
        """Return the names of the tensors that nobody has taken or ignored."""
        known = self._used | self._ignored
        return [name for name in self.names if self._prefix + name not in known]

    def _find(self, name: str) -> Tensor:
        if name not in self:
            hint = did_you_mean(name, self.names)
            raise InputError(f"the file has no tensor '{self._prefix}{name}'{hint}")
        return self.tensors[self._prefix + name]


@dataclass(frozen=True)
class Converted:
    """What a file holds, in ganzoo's terms."""

    architecture: str
    """Name of the architecture, as ``ganzoo list architectures`` has it."""
    data: DataSpec
    """Shape and classes of the samples."""
    generator: Mapping[str, Tensor]
    """State of the architecture's generator for these data, whole."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options of the architecture that are not the defaults."""
    discriminator: Mapping[str, Tensor] | None = None
    """State of its discriminator, whole; None if the file has none."""
    loss: str | None = None
    """Name of the loss that it was trained with, if it is not the architecture's default."""
    notes: tuple[str, ...] = ()
    """What a person should know, a line each."""


class Converter(Component, ABC):
    """Base of converters: each knows one form of another program's files.

    ganzoo reads the file without running any code of it, and builds the architecture's networks on
    what :meth:`convert` returns: every weight must fit, and every tensor of the file must have been
    taken or ignored. Options are for what a file cannot tell, such as the names of classes.
    """

    program: ClassVar[str]
    """Name of the program that writes such files, and where it is: ``BasicSR,
    https://github.com/XPixelGroup/BasicSR``."""
    licence: ClassVar[str | None] = None
    """Usual licence of the published weights, by the Hub's identifier; None if there is none."""
    may_pass_on: ClassVar[bool | None] = None
    """Whether that licence allows to publish converted weights; None if it is not known."""

    @abstractmethod
    def recognises(self, weights: ForeignWeights) -> bool:
        """Tell whether a file is of this form, by the names and shapes of its tensors.

        Args:
            weights: The file. Take nothing of it.
        """

    @abstractmethod
    def convert(self, weights: ForeignWeights) -> Converted:
        """Convert the weights: infer options from shapes, and rename, reshape and scale tensors.

        Args:
            weights: The file, of a form that :meth:`recognises` has accepted or a person has named.

        Raises:
            ganzoo.errors.InputError: something is missing, or no architecture here is built so.
        """
