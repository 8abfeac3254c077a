"""BigGAN-deep of pytorch-pretrained-BigGAN, whose weights are DeepMind's."""

from __future__ import annotations

from itertools import count, takewhile
from typing import TYPE_CHECKING

from pydantic import Field

from ganzoo import Converted, Converter, DataSpec, ForeignWeights
from ganzoo.errors import InputError
from ganzoo_zoo.converters.biggan_widths import LOWEST, find_base
from ganzoo_zoo.converters.layers import no_batches, normalised_weight, take_vectors

if TYPE_CHECKING:
    from torch import Tensor

    from ganzoo_zoo.converters.layers import State

ATTENTION = {"theta": "query", "phi": "key", "g": "value", "o_conv": "output"}
EPS, OUR_EPS = 1e-4, 1e-5
"""What batch normalisation adds to a variance, there and here."""
COLOURS = 3


class PretrainedBigGAN(Converter):
    """BigGAN-deep of ``huggingface/pytorch-pretrained-BigGAN``, of 128, 256 or 512 pixels.

    It becomes ``biggan`` with ``deep``. Its batch normalisation has statistics of 51 truncations,
    0, 0.02 and so on to 1, of which a model here has those of one. Their program interpolates
    between them with the two weights exchanged, so only these truncations are as they should be.
    """

    program = "pytorch-pretrained-BigGAN, https://github.com/huggingface/pytorch-pretrained-BigGAN"
    licence = "apache-2.0"
    may_pass_on = True

    truncation: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="Truncation whose statistics the model has, a multiple of 0.02: latents are so "
        "many times normal numbers within -2 and 2.",
    )

    def recognises(self, weights: ForeignWeights) -> bool:
        """Tell whether there are its embedding and its first layer."""
        return "embeddings.weight" in weights and "generator.gen_z.weight_orig" in weights

    def convert(self, weights: ForeignWeights) -> Converted:
        """Convert the generator."""
        part = weights.under("generator")
        layers = list(takewhile(lambda i: part.under(f"layers.{i}").names, count()))
        blocks = [i for i in layers if f"layers.{i}.conv_0.weight_orig" in part]
        attention = [len([b for b in blocks if b < i]) for i in layers if i not in blocks]
        if len(blocks) % 2 or len(attention) > 1 or any(place % 2 for place in attention):
            raise InputError(
                "biggan with deep=true has two blocks for each resolution and attention behind two"
            )
        widths = [part.shape(f"layers.{blocks[0]}.conv_0.weight_orig")[1]] if blocks else []
        widths += [part.shape(f"layers.{i}.conv_3.weight_orig")[0] for i in blocks[1::2]]
        side = LOWEST * 2 ** (len(blocks) // 2)
        embedding = weights.take("embeddings.weight").T.contiguous()
        classes, shared_dim = embedding.shape
        z_dim = part.shape("gen_z.weight_orig")[1] - shared_dim
        options = {
            "deep": True,
            "z_dim": z_dim,
            "base_channels": find_base(widths),
            "shared_dim": shared_dim,
            "attention": LOWEST * 2 ** (attention[0] // 2) if attention else 0,
            "standing_batches": 0,
        }
        reader = _Reader(part, z_dim, self._find_step(part.shape("bn.running_means")[0]))
        return Converted(
            architecture="biggan",
            data=DataSpec(shape=(COLOURS, side, side), classes=classes),
            options=options,
            generator={
                "embedding.weight": embedding,
                **reader.convert(blocks, [i for i in layers if i not in blocks]),
            },
            notes=(
                f"batch normalisation has the statistics of truncation {self.truncation:g}: their "
                f"program draws {self.truncation:g} times normal numbers within -2 and 2"
                + ("; so does --truncation 2 here" if self.truncation == 1 else ""),
                f"the last layer has {part.shape('conv_to_rgb.bias')[0]} outputs there, of which "
                "the 3 that are shown are kept; if it is trained further, it is divided by the "
                "largest singular value of these",
            ),
        )

    def _find_step(self, steps: int) -> int:
        """Return which of some statistics are those of the truncation."""
        step = round(self.truncation * (steps - 1))
        if abs(step - self.truncation * (steps - 1)) > 1e-6:
            raise InputError(
                f"truncation={self.truncation:g}: the file has statistics of multiples of "
                f"{1 / (steps - 1):g}"
            )
        return step


class _Reader:
    """Takes the layers of the generator.

    Args:
        part: The generator's tensors.
        z_dim: Length of a latent.
        step: Which of the statistics to take.
    """

    def __init__(self, part: ForeignWeights, z_dim: int, step: int) -> None:
        self.part = part
        self.z_dim = z_dim
        self.step = step

    def convert(self, blocks: list[int], attention: list[int]) -> State:
        state = self._take_first()
        for i, block in enumerate(blocks):
            level, doubles = divmod(i, 2)
            target = f"layers.{3 * level + doubles}"
            for k in range(4):
                place = 2 if doubles and k == 1 else 1
                state |= self._take_norm(f"layers.{block}.bn_{k}", f"{target}.norms.{k}")
                state |= self._take_convolution(
                    f"layers.{block}.conv_{k}", f"{target}.convolutions.{k}.{place}"
                )
        for layer in attention:
            level = len([block for block in blocks if block < layer]) // 2 - 1
            target = f"layers.{3 * level + 2}"
            state[f"{target}.share"] = self.part.take(f"layers.{layer}.gamma").reshape(())
            for theirs, ours in ATTENTION.items():
                source = f"layers.{layer}.snconv1x1_{theirs}"
                state |= normalised_weight(f"{target}.{ours}", *take_vectors(self.part, source))
        state |= self._take_statistics("bn", "ending.0")
        for name in ("weight", "bias"):
            state[f"ending.0.{name}"] = self.part.take(f"bn.{name}")
        return state | self._take_last()

    def _take_first(self) -> State:
        """Take the first layer, whose outputs are ordered by pixels there, and by channels here."""
        weight, left, right = take_vectors(self.part, "gen_z")
        channels = len(weight) // LOWEST**2

        def reorder(rows: Tensor) -> Tensor:
            return rows.unflatten(0, (LOWEST**2, channels)).transpose(0, 1).flatten(0, 1)

        return {
            **normalised_weight(
                "first.0",
                reorder(self._exchange(weight)),
                reorder(left),
                self._exchange(right),
            ),
            "first.0.bias": reorder(self.part.take("gen_z.bias")),
        }

    def _take_norm(self, source: str, target: str) -> State:
        state = self._take_statistics(source, f"{target}.norm")
        for theirs, ours in (("scale", "gain"), ("offset", "bias")):
            weight, left, right = take_vectors(self.part, f"{source}.{theirs}")
            state |= normalised_weight(
                f"{target}.{ours}", self._exchange(weight), left, self._exchange(right)
            )
        return state

    def _take_statistics(self, source: str, target: str) -> State:
        """Take those of the truncation; a variance has more added to it there than here."""
        means, variances = (
            self.part.take(f"{source}.running_{name}")[self.step].clone()
            for name in ("means", "vars")
        )
        return no_batches(target) | {
            f"{target}.running_mean": means,
            f"{target}.running_var": variances + (EPS - OUR_EPS),
        }

    def _take_convolution(self, source: str, target: str) -> State:
        state = normalised_weight(target, *take_vectors(self.part, source))
        return {**state, f"{target}.bias": self.part.take(f"{source}.bias")}

    def _take_last(self) -> State:
        """Take the outputs that are shown, of a layer that is divided by what is of all of them."""
        import torch

        weight, left, right = take_vectors(self.part, "conv_to_rgb")
        divisor = left @ weight.flatten(1) @ right
        shown = weight[:COLOURS].clone()
        lefts, values, rights = torch.linalg.svd(shown.flatten(1), full_matrices=False)
        return {
            **normalised_weight("ending.2", shown, lefts[:, 0] * divisor / values[0], rights[0]),
            "ending.2.bias": self.part.take("conv_to_rgb.bias")[:COLOURS].clone(),
        }

    def _exchange(self, columns: Tensor) -> Tensor:
        """Put the columns of the class before those of the latent."""
        import torch

        return torch.cat([columns[..., self.z_dim :], columns[..., : self.z_dim]], dim=-1)
