"""StyleGAN2's networks, from the files of StyleGAN2-ADA's authors in PyTorch."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from ganzoo import Converted, Converter, DataSpec, ForeignWeights
from ganzoo.errors import InputError
from ganzoo_zoo.converters.naming import (
    Names,
    below,
    count,
    same,
    sequence,
    take,
    take_binomial_filters,
)

if TYPE_CHECKING:
    from torch import Tensor

START = "synthesis.b4.const"
MEAN_STYLE = "mapping.w_avg"
SETTINGS = {
    "mapping_kwargs.activation": "lrelu",
    "mapping_kwargs.lr_multiplier": 0.01,
    "synthesis_kwargs.activation": "lrelu",
}
"""What the architecture has, and a file may tell otherwise."""


class StyleGAN2ADAConverter(Converter):
    """Snapshots ``network-snapshot-....pkl`` of StyleGAN2-ADA, or a state dict of a generator.

    The networks are those of the architecture ``stylegan2``. A snapshot holds the generator's mean
    weights, ``G_ema``, and the discriminator, ``D``. StyleGAN3's code writes such files too, with
    ``--cfg=stylegan2``.
    """

    program = "stylegan2-ada-pytorch, https://github.com/NVlabs/stylegan2-ada-pytorch"
    licence = "other"
    may_pass_on = False

    def recognises(self, weights: ForeignWeights) -> bool:
        """Tell whether the file has a constant start and a mean style of the authors' names."""
        generator = weights.find_part("G_ema")
        return START in generator and MEAN_STYLE in generator

    def convert(self, weights: ForeignWeights) -> Converted:
        """Return the generator of the mean weights, and the discriminator if there is one."""
        generator, discriminator = weights.find_part("G_ema"), weights.under("D")
        sides = _find_sides(generator, "synthesis.b{}.conv1.weight")
        _check_form(generator, sides)
        options, classes = _find_options(generator, sides)
        state = _take_generator(generator, sides, noise=options["noise"])
        judge = None
        if discriminator.names:
            options |= _discriminator_options(discriminator, sides)
            judge = _take_discriminator(discriminator, sides)
        weights.ignore("G.*", "augment_pipe.*")
        shape = generator.shape(f"synthesis.b{sides[-1]}.torgb.weight")[0], sides[-1], sides[-1]
        return Converted(
            "stylegan2",
            DataSpec(shape=shape, classes=classes),
            state,
            options,
            discriminator=judge,
            notes=_find_notes(generator, judge),
        )


def _find_sides(part: ForeignWeights, pattern: str) -> list[int]:
    """Return the resolutions of a network, the lowest first."""
    sides = (4 * 2**level for level in itertools.count())
    return list(itertools.takewhile(lambda side: pattern.format(side) in part, sides))


# The generator ----------------------------------------------------------------------------------


def _check_form(generator: ForeignWeights, sides: list[int]) -> None:
    for name, wanted in SETTINGS.items():
        if generator.value(f"init_kwargs.{name}") not in (None, wanted):
            raise InputError(
                f"the generator was built with {name} {generator.value(f'init_kwargs.{name}')}, "
                f"and the architecture stylegan2 has {wanted}"
            )
    if any(f"synthesis.b{side}.torgb.weight" not in generator for side in sides):
        raise InputError(
            "the generator does not sum images over its resolutions (architecture 'skip' of the "
            "authors' code), as the architecture stylegan2 does"
        )


