"""The parts of a latent: what an architecture says that its generator starts from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from ganzoo.errors import InputError, did_you_mean

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    Code: TypeAlias = float | Sequence[float] | Tensor
    """A value of a part of a latent, for all samples or for each."""

Distribution = Literal["normal", "uniform", "category"]


@dataclass(frozen=True)
class LatentPart:
    """Some numbers of a latent, under a name."""

    name: str
    """The name by which a network finds the part, and a person sets it."""
    size: int
    """How many numbers it has; of a category, how many categories there are."""
    distribution: Distribution = "normal"
    """``normal``: standard normal numbers. ``uniform``: numbers from -1 to 1. ``category``: one of
    ``size`` categories, all as likely: 1 in its place, and 0 in all others."""

    def draw(self, count: int, rng: torch.Generator) -> Tensor:
        """Draw ``(count, size)`` on the device of ``rng``."""
        import torch
        from torch.nn.functional import one_hot

        if self.distribution == "normal":
            return torch.randn(count, self.size, generator=rng, device=rng.device)
        if self.distribution == "uniform":
            return 2 * torch.rand(count, self.size, generator=rng, device=rng.device) - 1
        chosen = torch.randint(self.size, (count,), generator=rng, device=rng.device)
        return one_hot(chosen, self.size).float()

    def at_code(self, code: Code, count: int) -> Tensor:
        """Return the part ``(count, size)`` at a value that a person has chosen.

        Args:
            code: The number of a category, a number, or as many numbers as the part has; or a
                tensor with one of these for each sample.
            count: Number of samples.

        Raises:
            InputError: the part has no such value.
        """
        import torch
        from torch.nn.functional import one_hot

        is_category = self.distribution == "category"
        width = 1 if is_category else self.size
        try:
            given = torch.as_tensor(code, dtype=torch.float64, device="cpu")
            rows = given.reshape(-1, 1) if width == 1 else given
            rows = rows.expand(count, width)
        except (TypeError, ValueError, RuntimeError):
            rows = torch.tensor([[torch.nan]])
        fits = rows.isfinite()
        if is_category:
            fits &= (rows >= 0) & (rows < self.size) & (rows % 1 == 0)
        if not bool(fits.all()):
            raise InputError(f"code '{self.name}' must be {self._describe_values(count)}")
        return one_hot(rows[:, 0].long(), self.size).float() if is_category else rows.float()

    def _describe_values(self, count: int) -> str:
        value = "a number"
        if self.distribution == "category":
            value = f"a category from 0 to {self.size - 1}"
        elif self.size > 1:
            value = f"a number, or {self.size} numbers"
        return value if count == 1 else f"{value}, for all {count} samples or a tensor of one each"


def split_latents(parts: Sequence[LatentPart], latents: Tensor) -> dict[str, Tensor]:
    """Return the parts of latents ``(N, D)`` by name, each ``(N, size)``."""
    pieces = latents.split([part.size for part in parts], dim=1)
    return {part.name: piece for part, piece in zip(parts, pieces, strict=True)}


def find_part(parts: Sequence[LatentPart], name: str) -> LatentPart:
    """Return the part of a name.

    Raises:
        InputError: there is none; the message lists those that there are.
    """
    named = {part.name: part for part in parts}
    if name not in named:
        known = f"it has {', '.join(named)}" if named else "it has none"
        raise InputError(
            f"this model has no code '{name}'{did_you_mean(name, named) or f': {known}'}"
        )
    return named[name]


def set_codes(parts: Sequence[LatentPart], latents: Tensor, codes: Mapping[str, Code]) -> Tensor:
    """Return latents with some parts at values that a person has chosen.

    Args:
        parts: The parts of a latent.
        latents: Latents ``(N, D)``, which do not change.
        codes: Values by the names of parts; see :meth:`LatentPart.at_code`.

    Raises:
        InputError: there is no such part, or it has no such value.
    """
    import torch

    if not codes:
        return latents
    set_parts = {
        name: find_part(parts, name).at_code(code, len(latents)) for name, code in codes.items()
    }
    found = {**split_latents(parts, latents), **set_parts}
    return torch.cat([piece.to(latents) for piece in found.values()], dim=1)
