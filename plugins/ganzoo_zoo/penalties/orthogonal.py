"""Orthogonal regularisation of a network's weights (Brock et al. 2019)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from ganzoo import Discriminator, Penalty

if TYPE_CHECKING:
    from torch import Tensor, nn


class Orthogonal(Penalty):
    r"""Filters of a layer should be orthogonal to each other, whatever their norms.

    .. math::
        \beta \sum_W \|W W^T \odot (1 - I)\|_F^2

    over all weights W of a network, as matrices with a row for each filter, but embeddings of
    classes. Brock et al. 2019, equation 3. It makes a generator fit for truncation.
    """

    paper = "Brock et al. 2019, arXiv:1809.11096"
    needs_fakes = False

    weight: float = Field(default=1e-4, ge=0, description="Weight of the penalty, beta.")
    network: Literal["generator", "discriminator"] = Field(
        default="generator", description="The network whose weights are penalised."
    )

    @property
    def penalises_discriminator(self) -> bool:
        """Whether the network is the discriminator."""
        return self.network == "discriminator"

    @property
    def penalises_generator(self) -> bool:
        """Whether the network is the generator."""
        return self.network == "generator"

    def discriminator_terms(
        self, D: Discriminator, real: Tensor, fake: Tensor
    ) -> dict[str, Tensor]:
        """Return the weighted squares of the discriminator's filters' products."""
        return {"orthogonality": self.weight * _sum_products(D.network)}

    def generator_terms(self, D: Discriminator, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """Return the weighted squares of the generator's filters' products."""
        return {"orthogonality": self.weight * _sum_products(D.generator)}


def _sum_products(network: nn.Module) -> Tensor:
    """Return the sum of the squared products of each layer's filters with each other."""
    import torch

    return torch.stack([_square_products(each.flatten(1)) for each in _weights(network)]).sum()


def _square_products(filters: Tensor) -> Tensor:
    import torch

    products = filters @ filters.T
    return (products - torch.diag(products.diagonal())).square().sum()


def _weights(network: nn.Module) -> Iterator[Tensor]:
    """Yield each weight that has filters, and is no embedding.

    Of a weight with spectral normalisation it is the one that is stored, as in the authors' code.
    """
    from torch import nn

    tables = tuple(
        f"{name}." for name, module in network.named_modules() if isinstance(module, nn.Embedding)
    )
    for name, parameter in network.named_parameters():
        is_embedding = name.startswith(tables) or "embedding" in name.split(".")
        if parameter.dim() > 1 and not is_embedding:
            yield parameter