def _find_options(generator: ForeignWeights, sides: list[int]) -> tuple[dict[str, Any], int | None]:
    """Return the options that a generator tells, and the number of classes."""
    channels = [generator.shape(f"synthesis.b{side}.conv1.weight")[0] for side in sides]
    most = max(channels)
    base = max(side * each for side, each in zip(sides, channels, strict=True))
    if channels != [min(base // side, most) for side in sides]:
        raise InputError(
            f"the resolutions have {', '.join(map(str, channels))} channels; those of the "
            "architecture stylegan2 are a number over the resolution, up to a limit"
        )
    z_dim, classes = generator.shape("mapping.fc0.weight")[1], None
    if "mapping.embed.weight" in generator:
        width, classes = generator.shape("mapping.embed.weight")
        z_dim -= width
    options = {
        "z_dim": z_dim,
        "w_dim": generator.shape(MEAN_STYLE)[0],
        "channel_base": base,
        "channel_max": most,
        "mapping_layers": count(generator, "mapping.fc{}.weight"),
        "noise": "synthesis.b4.conv1.noise_strength" in generator,
        "conditional": classes is not None,
    }
    return options, classes


def _take_generator(part: ForeignWeights, sides: list[int], *, noise: bool) -> dict[str, Tensor]:
    take_binomial_filters(part, ".resample_filter")
    names = {
        **below("mapping", {**_mapping_names(part, "layers"), "w_average": MEAN_STYLE}),
        "synthesis.start": START,
    }
    ends = "affine.weight", "affine.bias", "weight", "bias"
    for level, side in enumerate(sides):
        block = f"synthesis.b{side}"
        # The lowest resolution has one convolution, which is called the second.
        convolutions = [f"{block}.conv{number}" for number in range(level == 0, 2)]
        styled = [
            same(each, *ends, *(["noise_strength"] if noise else [])) for each in convolutions
        ]
        names |= below(f"synthesis.convolutions.{level}", sequence(styled))
        names |= below(f"synthesis.to_images.{level}", same(f"{block}.torgb", *ends))
        if noise:
            maps: list[Names] = [{"noise_map": f"{each}.noise_const"} for each in convolutions]
            names |= below(f"synthesis.convolutions.{level}", sequence(maps))
    state = take(part, names)
    for name, tensor in state.items():
        # One for all samples, and one for all channels.
        added = 1 if name == "synthesis.start" else 2 if name.endswith(".noise_map") else 0
        state[name] = tensor[(None,) * added]
    return state


def _mapping_names(part: ForeignWeights, layers: str) -> Names:
    """Return the names of a mapping network, whose layers have a name here."""
    number = count(part, "mapping.fc{}.weight")
    linear = itertools.chain.from_iterable((same(f"mapping.fc{i}"), {}) for i in range(number))
    names = below(layers, sequence(linear))
    if "mapping.embed.weight" in part:
        return {**names, **below("embedding.linear", same("mapping.embed"))}
    return names


# The discriminator ------------------------------------------------------------------------------


def _discriminator_options(part: ForeignWeights, sides: list[int]) -> dict[str, Any]:
    """Return the options that a discriminator tells.

    Raises:
        ganzoo.errors.InputError: the architecture has no such discriminator.
    """
    first = f"b{sides[-1]}"
    residual = f"{first}.skip.weight" in part
    if any(f"b{side}.fromrgb.weight" in part for side in sides[:-1]):
        raise InputError(
            "the discriminator takes images at each resolution (architecture 'skip' of the "
            "authors' code); that of the architecture stylegan2 takes them once"
        )
    after, before = part.shape("b4.conv.weight")[:2]
    options: dict[str, Any] = {"discriminator_form": "residual" if residual else "plain"}
    if before == after:
        options["group_size"] = 0
    else:
        size = part.value("init_kwargs.epilogue_kwargs.mbstd_group_size")
        options |= {"group_size": size} if isinstance(size, int) else {}
    if "mapping.embed.weight" in part:
        options["label_layers"] = count(part, "mapping.fc{}.weight")
    # Of the authors' configurations only that for CIFAR-10 has plain blocks; it mixes no styles.
    return options if residual else {**options, "mixing": 0.0}


def _take_discriminator(part: ForeignWeights, sides: list[int]) -> dict[str, Tensor]:
    take_binomial_filters(part, ".resample_filter")
    layers: list[Names] = [same(f"b{sides[-1]}.fromrgb"), {}]
    for side in reversed(sides[1:]):
        branch = sequence([same(f"b{side}.conv0"), {}, {}, same(f"b{side}.conv1")])
        if f"b{side}.skip.weight" in part:
            shortcut = below("shortcut.1", same(f"b{side}.skip", "weight"))
            branch = {**below("branch", branch), **shortcut}
        layers.append(branch)
    after, before = part.shape("b4.conv.weight")[:2]
    is_grouped = before > after
    grouped_at = len(layers)
    layers += [{}] * is_grouped
    layers += [same("b4.conv"), {}, {}, same("b4.fc"), {}, same("b4.out")]
    names, prefix = sequence(layers), ""
    if "mapping.embed.weight" in part:
        prefix = "body."
        names = {**below("body", names), **_mapping_names(part, "mapping")}
    state = take(part, names)
    if is_grouped:
        # What training has followed here, and there nothing.
        state[f"{prefix}{grouped_at}.average"] = state[f"{prefix}0.bias"].new_zeros(())
    return state


def _find_notes(
    generator: ForeignWeights, discriminator: dict[str, Tensor] | None
) -> tuple[str, ...]:
    notes = []
    if (clamp := generator.value("init_kwargs.synthesis_kwargs.conv_clamp")) is not None:
        notes.append(
            f"the authors' networks clamp activations at {clamp}, which fp32 does not need; ganzoo "
            "does not"
        )
    if discriminator and any(name.endswith(".average") for name in discriminator):
        notes.append(
            "the file has no mean of the minibatch standard deviation: the discriminator's logits "
            "of single samples count once you have trained on"
        )
    return tuple(notes)
