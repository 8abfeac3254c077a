"""The conformance kit against broken components: each of its checks must catch what it claims to.

Every broken component differs from a sound one in the fault that its docstring names.
"""

import contextlib
import itertools
import math
import os
import random
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from pydantic import ConfigDict, Field
from torch import nn

from ganzoo import (
    AdaptiveAugmentation,
    Architecture,
    Augmentation,
    Converter,
    Dataset,
    DataSpec,
    Discriminator,
    Evaluator,
    Features,
    ForeignWeights,
    LatentPart,
    LoadedExtractor,
    Loss,
    Penalty,
    Recipe,
    Samples,
    Score,
    Space,
    Styles,
    TrackedRun,
    Tracker,
)
from ganzoo import testing as kit
from ganzoo.errors import InputError
from ganzoo.models.generation import evaluation_mode
from ganzoo.testing import (
    ConformanceError,
    architecture,
    augmentation,
    command,
    common,
    converter,
    dataset,
    evaluator,
    loss,
    penalty,
    space,
    tracker,
)
from ganzoo_zoo.converters.pytorch_dcgan import PyTorchDCGAN

CHECKS = {
    "architecture": kit.architecture_checks,
    "loss": kit.loss_checks,
    "penalty": kit.penalty_checks,
    "dataset": kit.dataset_checks,
    "augmentation": kit.augmentation_checks,
    "evaluator": kit.evaluator_checks,
    "feature extractor": kit.feature_extractor_checks,
    "tracker": kit.tracker_checks,
    "converter": kit.converter_checks,
    "space": kit.space_checks,
    "command": kit.command_checks,
}


class Kill(NamedTuple):
    """A check, a component that it must refuse, and a part of what it must say."""

    check: Callable[[Any], None]
    broken: Callable[[], Any]
    message: str


# Architectures ----------------------------------------------------------------------------------


class Linear(Architecture):
    """One linear layer in each network, behind batch normalisation in the discriminator."""

    z_dim: int = Field(default=3, gt=0, description="Length of a latent.")

    def generator(self, data):
        if data.size > 5000:
            raise InputError(f"linear makes at most 5000 numbers, not {data.size}")
        return nn.Sequential(
            nn.Linear(self.z_dim, data.size), self.ending(data), nn.Unflatten(1, data.shape)
        )

    def discriminator(self, data, *, independent_samples=False):
        return nn.Sequential(
            nn.Flatten(),
            self.norm(data, independent_samples),
            nn.Linear(data.size, 1),
            *self.logits(),
        )

    def ending(self, data):
        return nn.Tanh() if data.is_image else nn.Identity()

    def norm(self, data, independent_samples):
        return nn.LayerNorm(data.size) if independent_samples else nn.BatchNorm1d(data.size)

    def logits(self):
        return [nn.Flatten(0)]


class SpectrallyNormalised(Linear):
    """Both networks are bounded in slope, not in range (Miyato et al. 2018)."""

    def generator(self, data):
        return self.normalised(super().generator(data))

    def discriminator(self, data, *, independent_samples=False):
        layers = [nn.Flatten(), nn.Linear(data.size, 32), nn.LeakyReLU(0.2)]
        for _ in range(4):
            layers += [nn.Linear(32, 32), nn.LeakyReLU(0.2)]
        return self.normalised(nn.Sequential(*layers, nn.Linear(32, 1), nn.Flatten(0)))

    def normalised(self, network):
        for layer in network:
            if isinstance(layer, nn.Linear):
                nn.utils.parametrizations.spectral_norm(layer)
        return network


class WithDropout(Linear):
    """Chance while it learns, and none when it is judged."""

    def norm(self, data, independent_samples):
        return nn.Dropout(0.5)


class Labelled(nn.Module):
    """A network that is also given labels, each as its own column."""

    def __init__(self, network, classes):
        super().__init__()
        self.network = network
        self.classes = classes

    def forward(self, given, labels):
        return self.network(torch.cat([given.flatten(1), self.columns(labels)], dim=1))

    def columns(self, labels):
        return F.one_hot(labels, self.classes).float()


class Conditional(Architecture):
    """Linear networks of samples and their classes, where there are any."""

    z_dim: int = Field(default=3, gt=0, description="Length of a latent.")

    def takes_labels(self, data):
        return data.classes is not None

    def generator(self, data):
        network = nn.Sequential(
            nn.Linear(self.z_dim + (data.classes or 0), data.size),
            nn.Tanh() if data.is_image else nn.Identity(),
            nn.Unflatten(1, data.shape),
        )
        return self.labelled(network, data)

    def discriminator(self, data, *, independent_samples=False):
        width = data.size + (data.classes or 0)
        network = nn.Sequential(nn.Flatten(), nn.Linear(width, self.parts()), *self.logits())
        return self.labelled(network, data)

    def parts(self):
        return 1

    def logits(self):
        return [nn.Flatten(0)]

    def labelled(self, network, data):
        return Labelled(network, data.classes) if self.takes_labels(data) else network


class LearntLabels(Labelled):
    """Labels by columns that begin at zero, where they make no difference yet."""

    def __init__(self, network, classes):
        super().__init__(network, classes)
        self.learnt = nn.Parameter(torch.zeros(classes, classes))

    def columns(self, labels):
        return self.learnt[labels]


class LearnsLabels(Conditional):
    """Looks at labels once it has learnt to."""

    def labelled(self, network, data):
        return LearntLabels(network, data.classes) if self.takes_labels(data) else network


class Pool(nn.Module):
    """The fake before the last one of each class, which is shown again half of the time."""

    def __init__(self, data):
        super().__init__()
        self.register_buffer("earlier", torch.zeros(data.classes or 1, *data.shape))
        self.register_buffer("met", torch.zeros(data.classes or 1, dtype=torch.bool))

    def forward(self, fakes, labels):
        labels = torch.zeros(len(fakes), dtype=torch.int64) if labels is None else labels
        return torch.stack([self.one(*given) for given in zip(fakes, labels, strict=True)])

    def one(self, fake, label):
        shown = self.earlier[label].clone() if self.met[label] and self.coin() else fake
        self.earlier[label], self.met[label] = fake, True
        return shown

    def coin(self):
        return torch.rand(1).item() < 0.5


class Translating(Conditional):
    """Turns images of one of two classes into the other's, and judges three parts of each."""

    takes_images = True

    def generator(self, data):
        self.check(data)
        width = data.size + data.classes
        network = nn.Sequential(nn.Linear(width, data.size), nn.Tanh(), nn.Unflatten(1, data.shape))
        return self.labelled(network, data)

    def discriminator(self, data, *, independent_samples=False):
        self.check(data)
        return super().discriminator(data, independent_samples=independent_samples)

    def check(self, data):
        if not data.is_image or data.classes != 2 or data.size > 5000:
            raise InputError("it translates small images of two classes")

    def parts(self):
        return 3

    def logits(self):
        return []

    def generator_terms(self, generator, inputs, real, fake):
        back = generator(fake, inputs.source_labels)
        return {"cycle": (back.float() - inputs.given).abs().mean()}

    def history(self, data):
        return Pool(data)


class Clamped(nn.Module):
    """Images of any range, which are clamped where nothing is trained."""

    def forward(self, given):
        return given if self.training else given.clamp(-1, 1)


class LinearImages(Linear):
    """Ends in a linear layer, as published networks do, and looks at its batch where it may."""

    def ending(self, data):
        return Clamped() if data.is_image else nn.Identity()

    def norm(self, data, independent_samples):
        if independent_samples:
            return super().norm(data, independent_samples)
        return Apply(lambda given: given + given.std(0, correction=0).mean())


class Grown(nn.Module):
    """One of two layers, by how far the training is."""

    grown = True

    def __init__(self, size, wanted):
        super().__init__()
        self.early, self.late = nn.Linear(size, wanted), nn.Linear(size, wanted)

    def forward(self, given):
        return (self.late if self.grown else self.early)(given)


class Growing(Architecture):
    """Other layers after some images, and reals that are dark before."""

    z_dim: int = Field(default=3, gt=0, description="Length of a latent.")

    def generator(self, data):
        squash = nn.Tanh() if data.is_image else nn.Identity()
        return nn.Sequential(Grown(self.z_dim, data.size), squash, nn.Unflatten(1, data.shape))

    def discriminator(self, data, *, independent_samples=False):
        return nn.Sequential(nn.Flatten(), Grown(data.size, 1), nn.Flatten(0))

    def advance(self, network, progress):
        for layer in network.modules():
            if isinstance(layer, Grown):
                layer.grown = self.has_grown(progress)

    def has_grown(self, progress):
        return progress.images >= 5000

    def prepare_real(self, real, progress):
        return real if self.has_grown(progress) else real / 2


class GrowsOnce(Growing):
    """Never goes back, as a run that diverged does."""

    def advance(self, network, progress):
        if self.has_grown(progress):
            super().advance(network, progress)
        else:
            for layer in network.modules():
                if isinstance(layer, Grown):
                    layer.grown = getattr(layer, "was", False)
        for layer in network.modules():
            if isinstance(layer, Grown):
                layer.was = layer.grown


class GrowsInState(Growing):
    """Keeps what it is told in a buffer."""

    def advance(self, network, progress):
        super().advance(network, progress)
        network[0].register_buffer("step", torch.tensor(float(progress.step)))


class GrowsByShare(Growing):
    """Looks at the length of the run, and does not say so."""

    def has_grown(self, progress):
        return progress.share > 0.5


class Halves(nn.Module):
    """Images of half the size, at the beginning."""

    grown = True

    def forward(self, given):
        return given if self.grown else given[..., ::2]


class MakesHalves(Growing):
    """Makes smaller samples before it has grown."""

    def generator(self, data):
        return nn.Sequential(super().generator(data), Halves())

    def advance(self, network, progress):
        super().advance(network, progress)
        if isinstance(network[-1], Halves):
            network[-1].grown = self.has_grown(progress)


class RealsInPlace(Growing):
    """Darkens the reals that it is given."""

    def prepare_real(self, real, progress):
        return real if self.has_grown(progress) else real.div_(2)


class SmallReals(Growing):
    """Shows half of each real."""

    def prepare_real(self, real, progress):
        return real[..., ::2]


class Parts(nn.Module):
    """A network that also gives what goes in, by names."""

    def __init__(self, network, main, **parts):
        super().__init__()
        self.network, self.main, self.parts = network, main, parts

    def forward(self, given):
        parts = {name: change(given) for name, change in self.parts.items()}
        return {self.main: self.network(given), **parts}


class GivesParts(Linear):
    """Gives latents and features."""

    generator_parts = ("w",)
    discriminator_parts = ("features",)

    def generator(self, data):
        return Parts(super().generator(data), "samples", w=self.part)

    def discriminator(self, data, *, independent_samples=False):
        network = super().discriminator(data, independent_samples=independent_samples)
        return Parts(network, "logits", features=self.part)

    def part(self, given):
        return 2 * given.flatten(1)


class UndeclaredFeaturesOfD(GivesParts):
    """Does not say that the discriminator gives more than logits."""

    discriminator_parts = ()


class MissingW(GivesParts):
    """Says that the generator gives more than it does."""

    generator_parts = ("w", "noise")


class PartsAreText(GivesParts):
    """Declares a name where names are asked for."""

    generator_parts = "w"


class PartOfTheBatch(GivesParts):
    """Gives one mean of all samples."""

    def part(self, given):
        return given.mean()


class MisnamesLogits(GivesParts):
    """Calls logits by another name."""

    def discriminator(self, data, *, independent_samples=False):
        return Parts(super().discriminator(data).network, "scores", features=self.part)


class Apply(nn.Module):
    """A layer that applies a function."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, given):
        return self.function(given)


class UnknownOptions(Linear):
    """Takes options that it does not have."""

    model_config = ConfigDict(extra="ignore")


class UndescribedOption(Linear):
    """Has an option that nobody explains."""

    width: int = 64


class PathAsText(Linear):
    """Has an option that is a path, of a type that does not say so."""

    weights_path: str | None = Field(default=None, description="A file of weights.")


class ListForTuple(Linear):
    """Has an option that comes back from JSON as something else."""

    widths: Any = Field(default=(64, 64), description="Units of each layer.")


class InfiniteOption(Linear):
    """Has a default that JSON cannot hold."""

    clip: float = Field(default=float("inf"), description="Bound on the weights.")


class OptionOfCode(Linear):
    """Has an option that is code, not a value."""

    activation: Any = Field(default=nn.ReLU, description="Class of the activation.")


class WithoutDocstring(Linear):
    pass


class OneResolution(Linear):
    """Refuses all but one shape."""

    def generator(self, data):
        if data.shape != (1, 28, 28):
            raise InputError("it makes images of 28 x 28 only")
        return super().generator(data)


class OneSizeAndVectors(Linear):
    """Makes vectors of any length, and images of one size."""

    def generator(self, data):
        if data.image_size not in (None, (28, 28)):
            raise InputError("it makes images of 28 x 28 only")
        return super().generator(data)


class GreyOnly(Linear):
    """Makes images of one channel."""

    def generator(self, data):
        if data.is_image and data.image_channels > 1:
            raise InputError("it makes grey images")
        return super().generator(data)


class RefusesIndependentSamples(Linear):
    """Cannot do without batch normalisation on images."""

    def discriminator(self, data, *, independent_samples=False):
        if data.is_image and independent_samples:
            raise InputError("it normalises over the batch")
        return super().discriminator(data, independent_samples=independent_samples)


class RefusesByValueError(Linear):
    """Refuses samples by an error that the command line shows as a traceback."""

    def generator(self, data):
        if not data.is_image:
            raise ValueError("images only")
        return super().generator(data)


class NeverIndependent(Linear):
    """Does not know the keyword that losses with a gradient penalty set."""

    def discriminator(self, data):
        return super().discriminator(data)


class GeneratorIsAFunction(Linear):
    """Gives a function where a module is asked for."""

    def generator(self, data):
        return super().generator(data).forward


class FlatImages(Linear):
    """Gives images as rows of pixels."""

    def generator(self, data):
        return super().generator(data)[:-1]


class GeneratorOfOneResolution(Linear):
    """Gives 28 x 28 whatever the data are."""

    def generator(self, data):
        return super().generator(DataSpec(shape=(1, 28, 28)))


class TwoOutputs(Linear):
    """Gives samples together with latents."""

    def generator(self, data):
        return nn.Sequential(super().generator(data), Apply(lambda samples: (samples, None)))


class WithoutZDim(Architecture):
    """Has no option ``z_dim``, and leaves ``latents`` as it is."""

    def generator(self, data):
        return Linear().generator(data)

    def discriminator(self, data, *, independent_samples=False):
        return Linear().discriminator(data, independent_samples=independent_samples)


class LatentsOfOneBatchSize(Linear):
    """Draws a batch of 64, however many are asked for."""

    def latents(self, count, rng):
        return super().latents(64, rng)


class WithoutTanh(Linear):
    """Gives images without a bound."""

    def ending(self, data):
        return nn.Identity()


class SigmoidImages(Linear):
    """Gives images in ``[0, 1]``."""

    def ending(self, data):
        return nn.Sigmoid() if data.is_image else nn.Identity()


class TanhForVectors(Linear):
    """Cannot reach points outside ``[-1, 1]``."""

    def ending(self, data):
        return nn.Tanh()


class ColumnOfLogits(Linear):
    """Gives logits ``(N, 1)``, which broadcast against ``(N,)`` to ``(N, N)``."""

    def logits(self):
        return []


class MapOfLogits(Linear):
    """Gives logits as a map ``(N, 1, 1)``."""

    def logits(self):
        return [nn.Unflatten(1, (1, 1))]


class DiscriminatorOfOneResolution(Linear):
    """Judges 28 x 28 whatever the data are."""

    def discriminator(self, data, *, independent_samples=False):
        return super().discriminator(
            DataSpec(shape=(1, 28, 28)), independent_samples=independent_samples
        )


class Probabilities(Linear):
    """Ends the discriminator in a sigmoid."""

    def logits(self):
        return [nn.Sigmoid(), nn.Flatten(0)]


class TanhLogits(Linear):
    """Ends the discriminator in tanh."""

    def logits(self):
        return [nn.Tanh(), nn.Flatten(0)]


class UnusedBias(nn.Module):
    """A parameter that the output does not depend on."""

    def __init__(self):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(1))

    def forward(self, given):
        return given


class UnusedInGenerator(Linear):
    """Leaves a parameter of the generator unused."""

    def ending(self, data):
        return nn.Sequential(super().ending(data), UnusedBias())


class UnusedInDiscriminator(Linear):
    """Leaves a parameter of the discriminator unused."""

    def logits(self):
        return [nn.Flatten(0), UnusedBias()]


class DetachedSamples(Linear):
    """Gives samples that no gradient comes back from."""

    def ending(self, data):
        return nn.Sequential(super().ending(data), Apply(torch.detach))


class DetachedLogits(Linear):
    """Gives logits that no gradient comes back from."""

    def logits(self):
        return [nn.Flatten(0), Apply(torch.detach)]


class Once(torch.autograd.Function):
    """A layer of one's own whose gradient has no gradient."""

    @staticmethod
    def forward(ctx, given):
        return given.clone()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient):
        return gradient


class OnceDifferentiable(Linear):
    """Cannot take part in a gradient penalty."""

    def norm(self, data, independent_samples):
        return nn.Sequential(super().norm(data, independent_samples), Apply(Once.apply))


class RoundedSamples(Linear):
    """Judges rounded samples, which pass on no gradient."""

    def norm(self, data, independent_samples):
        return nn.Sequential(
            Apply(lambda samples: samples.detach().round()), super().norm(data, independent_samples)
        )


class RootOfZero(Linear):
    """Takes square roots of masked samples, and the slope at zero is infinite."""

    def norm(self, data, independent_samples):
        return nn.Sequential(
            super().norm(data, independent_samples),
            Apply(lambda samples: (samples * (samples > 0)).sqrt()),
        )


class AlwaysBatchNorm(Linear):
    """Keeps batch normalisation with ``independent_samples``."""

    def norm(self, data, independent_samples):
        return nn.BatchNorm1d(data.size)


class MinibatchDeviation(Linear):
    """Adds the batch's deviation to each logit (Karras et al. 2018), independent or not."""

    def logits(self):
        return [nn.Flatten(0), Apply(lambda logits: logits + logits.std())]


class NoRunningStatistics(Linear):
    """Normalises by the batch when it is judged, too."""

    def norm(self, data, independent_samples):
        if independent_samples:
            return super().norm(data, independent_samples)
        return nn.BatchNorm1d(data.size, track_running_stats=False)


class DropoutForEver(Linear):
    """Calls ``F.dropout`` without saying whether it is training."""

    def ending(self, data):
        return nn.Sequential(Apply(F.dropout), super().ending(data))


class Squeezed(Linear):
    """Loses the batch's dimension where it holds one sample."""

    def logits(self):
        return [Apply(torch.squeeze)]


class WeightsOfNumpy(Linear):
    """Draws weights by a library that the run's seed does not reach."""

    def generator(self, data):
        network = super().generator(data)
        drawn = np.random.default_rng().normal(size=network[0].bias.shape)
        nn.init.zeros_(network[0].bias).data.add_(torch.from_numpy(drawn))
        return network


class LatentsOfGlobalGenerator(Linear):
    """Draws latents from torch's global generator."""

    def latents(self, count, rng):
        return torch.randn(count, self.z_dim)


class LatentsOfNumpy(Linear):
    """Draws latents by a library that the run's seed does not reach."""

    def latents(self, count, rng):
        drawn = np.random.default_rng().normal(size=(count, self.z_dim))
        return torch.from_numpy(drawn).float()


class SameLatentsAlways(Linear):
    """Draws the same latents from a generator of its own at every call."""

    def latents(self, count, rng):
        return super().latents(count, torch.Generator().manual_seed(0))


class TruncatesNothing(Linear):
    """Takes a truncation for nothing."""

    def truncate(self, generator, truncation):
        return generator


class TruncatesByAFactor(Linear):
    """Multiplies latents, so that a large truncation makes them larger."""

    def truncate(self, generator, truncation):
        return nn.Sequential(Apply(lambda latents: truncation * latents), generator)


class TruncatesInPlace(Linear):
    """Changes the weights of the generator itself."""

    def truncate(self, generator, truncation):
        with torch.no_grad():
            generator[0].weight *= min(1.0, truncation)
        return generator


class TruncatesByAFunction(Linear):
    """Gives a function where a module is asked for."""

    def truncate(self, generator, truncation):
        return lambda latents: generator(min(1.0, truncation) * latents)


class TruncatesByHiding(Linear):
    """Gives a module that does not hold the generator."""

    def truncate(self, generator, truncation):
        return Apply(lambda latents: generator(min(1.0, truncation) * latents))


class TruncatesByDrawing(Linear):
    """Draws other latents from torch's global generator."""

    def truncate(self, generator, truncation):
        return nn.Sequential(Apply(lambda z: torch.randn_like(z).clamp(-1, 1)), generator)


class TruncatesToNothing(Linear):
    """Divides by a deviation that there is not."""

    def truncate(self, generator, truncation):
        return nn.Sequential(generator, Apply(lambda samples: (samples - samples) / 0.0))


class TruncatesBeyond(Linear):
    """Moves samples, which then leave the range of images."""

    def truncate(self, generator, truncation):
        return nn.Sequential(generator, Apply(lambda samples: samples + 3.0))


class SamplesByChance(Linear):
    """Draws by other weights each time."""

    def sampler(self, generator, data, *, truncation=None, rng):
        return nn.Sequential(generator, Apply(lambda samples: samples * random.random()))


class SamplesInPlace(Linear):
    """Changes the weights of the generator itself."""

    def sampler(self, generator, data, *, truncation=None, rng):
        generator[0].weight.mul_(0.5)
        return generator


class OneNameTwice(Linear):
    """Names two parts of its latents alike."""

    def latent_parts(self):
        return LatentPart("code", 1), LatentPart("code", 2)


class LongerLatents(Linear):
    """Has a category of none."""

    def latent_parts(self):
        return LatentPart("z", self.z_dim), LatentPart("kind", 0, "category")


class UndeclaredPart(Linear):
    """Returns samples, and what it says nothing of."""

    def generator(self, data):
        made = super().generator(data)
        return nn.Sequential(made, Apply(lambda x: {"samples": x, "copy": x}))


class JudgesACopy(UndeclaredPart):
    """Judges a copy of its samples."""

    generator_parts = judged_parts = ("copy",)

    def discriminator(self, data, *, independent_samples=False):
        network = super().discriminator(data, independent_samples=independent_samples)
        return nn.Sequential(Apply(lambda judged: judged["samples"] + judged["copy"]), network)

    def real_parts(self, real):
        return {"copy": real}


class RealsOfAnotherShape(JudgesACopy):
    """Makes parts of reals that are not like those of fakes."""

    def real_parts(self, real):
        return {"copy": real[..., :1]}


class DetachedReals(JudgesACopy):
    """Cuts a gradient penalty off."""

    def real_parts(self, real):
        return {"copy": real.detach()}


class ExtraNetworkNowhere(Linear):
    """Names a network that it does not have."""

    extra_networks = ("encoder",)


class CopiesTheDiscriminators(Linear):
    """Wants a network copied that has no average."""

    extra_networks = copied_networks = ("3",)


class CopiesWhatIsNotExtra(Linear):
    """Wants a network copied that it does not name."""

    copied_networks = ("0",)


class TruncatesByClipping(Linear):
    """Clips, and refuses what would not be a truncation."""

    def truncate(self, generator, truncation):
        if truncation > 4:
            raise InputError("there is no truncation above 4")
        return nn.Sequential(Apply(lambda z: z.clamp(-truncation, truncation)), generator)


class Styled(Linear):
    """Maps latents to styles of two layers, and makes samples from these."""

    def generator(self, data):
        mapping = nn.Sequential(nn.Linear(self.z_dim, 8), nn.Unflatten(1, (2, 4)))
        layers = nn.Linear(8, data.size), self.ending(data), nn.Unflatten(1, data.shape)
        return nn.Sequential(mapping, nn.Sequential(nn.Flatten(), *layers))

    def styles(self, generator):
        mapping, synthesis = generator
        weights = synthesis[1].weight.split(4, dim=1)
        layers = [number for number, weight in enumerate(weights) for _ in weight]
        return Styles(mapping, synthesis, torch.zeros(4), torch.cat(weights), tuple(layers))


class FlatStyles(Styled):
    """Gives the styles of all layers as one vector."""

    def styles(self, generator):
        return replace(super().styles(generator), mapping=generator[0][0])


class StylesOfAnother(Styled):
    """Makes other samples from styles than the generator does."""

    def styles(self, generator):
        halved = nn.Sequential(Apply(lambda w: w / 2), generator[1])
        return replace(super().styles(generator), synthesis=halved)


class StylesOfOneLayer(Styled):
    """Has styles of a layer that nothing is made from."""

    def generator(self, data):
        mapping, synthesis = super().generator(data)
        synthesis[0] = Apply(lambda w: w.roll(1, 1).mul(torch.tensor([[1.0], [0.0]])).flatten(1))
        return nn.Sequential(mapping, synthesis)


class CountsLayersFromOne(Styled):
    """Numbers the layers of its affine maps from 1."""

    def styles(self, generator):
        found = super().styles(generator)
        return replace(found, affine_layers=tuple(layer + 1 for layer in found.affine_layers))


class WalksNowhere(Linear):
    """Stays where a walk begins."""

    def interpolate(self, start, end, share):
        return start


class WalksBack(Linear):
    """Takes the share for what is left."""

    def interpolate(self, start, end, share):
        return share * start + (1 - share) * end


class WalksInPlace(Linear):
    """Changes the latents of a seed."""

    def interpolate(self, start, end, share):
        return start.lerp_(end, share)


class WalksAtRandom(Linear):
    """Draws on the way from torch's global generator."""

    def interpolate(self, start, end, share):
        aside = share * (1 - share)
        return start.lerp(end, share) + aside * torch.randn_like(start)


class WalksInDoubles(Linear):
    """Gives latents of another type, which no network takes."""

    def interpolate(self, start, end, share):
        return start.double().lerp(end.double(), share)


class WalksBeyondNumbers(Linear):
    """Divides by what is 0 half-way."""

    def interpolate(self, start, end, share):
        return start.lerp(end, share) / (1.0 if share in (0, 1) else 0.0)


class RefusesToWalk(Linear):
    """Says that nothing lies between its latents."""

    def interpolate(self, start, end, share):
        raise InputError("nothing lies between codes")


class HiddenFrequencies(Linear):
    """Draws random features that are not in the state dict."""

    def ending(self, data):
        frequencies = torch.rand(data.size)
        return nn.Sequential(Apply(lambda samples: samples * frequencies), super().ending(data))


class UnsavedBuffer(nn.Module):
    """A buffer that is left out of the state dict."""

    def __init__(self):
        super().__init__()
        self.register_buffer("scale", torch.rand(1), persistent=False)

    def forward(self, given):
        return given * self.scale


class HiddenBuffer(Linear):
    """Keeps a random scale out of the state dict."""

    def logits(self):
        return [UnsavedBuffer(), nn.Flatten(0)]


class HiddenMean(nn.Module):
    """A running mean that is a mere attribute."""

    def __init__(self):
        super().__init__()
        self.mean = 0.0

    def forward(self, given):
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * given.detach().mean()
        return given - self.mean


class HiddenRunningMean(Linear):
    """Keeps what it learns of the data out of the state dict."""

    def logits(self):
        return [HiddenMean(), nn.Flatten(0)]


class Remembering(nn.Flatten):
    """A state that is no tensor."""

    def get_extra_state(self):
        return {"steps": 0}

    def set_extra_state(self, state):
        pass


class StateThatIsNoTensor(Linear):
    """Puts a dict into the state dict, which safetensors cannot hold."""

    def logits(self):
        return [Remembering(0)]


class FixedTypes(nn.Module):
    """Multiplies by a matrix in the type that weights have, by the one operation that cannot."""

    def __init__(self, size):
        super().__init__()
        self.scales = nn.Parameter(torch.ones(size))

    def forward(self, given):
        whole = torch.zeros(len(given), len(self.scales))
        whole[torch.arange(len(given))] = given
        return whole * self.scales


class FloatsOnly(Linear):
    """Puts what it computed into float32 by an index, which takes no bfloat16."""

    def ending(self, data):
        return nn.Sequential(FixedTypes(data.size), super().ending(data))


class BeyondRange(nn.Module):
    """Divides by the largest, which it rounds down in half precision."""

    def forward(self, given):
        largest = given.detach().abs().max()
        return given / (largest * 1.001 if largest.dtype == torch.float32 else largest * 0.99)


class RoundedUp(Linear):
    """Goes beyond 1 in half precision."""

    def ending(self, data):
        return BeyondRange() if data.is_image else nn.Identity()


class Overflows(nn.Module):
    """Divides by what half precision rounds to zero."""

    def forward(self, given):
        return given / (given.detach() * 0 + 1.001 - 1).clamp(max=1)


class FinePrint(Linear):
    """Divides by the difference of near numbers."""

    def logits(self):
        return [nn.Flatten(0), Overflows()]


class ConditionalGeneratorOnly(Conditional):
    """Has a discriminator that takes no labels."""

    def discriminator(self, data, *, independent_samples=False):
        return Linear().discriminator(data, independent_samples=independent_samples)


class Deaf(Labelled):
    """Takes labels, and does not look at them."""

    def columns(self, labels):
        return super().columns(torch.zeros_like(labels))


class DeafGenerator(Conditional):
    """Makes the same for any class."""

    def generator(self, data):
        network = super().generator(data)
        return Deaf(network.network, data.classes)


class DeafDiscriminator(Conditional):
    """Judges alike for any class."""

    def discriminator(self, data, *, independent_samples=False):
        network = super().discriminator(data, independent_samples=independent_samples)
        return Deaf(network.network, data.classes)


class TenClasses(Conditional):
    """Counts to ten whatever the data have."""

    def generator(self, data):
        return super().generator(data.model_copy(update={"classes": 10}))


class ClassesFromOne(Labelled):
    """Counts classes from one."""

    def columns(self, labels):
        return F.one_hot(labels - 1, self.classes).float()


class CountsFromOne(Conditional):
    """Takes classes from 1 on."""

    def labelled(self, network, data):
        return ClassesFromOne(network, data.classes)


class OneForAll(Labelled):
    """Takes the class of the first sample for everybody's."""

    def columns(self, labels):
        return super().columns(labels[:1].expand(len(labels)))


class OneLabelForAll(Conditional):
    """Looks at the first label only."""

    def labelled(self, network, data):
        return OneForAll(network, data.classes)


class LabelsOfNothing(Conditional):
    """Takes labels where there are no classes."""

    def takes_labels(self, data):
        return True


class CountsNoClasses(Conditional):
    """Does not look whether there are classes."""

    def generator(self, data):
        return super().generator(data.model_copy(update={"classes": data.classes + 0}))


class ConditionalIsANumber(Conditional):
    """Answers how many classes there are."""

    def takes_labels(self, data):
        return data.classes


class TranslatesToNowhere(Translating):
    """Does not take the class that an image goes to."""

    def takes_labels(self, data):
        return False


class OwnTerms(Linear):
    """Adds a term of the generator's own."""

    def generator_terms(self, generator, inputs, real, fake):
        return {"size": fake.square().mean()}


class RemembersFakes(Linear):
    """Shows the discriminator earlier fakes, with no classes to keep apart."""

    def history(self, data):
        return Pool(data)


class BareTerm(OwnTerms):
    """Gives a term without a name."""

    def generator_terms(self, generator, inputs, real, fake):
        return fake.square().mean()


class NothingBeforeTheGame(Linear):
    """Plays no game at first, and has nothing to learn from then."""

    def is_adversarial(self, progress):
        return progress.step > 100


class PlaysByTheLength(OwnTerms):
    """Begins its game at a share of the run, and does not say so."""

    def is_adversarial(self, progress):
        return progress.share >= 0.5


class PlaysByTheCall(OwnTerms):
    """Counts how often it is asked."""

    calls: ClassVar[list[int]] = []

    def is_adversarial(self, progress):
        self.calls.append(1)
        return len(self.calls) % 2 == 0


class TermOfEachSample(OwnTerms):
    """Forgets the mean of a term of its own."""

    def generator_terms(self, generator, inputs, real, fake):
        return {"size": fake.square().flatten(1).mean(1)}


class TermBackward(OwnTerms):
    """Does the trainer's work for its own term."""

    def generator_terms(self, generator, inputs, real, fake):
        again = inputs.through(generator).square().mean()
        again.backward()
        return {"size": again.detach()}


class DetachedTerm(OwnTerms):
    """Weighs fakes that no gradient comes back from."""

    def generator_terms(self, generator, inputs, real, fake):
        return {"size": (fake.detach() * torch.ones(1, requires_grad=True)).mean()}


class ConstantTerm(OwnTerms):
    """Weighs reals, which it cannot change."""

    def generator_terms(self, generator, inputs, real, fake):
        return {"size": real.mean()}


class TermInPlace(OwnTerms):
    """Changes the reals that the loss looks at, too."""

    def generator_terms(self, generator, inputs, real, fake):
        real.mul_(0.5)
        return super().generator_terms(generator, inputs, real, fake)


class HistoryIsAFunction(Translating):
    """Gives a function where a module is asked for."""

    def history(self, data):
        return lambda fakes, labels: fakes


class HalfOfTheFakes(Translating):
    """Shows fewer fakes than it is given."""

    def history(self, data):
        return HalfShown()


class HalfShown(nn.Module):
    """Half of each batch."""

    def forward(self, fakes, labels):
        return fakes[::2]


class ShuffledClasses(Translating):
    """Shows earlier fakes of any class."""

    def history(self, data):
        return Mixed(data)


class Mixed(Pool):
    """One earlier fake for all classes."""

    def forward(self, fakes, labels):
        return super().forward(fakes, torch.zeros_like(labels))


class TrainedHistory(Translating):
    """Has weights in its history, which no optimiser knows."""

    def history(self, data):
        history = Pool(data)
        history.weight = nn.Parameter(torch.ones(1))
        return history


class HistoryInAList(Translating):
    """Remembers fakes by a list."""

    def history(self, data):
        return Listed(data)


class Listed(Pool):
    """Fakes that are no buffers."""

    def __init__(self, data):
        nn.Module.__init__(self)
        self.earlier = [torch.zeros(data.shape) for _ in range(data.classes or 1)]
        self.met = [False] * (data.classes or 1)


class HistoryOfItsOwnChance(Translating):
    """Draws by a generator of its own."""

    def history(self, data):
        return OwnCoin(data)


class OwnCoin(Pool):
    """Throws coins that the run's seed does not reach."""

    def coin(self):
        return np.random.default_rng().random() < 0.5


class EveryOtherTime(nn.Module):
    """A layer that counts its calls in Python."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, given):
        self.calls += self.training
        return given * (1 + self.calls % 2)


class WrongRecipe(Linear):
    """Has a recipe for an option that it does not have."""

    recipe = Recipe(settings={"arch.width": 8})


class CountsInPython(Linear):
    """Keeps how often it was called in no buffer."""

    def logits(self):
        return [nn.Flatten(0), EveryOtherTime()]


class NoiseOfNumpy(Linear):
    """Adds noise that the run's seed does not reach."""

    def ending(self, data):
        noise = np.random.default_rng()
        noisy = Apply(lambda samples: samples + torch.from_numpy(noise.normal(size=1)).float())
        return nn.Sequential(noisy, super().ending(data))


class Sourced(Architecture):
    """Makes an image from a source, and judges both together."""

    takes_sources = True
    judges_source = True

    def generator(self, data):
        if not data.is_image or data.size > 5000:
            raise InputError("it makes small images")
        size = math.prod(data.source)
        return nn.Sequential(
            nn.Flatten(), nn.Linear(size, data.size), nn.Tanh(), nn.Unflatten(1, data.shape)
        )

    def discriminator(self, data, *, independent_samples=False):
        return BesideSource(data.size + math.prod(data.source))


class BesideSource(nn.Module):
    """Judges an image and its source by one layer."""

    def __init__(self, size):
        super().__init__()
        self.layer = nn.Linear(size, 1)

    def forward(self, samples, source):
        return self.layer(torch.cat([samples.flatten(1), source.flatten(1)], dim=1)).flatten()


class Halved(Sourced):
    """Makes its sources itself."""

    def make_source(self, samples):
        if samples.dim() != 4:
            raise InputError("it halves images")
        return F.avg_pool2d(samples, 2)


class IgnoresItsSource(Sourced):
    """Makes the same of every source."""

    def generator(self, data):
        return nn.Sequential(Apply(torch.zeros_like), super().generator(data))


class JudgesBlindly(Sourced):
    """Sees the source, and looks away."""

    def discriminator(self, data, *, independent_samples=False):
        network = super().discriminator(data)
        network.register_forward_pre_hook(lambda own, given: (given[0], 0 * given[1]))
        return network


class JudgesWithoutSources(Linear):
    """Judges sources that there are not."""

    judges_source = True


class AnySizeOfNothing(Linear):
    """Takes sources of any size, and no sources."""

    takes_any_size = True


class OneSizeAlone(Sourced):
    """Takes sources of any size, in a layer that sees all pixels."""

    takes_any_size = True


class TooSmallForItsSource(Sourced):
    """Makes images of the training's size, whatever their sources are."""

    takes_any_size = True

    def generator(self, data):
        network = super().generator(data)
        return nn.Sequential(nn.AdaptiveAvgPool2d(data.source[1:]), network)


class TakesBoth(Sourced):
    """Starts from sources and from images of other classes."""

    takes_images = True


class KeepsEarlierFakes(Sourced):
    """Shows earlier fakes beside the present sources."""

    def history(self, data):
        return nn.Identity()


class SourcesOfAnotherShape(Halved):
    """Says that its sources are as large as the samples."""

    def source_shape(self, data):
        return data.shape


class SourcesBeyond(Halved):
    """Makes sources that are twice as bright as white."""

    def make_source(self, samples):
        return 2 * super().make_source(samples)


class SourcesByChance(Halved):
    """Draws holes from a generator of its own."""

    def make_source(self, samples):
        kept = torch.from_numpy(np.random.default_rng().random(samples.shape)) < 0.5
        return super().make_source(samples * kept)


class SourcesInPlace(Halved):
    """Changes the samples as it halves them."""

    def make_source(self, samples):
        return super().make_source(samples.mul_(0.5))


ARCHITECTURES = [
    Kill(common.check_options, UnknownOptions, "keep extra='forbid'"),
    Kill(common.check_options, UndescribedOption, "option 'width' needs a description"),
    Kill(common.check_options, PathAsText, "option 'weights_path' seems to be a path or a URL"),
    Kill(common.check_options, ListForTuple, "round trip through JSON"),
    Kill(common.check_options, InfiniteOption, "config.json rebuilds the component; it raised"),
    Kill(common.check_options, OptionOfCode, "config.json rebuilds the component; it raised"),
    Kill(common.check_options, WithoutDocstring, "needs a docstring"),
    Kill(architecture.check_shapes, OneResolution, "at least two of"),
    Kill(architecture.check_shapes, RefusesByValueError, "refused by ganzoo's InputError"),
    Kill(architecture.check_shapes, NeverIndependent, "argument 'independent_samples'"),
    Kill(architecture.check_shapes, GeneratorIsAFunction, "must be a torch.nn.Module"),
    Kill(architecture.check_shapes, RefusesIndependentSamples, "need independent_samples=True"),
    Kill(architecture.check_channels, OneSizeAndVectors, "two sizes or more"),
    Kill(architecture.check_channels, GreyOnly, "those of [3, 4] channels are refused"),
    Kill(architecture.check_samples, FlatImages, "samples (4, 1, 28, 28), not (4, 784)"),
    Kill(architecture.check_samples, GeneratorOfOneResolution, "not (4, 1, 28, 28)"),
    Kill(architecture.check_samples, TwoOutputs, "by name, not tuple"),
    Kill(architecture.check_samples, WithoutZDim, "an option z_dim"),
    Kill(architecture.check_samples, LatentsOfOneBatchSize, "latents(4, rng) must draw 4, not 64"),
    Kill(architecture.check_sample_range, WithoutTanh, "images must lie in [-1, 1]"),
    Kill(architecture.check_sample_range, SigmoidImages, "none goes below 0"),
    Kill(architecture.check_sample_range, TanhForVectors, "vectors have no fixed range"),
    Kill(architecture.check_logits, ColumnOfLogits, "logits (4,), not (4, 1)"),
    Kill(
        architecture.check_logits, MapOfLogits, "(4, P) of P patches of each sample, not (4, 1, 1)"
    ),
    Kill(architecture.check_logits, DiscriminatorOfOneResolution, "shape it was built for"),
    Kill(architecture.check_logits_are_unbounded, Probabilities, "drop the sigmoid"),
    Kill(architecture.check_logits_are_unbounded, TanhLogits, "not probabilities"),
    Kill(architecture.check_every_parameter_learns, UnusedInGenerator, "1.1.bias of the generator"),
    Kill(
        architecture.check_every_parameter_learns,
        UnusedInDiscriminator,
        "4.bias of the discriminator gets no gradient",
    ),
    Kill(
        architecture.check_every_parameter_learns,
        DetachedSamples,
        "0.weight of the generator gets no gradient",
    ),
    Kill(architecture.check_every_parameter_learns, DetachedLogits, "must be differentiable"),
    Kill(architecture.check_parts, UndeclaredFeaturesOfD, "set discriminator_parts"),
    Kill(architecture.check_parts, MissingW, "set generator_parts"),
    Kill(architecture.check_parts, PartsAreText, "generator_parts must be a tuple of names"),
    Kill(architecture.check_parts, PartOfTheBatch, "must have a row for each of 4 samples"),
    Kill(architecture.check_parts, MisnamesLogits, "must have 'logits' in it"),
    Kill(architecture.check_progress, GrowsOnce, "a run may go back to a checkpoint"),
    Kill(architecture.check_progress, GrowsInState, "must leave the state_dict alone"),
    Kill(architecture.check_progress, GrowsByShare, "declare depends_on_steps = True"),
    Kill(architecture.check_progress, MakesHalves, "a growing network resizes what it makes"),
    Kill(architecture.check_progress, RealsInPlace, "must not change reals in place"),
    Kill(architecture.check_progress, SmallReals, "must return finite samples"),
    Kill(architecture.check_double_backward, OnceDifferentiable, "a discriminator twice"),
    Kill(architecture.check_double_backward, RoundedSamples, "a discriminator twice"),
    Kill(architecture.check_double_backward, RootOfZero, "gradient must be finite"),
    Kill(architecture.check_independent_samples, AlwaysBatchNorm, "must not mix its batch"),
    Kill(architecture.check_independent_samples, MinibatchDeviation, "must not mix its batch"),
    Kill(architecture.check_evaluation_is_by_sample, NoRunningStatistics, "on its batch"),
    Kill(architecture.check_evaluation_is_by_sample, DropoutForEver, "or on random numbers"),
    Kill(architecture.check_evaluation_is_by_sample, Squeezed, "must give (1,), not ()"),
    Kill(architecture.check_seeding, WeightsOfNumpy, "must give the same weights"),
    Kill(architecture.check_seeding, StateThatIsNoTensor, "must hold tensors only"),
    Kill(architecture.check_seeding, LatentsOfGlobalGenerator, "latents() must leave torch's"),
    Kill(architecture.check_seeding, LatentsOfNumpy, "from the generator in its argument rng"),
    Kill(architecture.check_seeding, SameLatentsAlways, "from the generator in its argument rng"),
    Kill(architecture.check_weights_round_trip, HiddenFrequencies, "in parameters or buffers"),
    Kill(architecture.check_weights_round_trip, HiddenBuffer, "in parameters or buffers"),
    Kill(architecture.check_weights_round_trip, HiddenRunningMean, "in parameters or buffers"),
    Kill(architecture.check_weights_round_trip, StateThatIsNoTensor, "must hold tensors"),
    Kill(architecture.check_autocast, FloatsOnly, "layers compute in bfloat16"),
    Kill(architecture.check_autocast, RoundedUp, "must lie in [-1, 1] under torch.autocast"),
    Kill(architecture.check_autocast, FinePrint, "must be finite under torch.autocast"),
    Kill(architecture.check_conditional, ConditionalGeneratorOnly, "must serve each class"),
    Kill(
        architecture.check_conditional, DeafGenerator, "conditional generator must use its labels"
    ),
    Kill(architecture.check_conditional, DeafDiscriminator, "discriminator must use its labels"),
    Kill(architecture.check_conditional, TenClasses, "generator must serve each class from 0"),
    Kill(architecture.check_conditional, CountsFromOne, "generator must serve each class from 0"),
    Kill(
        architecture.check_conditional,
        OneLabelForAll,
        "generator must treat each sample by its own class",
    ),
    Kill(architecture.check_unlabelled, LabelsOfNothing, "let takes_labels(data) return False"),
    Kill(architecture.check_unlabelled, CountsNoClasses, "refused by ganzoo's InputError"),
    Kill(architecture.check_conditional, ConditionalIsANumber, "True or False, not 2"),
    Kill(architecture.check_conditional, TranslatesToNowhere, "are the classes to translate to"),
    Kill(architecture.check_logits, ConditionalGeneratorOnly, "labels (N,) as its second"),
    Kill(architecture.check_generator_terms, BareTerm, "such as {'cycle': ...}"),
    Kill(architecture.check_generator_terms, TermOfEachSample, "must be a scalar tensor"),
    Kill(architecture.check_generator_terms, TermBackward, "must not call backward()"),
    Kill(architecture.check_generator_terms, DetachedTerm, "must reach the generator's"),
    Kill(architecture.check_generator_terms, ConstantTerm, "'size' must be differentiable"),
    Kill(architecture.check_generator_terms, TermInPlace, "must not change its arguments in place"),
    Kill(architecture.check_sources, IgnoresItsSource, "the generator must use its source"),
    Kill(architecture.check_sources, JudgesBlindly, "were the same beside other sources"),
    Kill(architecture.check_sources, JudgesWithoutSources, "there is no source to judge"),
    Kill(architecture.check_sources, TakesBoth, "declare takes_sources or takes_images"),
    Kill(architecture.check_sources, KeepsEarlierFakes, "leave out one of them"),
    Kill(architecture.check_sources, SourcesOfAnotherShape, "source_shape() must tell their shape"),
    Kill(architecture.check_phases, NothingBeforeTheGame, "return some in generator_terms()"),
    Kill(architecture.check_phases, PlaysByTheLength, "declare depends_on_steps = True"),
    Kill(architecture.check_phases, PlaysByTheCall, "the same for the same progress"),
    Kill(architecture.check_sources, AnySizeOfNothing, "it needs takes_sources"),
    Kill(architecture.check_sources, OneSizeAlone, "must take sources of any size"),
    Kill(architecture.check_sources, TooSmallForItsSource, "as much larger than its source"),
    Kill(architecture.check_sources, SourcesBeyond, "must lie in [-1, 1], as the images do"),
    Kill(architecture.check_sources, SourcesByChance, "must draw only from torch's"),
    Kill(architecture.check_sources, SourcesInPlace, "must not change its samples"),
    Kill(architecture.check_truncation, TruncatesNothing, "at 0.1 they stayed the same"),
    Kill(architecture.check_truncation, TruncatesByAFactor, "at 10 they changed"),
    Kill(architecture.check_truncation, TruncatesInPlace, "must not change the generator"),
    Kill(architecture.check_truncation, TruncatesByAFunction, "must return a torch.nn.Module"),
    Kill(architecture.check_truncation, TruncatesByHiding, "holds whatever it needs"),
    Kill(architecture.check_truncation, TruncatesByDrawing, "truncate() must leave torch's"),
    Kill(architecture.check_truncation, TruncatesToNothing, "truncated samples must be finite"),
    Kill(architecture.check_truncation, TruncatesBeyond, "truncated images must lie in [-1, 1]"),
    Kill(architecture.check_sampler, SamplesByChance, "it gave other samples"),
    Kill(architecture.check_sampler, SamplesInPlace, "must not change the generator"),
    Kill(architecture.check_latent_parts, OneNameTwice, "need different names"),
    Kill(architecture.check_latent_parts, LongerLatents, "must have a size above 0"),
    Kill(architecture.check_parts, UndeclaredPart, "set generator_parts"),
    Kill(architecture.check_parts, RealsOfAnotherShape, "must have the shape of the generator's"),
    Kill(architecture.check_parts, DetachedReals, "do not detach it"),
    Kill(architecture.check_extra_networks, ExtraNetworkNowhere, "has such a submodule"),
    Kill(architecture.check_extra_networks, CopiesTheDiscriminators, "alone has an average"),
    Kill(architecture.check_extra_networks, CopiesWhatIsNotExtra, "must be among extra_networks"),
    Kill(architecture.check_interpolation, WalksNowhere, "at 1 it returned others"),
    Kill(architecture.check_interpolation, WalksBack, "at 0 it returned others"),
    Kill(architecture.check_interpolation, WalksInPlace, "must not change its arguments in place"),
    Kill(architecture.check_interpolation, WalksAtRandom, "interpolate() must leave torch's"),
    Kill(architecture.check_interpolation, WalksInDoubles, "must return latents of shape"),
    Kill(architecture.check_interpolation, WalksBeyondNumbers, "must return finite latents"),
    Kill(architecture.check_styles, FlatStyles, "must return styles (4, L, W), not (4, 8)"),
    Kill(architecture.check_styles, StylesOfAnother, "must be what the generator returns"),
    Kill(architecture.check_styles, StylesOfOneLayer, "depend on the styles of each of the L"),
    Kill(architecture.check_styles, CountsLayersFromOne, "must be layers from 0 to 1"),
    Kill(architecture.check_history, HistoryIsAFunction, "a torch.nn.Module, not function"),
    Kill(architecture.check_history, HalfOfTheFakes, "as many fakes as it takes"),
    Kill(architecture.check_history, ShuffledClasses, "the fakes of each class apart"),
    Kill(architecture.check_history, TrainedHistory, "must have no parameters"),
    Kill(architecture.check_history, HistoryInAList, "keep its state in buffers"),
    Kill(architecture.check_history, HistoryOfItsOwnChance, "the same seed gave other fakes"),
    Kill(architecture.check_recipes, WrongRecipe, "unknown option 'arch.width'"),
    Kill(architecture.check_steps, CountsInPython, "as if it had never stopped"),
    Kill(architecture.check_steps, HiddenRunningMean, "as if it had never stopped"),
    Kill(architecture.check_steps, NoiseOfNumpy, "must give the same steps"),
]


# Losses -----------------------------------------------------------------------------------------


class NonSaturating(Loss):
    """The non-saturating loss of Goodfellow et al. 2014."""

    def discriminator_loss(self, D, real, fake):
        return {"real": F.softplus(-D(real)).mean(), "fake": F.softplus(D(fake)).mean()}

    def generator_loss(self, D, real, fake):
        return {"adversarial": F.softplus(-D(fake)).mean()}


class Relativistic(Loss):
    """Compares logits with the mean of the other side's (Jolicoeur-Martineau 2019)."""

    needs_whole_batch = True

    def discriminator_loss(self, D, real, fake):
        of_real, of_fake = D(real), D(fake)
        return {
            "real": F.softplus(of_fake.mean() - of_real).mean(),
            "fake": F.softplus(of_fake - of_real.mean()).mean(),
        }

    def generator_loss(self, D, real, fake):
        return self.discriminator_loss(D, real=fake, fake=real)


class RealPenalty(NonSaturating):
    """Adds R1 at the reals (Mescheder et al. 2018)."""

    second_order = True

    def discriminator_loss(self, D, real, fake):
        real = real.detach().requires_grad_()
        logits = D(real).reshape(len(real), -1).mean(1)
        (gradient,) = torch.autograd.grad(logits.sum(), real, create_graph=True)
        terms = super().discriminator_loss(D, real, fake)
        return {**terms, "penalty": gradient.square().flatten(1).sum(1).mean()}


class GradientPenalty(NonSaturating):
    """Adds the gradient penalty of Gulrajani et al. 2017."""

    second_order = True

    def discriminator_loss(self, D, real, fake):
        weight = self.weight(real)
        between = weight * real + (1 - weight) * fake
        if not between.requires_grad:
            between.requires_grad_()
        logits = self.of_samples(D(between))
        (gradient,) = torch.autograd.grad(logits.sum(), between, create_graph=True)
        penalty = (self.norm(gradient) - 1).square().mean()
        return {**super().discriminator_loss(D, real, fake), "penalty": penalty}

    def weight(self, real):
        return torch.rand(len(real), *[1] * (real.dim() - 1))

    def of_samples(self, logits):
        return logits.reshape(len(logits), -1).mean(1)

    def norm(self, gradient):
        return gradient.flatten(1).norm(dim=1)


class Unrolling(NonSaturating):
    """Plays against the discriminator one update ahead (Metz et al. 2017), where it has one."""

    @property
    def second_order(self):
        return True

    def generator_loss(self, D, real, fake):
        if isinstance(D, Discriminator):
            parameters = {
                name: value.requires_grad_() for name, value in D.detached_parameters().items()
            }
            terms = self.discriminator_loss(D.at(parameters), real, fake)
            slopes = torch.autograd.grad(
                sum(terms.values()), tuple(parameters.values()), create_graph=True
            )
            ahead = zip(parameters.items(), slopes, strict=True)
            D = D.at({name: value - 0.1 * slope for (name, value), slope in ahead})
        return super().generator_loss(D, real, fake)


def buffers(**values):
    """Build a module of buffers."""
    state = nn.Module()
    for name, value in values.items():
        state.register_buffer(name, torch.tensor(value))
    return state


class Balanced(NonSaturating):
    """Weighs fakes by a mean of the logits that it remembers."""

    def state(self, data):
        return buffers(mean=0.0)

    def discriminator_loss(self, D, real, fake):
        terms = super().discriminator_loss(D, real, fake)
        D.observe(mean=self.observed(D(real)))
        return {**terms, "fake": terms["fake"] * (1 + D.state.mean.sigmoid())}

    def observed(self, logits):
        return logits.mean()

    def remember(self, state, observed):
        state.mean.lerp_(observed["mean"], 0.5)


class FeatureMatching(NonSaturating):
    """Lets the generator match features (Salimans et al. 2016)."""

    adversarial = False
    needs_discriminator_parts = ("features",)
    needs_whole_batch = True

    def generator_loss(self, D, real, fake):
        of_real, of_fake = (D.judge(each)["features"].mean(0) for each in (real, fake))
        return {"features": (of_real.detach() - of_fake).square().sum()}


class Mixing(NonSaturating):
    """Judges fakes of other latents too."""

    def discriminator_loss(self, D, real, fake):
        others = D.generate(D.inputs)["samples"]
        terms = super().discriminator_loss(D, real, fake)
        return {**terms, "others": 0.1 * F.softplus(D(others)).mean()}


class UndeclaredAdversary(FeatureMatching):
    """Does not say that the generator wants something else than high logits."""

    adversarial = True


class UndeclaredBatch(Relativistic):
    """Does not say that means are over the whole batch."""

    needs_whole_batch = False


class LazySum(RealPenalty):
    """Sums over the batch where its penalty is due."""

    def discriminator_loss(self, D, real, fake):
        terms = super().discriminator_loss(D, real, fake)
        if D.progress.updates % 16 or not D.progress.updates:
            return {name: term for name, term in terms.items() if name != "penalty"}
        return {**terms, "penalty": 16 * len(real) * terms["penalty"]}


class LooksAhead(NonSaturating):
    """Looks at how long the run is, and does not say so."""

    def generator_loss(self, D, real, fake):
        terms = super().generator_loss(D, real, fake)
        return {name: term * (2 - D.progress.share) for name, term in terms.items()}


class RemembersInPython(Balanced):
    """Keeps its mean in an attribute, which no checkpoint holds."""

    def state(self, data):
        state = buffers(mean=0.0)
        state.hidden = 0.0
        return state

    def remember(self, state, observed):
        state.hidden = 0.5 * state.hidden + 0.5 * observed["mean"]
        state.mean.copy_(state.hidden)


class RemembersInTerms(Balanced):
    """Remembers where it computes."""

    def discriminator_loss(self, D, real, fake):
        D.state.mean.mul_(0.5)
        return super().discriminator_loss(D, real, fake)


class LearnsMemory(Balanced):
    """Has a parameter that nothing trains."""

    def state(self, data):
        state = nn.Module()
        state.mean = nn.Parameter(torch.zeros(()))
        return state


class ObservesAll(Balanced):
    """Gives every logit to be remembered."""

    def observed(self, logits):
        return logits.flatten()


class ForgetsAll(Balanced):
    """Remembers nothing of what it observes."""

    def remember(self, state, observed):
        pass


class WaitsToRemember(Balanced):
    """Asks the device for a number."""

    def remember(self, state, observed):
        state.mean.fill_(observed["mean"].item())


class ObservesForNobody(Balanced):
    """Has nothing to remember in."""

    def state(self, data):
        return None

    def discriminator_loss(self, D, real, fake):
        D.observe(mean=D(real).mean())
        return NonSaturating.discriminator_loss(self, D, real, fake)


class StateIsADict(Balanced):
    """Builds something else than a module."""

    def state(self, data):
        return {"mean": torch.zeros(())}


class PartsInAList(FeatureMatching):
    """Declares parts by a list, which options of pydantic would copy."""

    needs_discriminator_parts = ["features"]


class UndeclaredNeed(FeatureMatching):
    """Does not say which part it needs."""

    needs_discriminator_parts = ()


class LossWithUnknownOptions(NonSaturating):
    """Takes options that it does not have."""

    model_config = ConfigDict(extra="allow")


class BareTensor(NonSaturating):
    """Gives a term without a name."""

    def generator_loss(self, D, real, fake):
        return F.softplus(-D(fake)).mean()


class NoTerms(NonSaturating):
    """Gives no term."""

    def generator_loss(self, D, real, fake):
        return {}


class NumberedTerms(NonSaturating):
    """Names a term by a number, which the log cannot show."""

    def generator_loss(self, D, real, fake):
        return dict(enumerate(super().generator_loss(D, real, fake).values()))


class TermPerSample(NonSaturating):
    """Forgets the mean."""

    def generator_loss(self, D, real, fake):
        return {"adversarial": F.softplus(-D(fake))}


class TermIsAFloat(NonSaturating):
    """Reads a term back from the device, and its gradient is lost."""

    def generator_loss(self, D, real, fake):
        return {"adversarial": super().generator_loss(D, real, fake)["adversarial"].item()}


class WantsAModule(NonSaturating):
    """Takes the discriminator for a module, and decays its weights."""

    def discriminator_loss(self, D, real, fake):
        decay = sum(parameter.square().sum() for parameter in D.network.parameters())
        return {**super().discriminator_loss(D, real, fake), "decay": decay}


class NaiveLogarithms(NonSaturating):
    """Takes logarithms of probabilities: ``log(1 - sigmoid(40))`` is minus infinity."""

    def discriminator_loss(self, D, real, fake):
        return {
            "real": -torch.log(torch.sigmoid(D(real))).mean(),
            "fake": -torch.log(1 - torch.sigmoid(D(fake))).mean(),
        }


class OneLogarithm(NonSaturating):
    """Takes the logarithm of a probability, which is finite as far as a logit of -103."""

    def generator_loss(self, D, real, fake):
        return {"fake": -torch.log(torch.sigmoid(D(fake))).mean()}


class MaskedLogarithm(NonSaturating):
    """Masks an infinite logarithm, and its gradient is not a number all the same."""

    def discriminator_loss(self, D, real, fake):
        logits = D(fake)
        missed = 1 - torch.sigmoid(logits)
        masked = torch.where(missed > 0, -torch.log(missed), logits)
        return {"real": F.softplus(-D(real)).mean(), "fake": masked.mean()}


class SwappedLabels(NonSaturating):
    """Teaches the discriminator that reals are fake."""

    def discriminator_loss(self, D, real, fake):
        return super().discriminator_loss(D, real=fake, fake=real)


class LogitsOfFakesDetached(NonSaturating):
    """Detaches ``D(fake)`` where ``fake`` was meant."""

    def discriminator_loss(self, D, real, fake):
        return {"real": F.softplus(-D(real)).mean(), "fake": F.softplus(D(fake).detach()).mean()}


class LogitsOfRealsDetached(NonSaturating):
    """Lets the discriminator learn from fakes alone."""

    def discriminator_loss(self, D, real, fake):
        return {"real": F.softplus(-D(real).detach()).mean(), "fake": F.softplus(D(fake)).mean()}


class WrongSign(NonSaturating):
    """Lets the generator minimise what the minimax game has it maximise."""

    def generator_loss(self, D, real, fake):
        return {"adversarial": F.softplus(D(fake)).mean()}


class SumOverBatch(NonSaturating):
    """Sums over the batch, and so the learning rate depends on its size."""

    def generator_loss(self, D, real, fake):
        return {"adversarial": F.softplus(-D(fake)).sum()}


class NormOverBatch(GradientPenalty):
    """Takes one norm over the whole batch."""

    def norm(self, gradient):
        return gradient.norm()


class OneSidedNormOverBatch(GradientPenalty):
    """Penalises what is steeper than one alone, by one norm of the mean logit's gradient."""

    def norm(self, gradient):
        return (gradient / len(gradient)).norm().clamp(min=1)


class NormOverChannels(GradientPenalty):
    """Takes a norm for each pixel of each image: right for vectors, wrong for images."""

    def norm(self, gradient):
        return gradient.norm(2, dim=1)


class WeightsOfVectors(GradientPenalty):
    """Draws weights ``(N, 1)``, which do not fit images."""

    def weight(self, real):
        return torch.rand(len(real), 1)


class NoisyLabels(NonSaturating):
    """Smooths labels by a generator that the run's seed does not reach."""

    rng: ClassVar[torch.Generator] = torch.Generator()

    def generator_loss(self, D, real, fake):
        smooth = torch.rand(1, generator=self.rng).item()
        return {"adversarial": F.softplus(smooth - D(fake)).mean()}


class LazyPenalty(NonSaturating):
    """Counts its calls, and gives a term at every other one."""

    calls: ClassVar = itertools.count()

    def discriminator_loss(self, D, real, fake):
        terms = super().discriminator_loss(D, real, fake)
        return {**terms, "drift": D(real).square().mean()} if next(self.calls) % 2 else terms


class CallsBackward(NonSaturating):
    """Does the trainer's work."""

    def discriminator_loss(self, D, real, fake):
        terms = super().discriminator_loss(D, real, fake)
        sum(terms.values()).backward()
        return terms


class ChangesReals(NonSaturating):
    """Adds noise to the reals in place."""

    @torch.no_grad()
    def add_noise(self, samples):
        samples.add_(0.1 * torch.randn_like(samples))

    def discriminator_loss(self, D, real, fake):
        self.add_noise(real)
        return super().discriminator_loss(D, real, fake)


class ChangesFakes(ChangesReals):
    """Adds noise to the fakes in place."""

    def discriminator_loss(self, D, real, fake):
        self.add_noise(fake)
        return NonSaturating.discriminator_loss(self, D, real, fake)


class AsksForGradientsOfReals(NonSaturating):
    """Turns on gradients of the reals themselves, for a penalty."""

    def discriminator_loss(self, D, real, fake):
        return super().discriminator_loss(D, real.requires_grad_(), fake)


class AsksForGradientsOfFakes(NonSaturating):
    """Turns on gradients of the fakes themselves, for a penalty."""

    def discriminator_loss(self, D, real, fake):
        return super().discriminator_loss(D, real, fake.requires_grad_())


class ClipsInLoss(NonSaturating):
    """Clips weights where ``constrain`` is the place for it."""

    def discriminator_loss(self, D, real, fake):
        with torch.no_grad():
            for parameter in D.network.parameters():
                parameter.clamp_(-0.01, 0.01)
        return super().discriminator_loss(D, real, fake)


class FakesDetached(NonSaturating):
    """Detaches the fakes in the generator's turn, which then learns nothing."""

    def generator_loss(self, D, real, fake):
        return super().generator_loss(D, real, fake.detach())


class DetachesFakes(NonSaturating):
    """Detaches fakes in the discriminator's turn, as tutorials do: they have no gradient there."""

    def discriminator_loss(self, D, real, fake):
        return super().discriminator_loss(D, real, fake.detach())


class FakesDetachedInATerm(NonSaturating):
    """Has a term of the fakes through which unrolling sees nothing."""

    def discriminator_loss(self, D, real, fake):
        terms = super().discriminator_loss(D, real, fake)
        return {**terms, "drift": 0.1 * D(fake.detach()).square().mean()}


class AllLogitsDetached(NonSaturating):
    """Gives the discriminator nothing to learn from."""

    def discriminator_loss(self, D, real, fake):
        with torch.no_grad():
            return super().discriminator_loss(D, real, fake)


class ClipsWithGradients(NonSaturating):
    """Clips leaves that require gradients, which torch refuses."""

    def constrain(self, discriminator):
        for parameter in discriminator.parameters():
            parameter.clamp_(-0.01, 0.01)


class Freezes(NonSaturating):
    """Takes the parameters out of training."""

    def constrain(self, discriminator):
        discriminator.requires_grad_(False)


class Shrinks(NonSaturating):
    """Decays weights a little more each time: no constraint, but an optimiser's work."""

    @torch.no_grad()
    def constrain(self, discriminator):
        for parameter in discriminator.parameters():
            parameter.mul_(0.9)


class RecipeIsADict(NonSaturating):
    """Declares the paper's recipe without its class."""

    recipe = {"generator_lr": 1e-4}


class RecipeIsBare(NonSaturating):
    """Declares a single tuned recipe in place of a tuple."""

    tuned_recipes = Recipe()


class RecipeMisspells(NonSaturating):
    """Has a recipe for an option that it does not have."""

    tuned_recipes = (Recipe(settings={"loss.gama": 1}),)


class SlopeOfAllParts(GradientPenalty):
    """Takes the slope of the sum of a sample's logits, which grows with the number of parts."""

    def of_samples(self, logits):
        return logits


class OneLogitEach(NonSaturating):
    """Takes logits for a column."""

    def generator_loss(self, D, real, fake):
        return {"adversarial": F.softplus(-D(fake).view(len(fake), 1)).mean()}


class InfiniteForParts(NonSaturating):
    """Divides by how far the parts of a sample are apart."""

    def generator_loss(self, D, real, fake):
        logits = D(fake)
        apart = logits.sub(logits.mean()).abs().sum() if logits.dim() == 2 else logits.sum()
        scale = (apart - apart).reciprocal() if self.differ(logits) else 1.0
        return {"adversarial": F.softplus(-logits).mean() * scale}

    def differ(self, logits):
        return logits.dim() == 2 and bool((logits[:, 0] != logits[:, 1]).any())


class NumberForAnAnswer(NonSaturating):
    """Answers by a number where a yes or no is asked for."""

    bounds_slope = 10.0


class MethodForAProperty(NonSaturating):
    """Forgets that a declaration is read and not called."""

    def independent_samples(self):
        return True


class SilentPenalty(RealPenalty):
    """Does not say that it differentiates a gradient."""

    second_order = False


class SilentFunctionalPenalty(NonSaturating):
    """Does not say that it differentiates a gradient that it took by torch.func."""

    def discriminator_loss(self, D, real, fake):
        slope = torch.func.grad(lambda samples: D(samples).mean())(real) * len(real)
        penalty = slope.square().flatten(1).sum(1).mean()
        return {**super().discriminator_loss(D, real, fake), "penalty": penalty}


class SilentUnrolling(Unrolling):
    """Does not say that the generator's turn differentiates a gradient."""

    second_order = False


class RunningScale(NonSaturating):
    """Scales by a running mean of its own, which no checkpoint holds."""

    seen: ClassVar = {}

    def discriminator_loss(self, D, real, fake):
        key = id(D.network) if isinstance(D, Discriminator) else None
        self.seen[key] = 0.5 * self.seen.get(key, 0.0) + 0.5
        terms = super().discriminator_loss(D, real, fake)
        return {name: term * self.seen[key] for name, term in terms.items()}


LOSSES = [
    Kill(common.check_options, LossWithUnknownOptions, "keep extra='forbid'"),
    Kill(loss.check_terms, BareTensor, "a dict of named terms"),
    Kill(loss.check_terms, NoTerms, "a dict of named terms"),
    Kill(loss.check_terms, NumberedTerms, "term 0 must be a scalar tensor"),
    Kill(loss.check_terms, TermPerSample, "term 'adversarial' must be a scalar tensor"),
    Kill(loss.check_terms, TermIsAFloat, "term 'adversarial' must be a scalar tensor"),
    Kill(loss.check_terms, WantsAModule, "any function D from samples (N, *shape)"),
    Kill(loss.check_finite, NaiveLogarithms, "real logit -200.0 and fake logit -200.0: write log-"),
    Kill(loss.check_finite, OneLogarithm, "fake logit -200.0: write log-probabilities with"),
    Kill(loss.check_finite, MaskedLogarithm, "fake logit 200.0: write log-probabilities with"),
    Kill(loss.check_finite, CallsBackward, "only the trainer calls backward()"),
    Kill(loss.check_discriminator_direction, SwappedLabels, "higher logits for reals"),
    Kill(loss.check_discriminator_direction, LogitsOfFakesDetached, "lower ones for fakes"),
    Kill(loss.check_discriminator_direction, LogitsOfRealsDetached, "higher logits for reals"),
    Kill(loss.check_generator_direction, WrongSign, "higher logits for its fakes"),
    Kill(loss.check_generator_direction, UndeclaredAdversary, "declare adversarial = False"),
    Kill(loss.check_batch_size, SumOverBatch, "term 'adversarial' changes"),
    Kill(loss.check_batch_size, NormOverBatch, "term 'penalty' changes"),
    Kill(loss.check_batch_size, OneSidedNormOverBatch, "term 'penalty' changes"),
    Kill(loss.check_batch_size, LazySum, "term 'penalty' changes"),
    Kill(loss.check_batch_size, UndeclaredBatch, "or declare needs_whole_batch = True"),
    Kill(loss.check_sample_shape, NormOverChannels, "term 'penalty' changes"),
    Kill(loss.check_sample_shape, WeightsOfVectors, "any function D from samples (N, *shape)"),
    Kill(loss.check_seeding, NoisyLabels, "with the same seed: draw from torch's global"),
    Kill(loss.check_seeding, LazyPenalty, "D.progress and on options alone, so count no calls"),
    Kill(loss.check_side_effects, CallsBackward, "must not call backward()"),
    Kill(loss.check_side_effects, ChangesReals, "must not change its inputs in place"),
    Kill(loss.check_side_effects, ChangesFakes, "must not change its inputs in place"),
    Kill(loss.check_side_effects, AsksForGradientsOfReals, "use a detached copy"),
    Kill(loss.check_side_effects, AsksForGradientsOfFakes, "use a detached copy"),
    Kill(loss.check_side_effects, ClipsInLoss, "must not change the discriminator"),
    Kill(loss.check_gradients_reach_the_networks, FakesDetached, "must reach the fakes"),
    Kill(loss.check_gradients_reach_the_networks, AllLogitsDetached, "must reach its parameters"),
    Kill(loss.check_gradients_through_fakes, DetachesFakes, "gives them no gradient"),
    Kill(loss.check_gradients_through_fakes, FakesDetachedInATerm, "term 'drift' depends on the"),
    Kill(loss.check_constraint, ClipsWithGradients, "in place, under torch.no_grad()"),
    Kill(loss.check_constraint, Freezes, "leave trainable parameters"),
    Kill(loss.check_constraint, Shrinks, "the same as once"),
    Kill(loss.check_parts, SlopeOfAllParts, "the slope of a sample's mean logit"),
    Kill(loss.check_parts, OneLogitEach, "any function D from samples (N, *shape)"),
    Kill(loss.check_parts, InfiniteForParts, "of patches that differ"),
    Kill(loss.check_recipes, RecipeIsADict, "recipe"),
    Kill(loss.check_recipes, RecipeIsBare, "tuned_recipes must be a tuple"),
    Kill(loss.check_recipes, RecipeMisspells, "unknown option 'loss.gama'"),
    Kill(loss.check_declarations, NumberForAnAnswer, "bounds_slope must be True or False"),
    Kill(loss.check_declarations, MethodForAProperty, "independent_samples must be True or"),
    Kill(loss.check_declarations, SilentPenalty, "declare second_order = True"),
    Kill(loss.check_declarations, SilentFunctionalPenalty, "declare second_order = True"),
    Kill(loss.check_declarations, SilentUnrolling, "declare second_order = True"),
    Kill(loss.check_declarations, LooksAhead, "declare depends_on_steps = True"),
    Kill(loss.check_declarations, PartsInAList, "must be a tuple of names"),
    Kill(loss.check_terms, UndeclaredNeed, "of the names that it declares"),
    Kill(loss.check_memory, RemembersInPython, "go on as it would have without"),
    Kill(loss.check_memory, RemembersInTerms, "a term changed D.state"),
    Kill(loss.check_memory, LearnsMemory, "must have no parameters"),
    Kill(loss.check_memory, ObservesAll, "must be scalars, and 'mean' is none"),
    Kill(loss.check_memory, ForgetsAll, "must change the buffers of the state in place"),
    Kill(loss.check_memory, WaitsToRemember, "must not wait for the device"),
    Kill(loss.check_memory, ObservesForNobody, "and there is no state()"),
    Kill(loss.check_memory, StateIsADict, "a torch.nn.Module or return None, not dict"),
    Kill(loss.check_steps, NoisyLabels, "must give the same steps"),
    Kill(loss.check_steps, LazyPenalty, "must give the same steps"),
    Kill(loss.check_steps, RunningScale, "as if it had never stopped"),
]


# Penalties --------------------------------------------------------------------------------------


class Drift(Penalty):
    """Keeps logits near 0."""

    weight: float = Field(default=0.1, gt=0, description="Weight.")

    def discriminator_terms(self, D, real, fake):
        return {"drift": self.weight * self.mean(D.recall(real).square() + D.recall(fake).square())}

    def mean(self, values):
        return values.mean()


class SlopeOfReals(Penalty):
    """R1 (Mescheder et al. 2018)."""

    second_order = True

    def discriminator_terms(self, D, real, fake):
        real = real.detach().requires_grad_()
        logits = self.of_samples(D(real))
        (slope,) = torch.autograd.grad(logits.sum(), real, create_graph=True)
        return {"r1": self.mean(slope.square().flatten(1).sum(1))}

    def of_samples(self, logits):
        return logits.reshape(len(logits), -1).mean(1)

    def mean(self, values):
        return values.mean()


class Remembers(Penalty):
    """Keeps logits of reals near the mean of fakes (Tseng et al. 2021)."""

    def state(self, data):
        return buffers(fake=0.0)

    def discriminator_terms(self, D, real, fake):
        D.observe(fake=D.recall(fake).mean())
        return {"lecam": (D.recall(real) - D.state.fake).square().mean()}

    def remember(self, state, observed):
        state.fake.lerp_(observed["fake"], 0.5)


class NearLatents(Penalty):
    """Makes samples of near latents differ (Zhao et al. 2021)."""

    def generator_terms(self, D, real, fake):
        given = D.inputs.given
        near = D.generate(replace(D.inputs, given=given + 0.1 * torch.randn_like(given)))
        return {"apart": -self.mean((fake - near["samples"]).square().flatten(1).sum(1))}

    def mean(self, values):
        return values.mean()


class Lengths(Penalty):
    """Keeps the slope by w at a length (Karras et al. 2020)."""

    second_order = True
    needs_generator_parts = ("w",)

    def generator_terms(self, D, real, fake):
        (slope,) = torch.autograd.grad(fake.mean(0).sum(), D.generated["w"], create_graph=True)
        return {"length": ((len(fake) * slope).square().sum(1) - 1).square().mean()}

    def fits(self, data):
        return data.is_image


class Told(Penalty):
    """Teaches classes (Odena et al. 2017)."""

    needs_discriminator_parts = ("classes",)

    def discriminator_terms(self, D, real, fake):
        return {"classes": F.cross_entropy(D.judge(real)["classes"], D.labels)}

    def generator_terms(self, D, real, fake):
        return {"classes": F.cross_entropy(D.judge(fake)["classes"], D.labels)}


class Late(Drift):
    """Begins after some steps."""

    def discriminator_terms(self, D, real, fake):
        return super().discriminator_terms(D, real, fake) if D.progress.step > 100 else {}


class PenaltyWithUnknownOptions(Drift):
    """Takes options that it does not have."""

    model_config = ConfigDict(extra="ignore")


class Harmless(Penalty):
    """Has no terms."""


class FitsNobody(Drift):
    """Serves nothing."""

    def fits(self, data):
        return False


class FitsByChannels(Drift):
    """Answers by a number."""

    def fits(self, data):
        return len(data.shape)


class PerSample(Drift):
    """Gives a term for each sample."""

    def mean(self, values):
        return values


class RootOfSlope(SlopeOfReals):
    """Takes a root that has an infinite slope at 0."""

    def mean(self, values):
        return values.sqrt().mean()


class Multiplies(Drift):
    """Multiplies by its interval, which the trainer does."""

    def mean(self, values):
        return self.interval * values.mean()


class Waits(Drift):
    """Waits for its interval, which the trainer does."""

    def discriminator_terms(self, D, real, fake):
        is_due = D.progress.updates % self.interval == 0
        return super().discriminator_terms(D, real, fake) if is_due else {}


class SumOfSlopes(SlopeOfReals):
    """Sums over the batch."""

    def mean(self, values):
        return values.sum()


class LateSum(Late):
    """Sums over the batch, once it has begun."""

    def mean(self, values):
        return values.sum()


class NormOfTheBatch(SlopeOfReals):
    """Takes one norm for the batch."""

    def mean(self, values):
        return values.sum().sqrt()


class SumOfDraws(NearLatents):
    """Sums over the batch what is random."""

    def mean(self, values):
        return values.sum()


class SquareOfMean(Drift):
    """Squares a mean, which is no mean of squares."""

    def discriminator_terms(self, D, real, fake):
        return {"drift": D.recall(real).mean().square()}


class SlopeOfPatches(SlopeOfReals):
    """Takes the slope of the sum of a sample's patches."""

    def of_samples(self, logits):
        return logits


class DrawsItself(Drift):
    """Draws from a generator that the run's seed does not reach."""

    rng: ClassVar[torch.Generator] = torch.Generator()

    def mean(self, values):
        return torch.rand(1, generator=self.rng).item() * values.mean()


class CountsCalls(Drift):
    """Gives a term at every other call."""

    calls: ClassVar = itertools.count()

    def discriminator_terms(self, D, real, fake):
        return super().discriminator_terms(D, real, fake) if next(self.calls) % 2 else {}


class RemembersAtOnce(Remembers):
    """Remembers where it computes."""

    def discriminator_terms(self, D, real, fake):
        terms = super().discriminator_terms(D, real, fake)
        D.state.fake.copy_(D.recall(fake).mean().detach())
        return terms


class Descends(Drift):
    """Does the trainer's work."""

    def discriminator_terms(self, D, real, fake):
        terms = super().discriminator_terms(D, real, fake)
        terms["drift"].backward(retain_graph=True)
        return terms


class SetsGradients(SlopeOfReals):
    """Asks for gradients of the reals themselves."""

    def discriminator_terms(self, D, real, fake):
        real.requires_grad_()
        return super().discriminator_terms(D, real, fake)


class Shuts(Drift):
    """Cuts off what the discriminator says."""

    def mean(self, values):
        return values.detach().mean()


class CutsFakes(SlopeOfReals):
    """Cuts off the fakes, which unrolling differentiates by."""

    def discriminator_terms(self, D, real, fake):
        return super().discriminator_terms(D, (real + fake) / 2, fake)


class KeepsFakes(SlopeOfReals):
    """Takes the slope between reals and fakes, and lets the gradient through to these."""

    def discriminator_terms(self, D, real, fake):
        between = (real + fake) / 2
        between = between if between.requires_grad else between.requires_grad_()
        logits = self.of_samples(D(between))
        (slope,) = torch.autograd.grad(logits.sum(), between, create_graph=True)
        return {"slope": self.mean(slope.square().flatten(1).sum(1))}


class CutsSamples(Penalty):
    """Cuts off what the generator makes."""

    def generator_terms(self, D, real, fake):
        return {"size": fake.detach().square().mean()}


class SilentSlope(SlopeOfReals):
    """Does not say that it differentiates a gradient."""

    second_order = False


class SilentLengths(Lengths):
    """Does not say that it differentiates a gradient of samples."""

    second_order = False


class TextForParts(Told):
    """Declares a name where names are asked for."""

    needs_discriminator_parts = "classes"


class SilentPart(Told):
    """Does not say which part it takes."""

    needs_discriminator_parts = ()


class ReadsTheEnd(Drift):
    """Does not say that it looks at the length of the run."""

    def discriminator_terms(self, D, real, fake):
        terms = super().discriminator_terms(D, real, fake)
        return {name: term * D.progress.step / D.progress.steps for name, term in terms.items()}


class RemembersElsewhere(Remembers):
    """Keeps its mean in an attribute, which no checkpoint holds."""

    def remember(self, state, observed):
        state.hidden = getattr(state, "hidden", 0.0) * 0.5 + observed["fake"]
        state.fake.copy_(state.hidden)


PENALTIES = [
    Kill(common.check_options, PenaltyWithUnknownOptions, "keep extra='forbid'"),
    Kill(penalty.check_fits, Harmless, "must override discriminator_terms(), generator_terms()"),
    Kill(penalty.check_fits, FitsNobody, "fits() must accept some samples"),
    Kill(penalty.check_fits, FitsByChannels, "must return True or False"),
    Kill(penalty.check_terms, PerSample, "term 'drift' must be a scalar tensor"),
    Kill(penalty.check_terms, RootOfSlope, "discriminator's weights are all 0"),
    Kill(penalty.check_interval, Multiplies, "and multiplies them by it"),
    Kill(penalty.check_interval, Waits, "the terms change from ['drift'] to []"),
    Kill(penalty.check_batch_size, SumOfSlopes, "when the batch is doubled"),
    Kill(penalty.check_batch_size, LateSum, "when the batch is doubled"),
    Kill(penalty.check_batch_size, NormOfTheBatch, "when the batch is doubled"),
    Kill(penalty.check_batch_size, SumOfDraws, "when the batch is doubled"),
    Kill(penalty.check_batch_size, SquareOfMean, "or declare needs_whole_batch = True"),
    Kill(penalty.check_parts, SlopeOfPatches, "the slope of a sample's mean logit"),
    Kill(penalty.check_seeding, DrawsItself, "with the same seed: draw from torch's global"),
    Kill(penalty.check_seeding, CountsCalls, "so count no calls"),
    Kill(penalty.check_side_effects, RemembersAtOnce, "must not change the memory: remember()"),
    Kill(penalty.check_side_effects, Descends, "must not call backward()"),
    Kill(penalty.check_side_effects, SetsGradients, "must not set requires_grad on its inputs"),
    Kill(penalty.check_gradients, Shuts, "must reach the discriminator's parameters"),
    Kill(penalty.check_gradients, CutsFakes, "let a gradient through to the fakes"),
    Kill(penalty.check_gradients, CutsSamples, "must reach the generator's parameters"),
    Kill(penalty.check_declarations, SilentSlope, "declare second_order = True"),
    Kill(penalty.check_declarations, SilentLengths, "declare second_order = True"),
    Kill(penalty.check_declarations, TextForParts, "must be a tuple of names"),
    Kill(penalty.check_declarations, SilentPart, "takes a part that is not declared, 'classes'"),
    Kill(penalty.check_declarations, ReadsTheEnd, "progress.steps is read"),
    Kill(penalty.check_memory, RemembersElsewhere, "go on as it would have without"),
    Kill(penalty.check_memory, RemembersAtOnce, "a term changed D.state"),
    Kill(penalty.check_steps, CountsCalls, "must give the same steps"),
]


# Datasets ---------------------------------------------------------------------------------------


class Squares(Dataset):
    """Twelve grey squares of three levels, which are their classes."""

    holds = "images"

    def read(self):
        labels = self.labels(torch.arange(12) % 3)
        return self.samples(DataSpec(shape=(1, 4, 4), classes=3), self.squares(), labels)

    def squares(self):
        return torch.arange(12, dtype=torch.uint8).mul(20).reshape(12, 1, 1, 1).repeat(1, 1, 4, 4)

    def labels(self, labels):
        return labels

    def samples(self, spec, stored, labels):
        return Samples(spec, stored, labels)


class Points(Dataset):
    """Twenty points without labels."""

    def read(self):
        return Samples(DataSpec(shape=(2,)), torch.linspace(-3, 3, 40).reshape(20, 2))


class DatasetWithUnknownOptions(Squares):
    """Takes options that it does not have."""

    model_config = ConfigDict(extra="ignore")


class Nothing(Points):
    """Finds no samples, and does not say so."""

    def read(self):
        return Samples(DataSpec(shape=(2,)), torch.empty(0, 2))


class Unwrapped(Points):
    """Gives a tensor where samples are asked for."""

    def read(self):
        return super().read().stored


class FloatImages(Squares):
    """Stores images as floats."""

    def squares(self):
        return super().squares() / 255


class MissingFile(Points):
    """Lets the system's error through where its file is missing."""

    def read(self):
        with open("points.csv") as file:
            return file.read()


class ImagesUndeclared(Squares):
    """Takes its images for vectors."""

    holds = "vectors"


class OnePointMissing(Points):
    """Holds a hole far behind its first samples."""

    def read(self):
        samples = super().read()
        samples.stored[-1] = torch.nan
        return samples


class Unscaled(Squares):
    """Gives batches in ``[0, 255]``."""

    class Samples(Samples):
        def batch(self, indices):
            return self.stored[indices].float()

    def samples(self, spec, stored, labels):
        return self.Samples(spec, stored, labels)


class RawBatches(Unscaled):
    """Gives batches of bytes."""

    class Samples(Samples):
        def batch(self, indices):
            return self.stored[indices]

    def samples(self, spec, stored, labels):
        return self.Samples(spec, stored, labels)


class TooFewLabels(Squares):
    """Lost a label."""

    def labels(self, labels):
        return labels[:-1]


class OneHotLabels(Squares):
    """Labels by indicator vectors."""

    def labels(self, labels):
        return F.one_hot(labels)


class LabelsFromOne(Squares):
    """Counts classes from one."""

    def labels(self, labels):
        return labels + 1


class NegativeLabels(Squares):
    """Marks what has no label by minus one."""

    def labels(self, labels):
        return torch.where(labels == 2, -1, labels)


class FloatLabels(Squares):
    """Labels by floats, which index nothing."""

    def labels(self, labels):
        return labels / 2


class LabelsWithoutClasses(Squares):
    """Does not say how many classes there are."""

    def samples(self, spec, stored, labels):
        return super().samples(DataSpec(shape=spec.shape), stored, labels)


class ClassesWithoutLabels(Squares):
    """Says how many classes there are, and has none."""

    def labels(self, labels):
        return None


class TooFewNames(Squares):
    """Names what it could read, and not what it resized."""

    def samples(self, spec, stored, labels):
        return Samples(spec, stored, labels, names=("first.png", "second.png"))


class NumbersForNames(Squares):
    """Counts its samples where their names are asked for."""

    def samples(self, spec, stored, labels):
        return Samples(spec, stored, labels, names=tuple(range(len(stored))))


class ShuffledLabels(Squares):
    """Labels its samples in another order each time."""

    def labels(self, labels):
        return labels[torch.from_numpy(np.random.default_rng().permutation(12))]


class Shuffled(Squares):
    """Comes in another order each time."""

    def squares(self):
        order = np.random.default_rng().permutation(12)
        return super().squares()[torch.from_numpy(order)]


class DrawnPoints(Points):
    """Draws its points from torch's global generator."""

    def read(self):
        return Samples(DataSpec(shape=(2,)), torch.randn(20, 2))


class SeedsGlobally(DrawnPoints):
    """Draws the same points each time, by seeding the whole process."""

    def read(self):
        torch.manual_seed(0)
        return super().read()


class LicenceInWords(Points):
    """Names its licence as people do."""

    licence = "CC BY 4.0"


class ManyLicences(Points):
    """Has several licences."""

    licence = ("mit", "bsd")


class HomeOfNoScheme(Points):
    """Names a page without how to reach it."""

    homepage = "example.org/points"


class IdWithoutUser(Points):
    """Names data of the Hub without their owner."""

    hub_id = "points"


class DefaultOfUnknownOrigin(Points):
    """May be downloaded."""

    is_default = True


class DefaultWithoutPath(DefaultOfUnknownOrigin):
    """Must be told where the data are."""

    path: str

    def needs_download(self):
        return False


class Held(Points):
    """Holds what it is given, under options of its own."""

    count: int = Field(default=0, description="How many.")
    total: float = Field(default=0.0, description="Their sum, weighted by their places.")

    @classmethod
    def hold(cls, given, options):
        if not isinstance(given, torch.Tensor):
            return None
        weights = torch.arange(len(given)).view(-1, *[1] * (given.dim() - 1))
        return cls(count=len(given), total=float((given * weights).sum()))

    def read(self):
        points = super().read()
        return points.subset(torch.arange(self.count))


class TakesAnything(Held):
    """Takes what it cannot read."""

    @classmethod
    def hold(cls, given, options):
        return cls(count=6)


class StumblesOverOthers(Held):
    """Expects a tensor."""

    @classmethod
    def hold(cls, given, options):
        return cls(count=len(given))


class TellsNothing(Held):
    """Does not say what it was given."""

    @classmethod
    def hold(cls, given, options):
        return cls() if isinstance(given, torch.Tensor) else None


class TellsTheCount(Held):
    """Does not tell data from others of the same number."""

    @classmethod
    def hold(cls, given, options):
        return cls(count=len(given)) if isinstance(given, torch.Tensor) else None


class TellsTheObject(Held):
    """Tells the object from others, and not its content."""

    @classmethod
    def hold(cls, given, options):
        return cls(count=id(given)) if isinstance(given, torch.Tensor) else None


class HoldsHalf(Held):
    """Forgets the second half."""

    def read(self):
        return super().read().subset(torch.arange(self.count // 2))


DATASETS = [
    Kill(common.check_options, DatasetWithUnknownOptions, "keep extra='forbid'"),
    Kill(dataset.check_samples, Nothing, "must have samples"),
    Kill(dataset.check_samples, Unwrapped, "ganzoo.Samples, not Tensor"),
    Kill(dataset.check_samples, MissingFile, "raise a GanzooError; it raised FileNotFoundError"),
    Kill(dataset.check_samples, ImagesUndeclared, 'declare holds = "images"'),
    Kill(dataset.check_samples, OnePointMissing, "samples must be finite"),
    Kill(dataset.check_samples, Unscaled, "must lie in [-1, 1]"),
    Kill(dataset.check_samples, RawBatches, "a batch must be float32 of (1, 4, 4)"),
    Kill(dataset.check_labels, TooFewLabels, "one label per sample"),
    Kill(dataset.check_labels, OneHotLabels, "one label per sample"),
    Kill(dataset.check_labels, LabelsFromOne, "from 0 to classes - 1"),
    Kill(dataset.check_labels, NegativeLabels, "from 0 to classes - 1"),
    Kill(dataset.check_labels, FloatLabels, "labels must be whole numbers"),
    Kill(dataset.check_labels, LabelsWithoutClasses, "classes is None"),
    Kill(dataset.check_labels, ClassesWithoutLabels, "needs labels"),
    Kill(dataset.check_names, TooFewNames, "not 2 for 12 samples"),
    Kill(dataset.check_names, NumbersForNames, "give one string per sample"),
    Kill(dataset.check_reading_again, ShuffledLabels, "the same samples in the same order"),
    Kill(dataset.check_reading_again, Shuffled, "the same samples in the same order"),
    Kill(dataset.check_reading_again, DrawnPoints, "the same samples in the same order"),
    Kill(dataset.check_randomness, DrawnPoints, "read() must leave torch's global random state"),
    Kill(dataset.check_randomness, SeedsGlobally, "read() must leave torch's global random state"),
    Kill(dataset.check_default, DefaultOfUnknownOrigin, "needs_download() must return False"),
    Kill(dataset.check_default, lambda: DefaultWithoutPath(path="x"), "must need no options"),
    Kill(dataset.check_terms, LicenceInWords, "such as cc-by-4.0, or None, not 'CC BY 4.0'"),
    Kill(dataset.check_terms, ManyLicences, "such as cc-by-4.0, or None, not ('mit', 'bsd')"),
    Kill(dataset.check_terms, HomeOfNoScheme, "homepage must be an address"),
    Kill(dataset.check_terms, IdWithoutUser, "hub_id must be user/name"),
    Kill(dataset.check_hold, TakesAnything, "hold() must return None for what it does not take"),
    Kill(dataset.check_hold, StumblesOverOthers, "it raised TypeError"),
    Kill(dataset.check_hold, TellsNothing, "such as a fingerprint"),
    Kill(dataset.check_hold, TellsTheCount, "other data must be held under other options"),
    Kill(dataset.check_hold, TellsTheObject, "held under the same options"),
    Kill(dataset.check_hold, HoldsHalf, "must read all of it"),
]


# Evaluators -------------------------------------------------------------------------------------


class MeanDistance(Evaluator):
    """Distance between the mean features of fakes and reals."""

    higher_is_better = False
    features = "projection"

    def evaluate(self, fake, real):
        return [Score(self.distance(fake.features.pooled, real.features.pooled))]

    def distance(self, fake, real):
        return float((fake.mean(0) - real.mean(0)).norm())


class SeenClasses(Evaluator):
    """Number and share of the classes that the fakes are taken for."""

    higher_is_better = True
    features = "projection"
    needs_logits = True

    def evaluate(self, fake, real):
        seen = len(fake.features.logits.argmax(1).unique())
        every = fake.features.logits.shape[1]
        return [Score(seen, name="classes"), Score(seen / every, name="share")]


class AskedClasses(Evaluator):
    """Share of the fakes that are of their class."""

    higher_is_better = True
    needs_logits = True

    def extractor(self, data):
        return data.features

    def fits(self, data):
        return data.classes is not None and data.features is not None

    def evaluate(self, fake, real):
        right = fake.features.logits.argmax(1) == fake.samples.labels
        return [Score(float(right.float().mean()))]


class AskedClassesTheWrongWay(AskedClasses):
    """Says that the share of fakes of their class is to be low."""

    higher_is_better = False


class LooksAtNoSample(AskedClasses):
    """Takes the classes that were asked for, for those that were made."""

    def evaluate(self, fake, real):
        return [Score(len(fake.samples.labels.unique()) / fake.samples.spec.classes)]


class CoveredModes(Evaluator):
    """Modes that points come near."""

    higher_is_better = True

    def fits(self, data):
        return data.modes is not None

    def evaluate(self, fake, real):
        spec = real.samples.spec
        distances = torch.cdist(fake.samples.stored, torch.tensor(spec.modes))
        return [Score(int((distances < 3 * spec.mode_std).any(0).sum()))]


class LabelsAgreed(Evaluator):
    """Share of the fakes that the data's own classifier takes for what they were asked to be."""

    higher_is_better = True

    def extractor(self, data):
        return data.features

    def fits(self, data):
        return bool(data.classes and data.features)

    def evaluate(self, fake, real):
        agreed = fake.features.logits.argmax(1) == fake.samples.labels
        return [Score(self.share(agreed.double().mean().item()))]

    def share(self, agreed):
        return agreed


class AnyKind(Evaluator):
    """Judges images by their features, and points as they are."""

    higher_is_better = False

    def extractor(self, data):
        return "projection" if data.is_image else None

    def fits(self, data):
        return data.is_image or data.modes is not None

    def evaluate(self, fake, real):
        if real.samples.spec.is_image:
            return MeanDistance().evaluate(fake, real)
        means = (samples.samples.stored.mean(0) for samples in (fake, real))
        return [Score(float(torch.dist(*means)))]


class ShareAndDistance(Evaluator):
    """Two scores that differ in their direction."""

    higher_is_better = True
    features = "projection"
    needs_logits = True

    def evaluate(self, fake, real):
        (distance,) = MeanDistance().evaluate(fake, real)
        _, share = SeenClasses().evaluate(fake, real)
        return [share, Score(distance.value, name="distance", higher_is_better=self.direction())]

    def direction(self):
        return False


class FarFromCopies(Evaluator):
    """Mean distance of fakes to their nearest reals: none at all for copies."""

    higher_is_better = True
    copies_score_best = False
    features = "projection"
    on_request = True

    def evaluate(self, fake, real):
        away = torch.cdist(fake.features.pooled.double(), real.features.pooled.double())
        return [Score(away.min(1).values.mean().item())]


class EvaluatorWithUnknownOptions(MeanDistance):
    """Takes options that it does not have."""

    model_config = ConfigDict(extra="ignore")


class BareNumber(MeanDistance):
    """Gives a number where scores are asked for."""

    def evaluate(self, fake, real):
        return super().evaluate(fake, real)[0].value


class ListOfNumbers(MeanDistance):
    """Gives numbers where scores are asked for."""

    def evaluate(self, fake, real):
        return [score.value for score in super().evaluate(fake, real)]


class NoScores(MeanDistance):
    """Gives no score."""

    def evaluate(self, fake, real):
        return []


class NotANumber(MeanDistance):
    """Divides zero by zero."""

    def distance(self, fake, real):
        return float("nan")


class TwoWithoutNames(MeanDistance):
    """Gives two scores that nobody can tell apart."""

    def evaluate(self, fake, real):
        return 2 * super().evaluate(fake, real)


class OtherNames(SeenClasses):
    """Declares one of its two scores."""

    score_names = ("classes",)


class UndeclaredFeatures(MeanDistance):
    """Looks through an extractor that it does not name."""

    features = None


class UndeclaredLogits(SeenClasses):
    """Looks at logits that it does not ask for."""

    needs_logits = False


class FitsNothing(MeanDistance):
    """Can judge neither images nor points."""

    def fits(self, data):
        return False


class FirstFewOnly(MeanDistance):
    """Judges the first samples alone."""

    def distance(self, fake, real):
        return super().distance(fake[:50], real[:50])


class PairByPair(MeanDistance):
    """Compares each fake with the real that stands at its place."""

    def distance(self, fake, real):
        return float((fake - real).norm(dim=1).mean())


class WrongWay(MeanDistance):
    """Calls a distance better the larger it is."""

    higher_is_better = True


class ClassesTheWrongWay(SeenClasses):
    """Calls fewer classes better."""

    higher_is_better = False


class DisagreementCalledBetter(LabelsAgreed):
    """Scores high where labels do not agree."""

    def share(self, agreed):
        return 1 - agreed


class PointsTheWrongWay(AnyKind):
    """Is right about images alone."""

    def evaluate(self, fake, real):
        (score,) = super().evaluate(fake, real)
        return [score if real.samples.spec.is_image else Score(-score.value)]


class OneScoreTheWrongWay(ShareAndDistance):
    """Leaves a score in the direction of the other."""

    def direction(self):
        return None


class CopiesUndeclared(FarFromCopies):
    """Does not say that copies are what it looks for."""

    copies_score_best = True


class RewardsCopies(FarFromCopies):
    """Says that copies score worst, and scores what is far from every real alone worse."""

    def evaluate(self, fake, real):
        (score,) = super().evaluate(fake, real)
        return [Score(1 / (1e-3 + score.value) if score.value < 1 else 1e6)]


class PunishesCopies(MeanDistance):
    """Counts fakes that are reals: another question than how near the two sets are."""

    def distance(self, fake, real):
        copies = (torch.cdist(fake, real) < 1e-6).any(1).float().mean()
        return super().distance(fake, real) + float(copies)


class UndeclaredDirection(Evaluator):
    """Does not say which direction is better."""

    features = "projection"

    def evaluate(self, fake, real):
        return MeanDistance().evaluate(fake, real)


class NamedBySamples(SeenClasses):
    """Gives a score for each class that it meets."""

    def evaluate(self, fake, real):
        met = fake.features.logits.argmax(1).tolist()
        return [Score(met.count(label), name=f"class-{label}") for label in sorted(set(met))]


class DrawsGlobally(MeanDistance):
    """Judges a random half, drawn from torch's global generator."""

    def distance(self, fake, real):
        return super().distance(fake[torch.randperm(len(fake))[: len(fake) // 2]], real)


class EvaluatorSeedsGlobally(DrawsGlobally):
    """Judges the same half each time, by seeding the whole process."""

    def distance(self, fake, real):
        torch.manual_seed(0)
        return super().distance(fake, real)


class AnotherHalfEachTime(MeanDistance):
    """Judges a random half, drawn by a generator that nothing seeds."""

    rng: ClassVar[torch.Generator] = torch.Generator()

    def distance(self, fake, real):
        half = torch.randperm(len(fake), generator=self.rng)[: len(fake) // 2]
        return super().distance(fake[half], real)


class CentresInPlace(MeanDistance):
    """Moves the features that other metrics look at, too."""

    def distance(self, fake, real):
        return float(fake.sub_(real.mean(0)).mean(0).norm())


class ClampsInPlace(MeanDistance):
    """Changes the samples that other metrics look at, too."""

    def evaluate(self, fake, real):
        scores = super().evaluate(fake, real)
        fake.samples.stored.clamp_(10, 245)
        return scores


EVALUATORS = [
    Kill(common.check_options, EvaluatorWithUnknownOptions, "keep extra='forbid'"),
    Kill(evaluator.check_scores, BareNumber, "a list of ganzoo.Score"),
    Kill(evaluator.check_scores, ListOfNumbers, "a list of ganzoo.Score"),
    Kill(evaluator.check_scores, NoScores, "a list of ganzoo.Score"),
    Kill(evaluator.check_scores, NotANumber, "a score must be finite, not nan"),
    Kill(evaluator.check_scores, TwoWithoutNames, "several scores need different names"),
    Kill(evaluator.check_scores, OtherNames, "are called classes, share"),
    Kill(evaluator.check_scores, UndeclaredFeatures, "must name their extractor"),
    Kill(evaluator.check_scores, UndeclaredLogits, "needs_logits = True only; it raised"),
    Kill(evaluator.check_scores, FitsNothing, "must accept images, images with classes"),
    Kill(evaluator.check_order, FirstFewOnly, "must not depend on the order"),
    Kill(evaluator.check_order, PairByPair, "must not depend on the order"),
    Kill(evaluator.check_direction, WrongWay, "is higher_is_better the right way around?"),
    Kill(evaluator.check_direction, ClassesTheWrongWay, "the right way around?"),
    Kill(evaluator.check_direction, AskedClassesTheWrongWay, "the right way around?"),
    Kill(evaluator.check_direction, LooksAtNoSample, "the right way around?"),
    Kill(evaluator.check_direction, DisagreementCalledBetter, "the right way around?"),
    Kill(evaluator.check_direction, PointsTheWrongWay, "the right way around?"),
    Kill(evaluator.check_direction, OneScoreTheWrongWay, "the right way around?"),
    Kill(evaluator.check_direction, CopiesUndeclared, "the right way around?"),
    Kill(evaluator.check_direction, UndeclaredDirection, "must declare higher_is_better"),
    Kill(evaluator.check_direction, NamedBySamples, "scores of the same names"),
    Kill(evaluator.check_identical, PunishesCopies, "copies must score best"),
    Kill(evaluator.check_identical, RewardsCopies, "copies must score worst"),
    Kill(evaluator.check_randomness, DrawsGlobally, "evaluate() must leave torch's global"),
    Kill(evaluator.check_randomness, EvaluatorSeedsGlobally, "evaluate() must leave torch's"),
    Kill(evaluator.check_randomness, AnotherHalfEachTime, "must score the same each time"),
    Kill(evaluator.check_side_effects, CentresInPlace, "must not change samples or features"),
    Kill(evaluator.check_side_effects, ClampsInPlace, "must not change samples or features"),
]


# Feature extractors -----------------------------------------------------------------------------


class Means:
    """Mean levels of an image's quarters; its brightest and its darkest are its class logits."""

    image_channels = 1

    def loaded(self):
        return LoadedExtractor(self.extract, self.image_channels, weights_sha256="0" * 64)

    def extract(self, images):
        pooled = self.pooled(F.adaptive_avg_pool2d(images.float() / 255, 2).flatten(1))
        return Features(pooled, self.logits(pooled))

    def pooled(self, means):
        return means

    def logits(self, pooled):
        return torch.stack([pooled.amax(1), -pooled.amin(1)], dim=1)


class MeansOfColours(Means):
    """Takes images of three channels, and is no classifier."""

    image_channels = 3

    def logits(self, pooled):
        return None


class BareFeatures(Means):
    """Gives a tensor where features are asked for."""

    def extract(self, images):
        return super().extract(images).pooled


class UnpooledFeatures(MeansOfColours):
    """Gives features that are still maps."""

    def pooled(self, means):
        return means[:, :, None, None]


class FeaturesOfTheBatch(MeansOfColours):
    """Gives one row for all images."""

    def pooled(self, means):
        return means.mean(0, keepdim=True)


class OneLogit(Means):
    """Gives logits ``(N,)``."""

    def logits(self, pooled):
        return pooled.amax(1)


class DoubleFeatures(Means):
    """Gives features in 64 bits."""

    def pooled(self, means):
        return means.double()


class FeaturesElsewhere(MeansOfColours):
    """Leaves the features on the device."""

    def pooled(self, means):
        return means.to("meta")


class InfiniteFeatures(MeansOfColours):
    """Takes the logarithm of zero."""

    def pooled(self, means):
        return (means - means).log()


class LogitsNotANumber(Means):
    """Takes the logarithm of a negative number."""

    def logits(self, pooled):
        return (super().logits(pooled) - 9).log()


class InvertsInPlace(Means):
    """Changes the images that others look at, too."""

    def extract(self, images):
        return super().extract(images.sub_(255))


class OneSizeOnly(MeansOfColours):
    """Does not resize, and knows one size."""

    def extract(self, images):
        return Features(images.float().reshape(-1, 3 * 28 * 28))


class WrongChannels(Means):
    """Says that it takes three channels, and convolves one."""

    image_channels = 3

    def extract(self, images):
        return super().extract(F.conv2d(images.float(), torch.ones(1, 1, 3, 3)))


class NormalisedByBatch(Means):
    """Leaves batch normalisation in training mode."""

    def pooled(self, means):
        return F.batch_norm(means, None, None, training=True) if len(means) > 1 else means


class SqueezedFeatures(MeansOfColours):
    """Loses the batch's dimension where it holds one image."""

    def pooled(self, means):
        return means[:, :, None, None].squeeze()


class DropsFeatures(Means):
    """Leaves dropout in training mode."""

    def pooled(self, means):
        return F.dropout(means)


class NoisyFeatures(Means):
    """Adds noise of its own."""

    rng = torch.Generator()

    def pooled(self, means):
        return means + torch.randn(means.shape, generator=self.rng)


def loaded(extractor):
    """Make the named extractor what the checks take."""

    def build():
        return extractor().loaded()

    build.__name__ = extractor.__name__
    return build


FEATURE_EXTRACTORS = [
    Kill(evaluator.check_features, loaded(BareFeatures), "ganzoo.Features, not Tensor"),
    Kill(evaluator.check_features, loaded(UnpooledFeatures), "not (3, 12, 1, 1)"),
    Kill(evaluator.check_features, loaded(FeaturesOfTheBatch), "image, not (1, 12)"),
    Kill(evaluator.check_features, loaded(OneLogit), "logits of 3 images must be (N, d)"),
    Kill(evaluator.check_features, loaded(DoubleFeatures), "float32 on the CPU, not torch.float64"),
    Kill(evaluator.check_features, loaded(FeaturesElsewhere), "float32 on meta"),
    Kill(evaluator.check_features, loaded(InfiniteFeatures), "features must be finite"),
    Kill(evaluator.check_features, loaded(LogitsNotANumber), "logits must be finite"),
    Kill(evaluator.check_features, loaded(InvertsInPlace), "must not change its images"),
    Kill(evaluator.check_features, loaded(OneSizeOnly), "images of any size"),
    Kill(
        evaluator.check_features, loaded(WrongChannels), "with image_channels channels; it raised"
    ),
    Kill(evaluator.check_features_by_sample, loaded(NormalisedByBatch), "evaluation mode"),
    Kill(evaluator.check_features_by_sample, loaded(SqueezedFeatures), "not (12,); squeeze()"),
    Kill(evaluator.check_features_by_sample, loaded(DropsFeatures), "extract() must leave torch's"),
    Kill(evaluator.check_features_by_sample, loaded(NoisyFeatures), "evaluation mode"),
]


# Trackers ---------------------------------------------------------------------------------------


class Notes(Tracker):
    """Writes a line for whatever comes into a file in the run's folder."""

    file: str = Field(default="notes.txt", description="Name of the file.")

    def start(self, folder, config, step):
        self.note(folder, f"from step {step}")
        return self.Run(self, folder)

    def note(self, folder, words):
        with (folder / self.file).open("a") as file:
            file.write(f"{words}\n")

    class Run(TrackedRun):
        """The file of a run."""

        def __init__(self, tracker, folder):
            self.tracker = tracker
            self.folder = folder

        def metrics(self, row):
            self.tracker.note(self.folder, f"{row['step']}: {len(row)} numbers")

        def picture(self, step, picture):
            self.tracker.note(self.folder, f"{step}: {tuple(picture.shape)}")

        def close(self):
            self.tracker.note(self.folder, "the end")


class Onlooker(Tracker):
    """Looks on."""

    def start(self, folder, config, step):
        return self.Run()

    class Run(TrackedRun):
        """Nothing at all."""


class TrackerWithUnknownOptions(Notes):
    """Takes options that it does not have."""

    model_config = ConfigDict(extra="ignore")


class StartsNothing(Notes):
    """Does not return what receives a run."""

    def start(self, folder, config, step):
        super().start(folder, config, step)


class WantsPillow(Notes):
    """Takes every picture for one in colour."""

    class Run(Notes.Run):
        """Knows three channels."""

        def picture(self, step, picture):
            red, green, blue = picture
            super().picture(step, torch.stack([blue, green, red]))


class WantsALoss(Notes):
    """Wants a number that not every run has."""

    class Run(Notes.Run):
        """Knows one loss."""

        def metrics(self, row):
            super().metrics({"step": row["step"], "loss": row["discriminator/wasserstein"]})


class ClosesTwice(Notes):
    """Ends what never began."""

    class Run(Notes.Run):
        """Expects a line before the end."""

        latest = None

        def metrics(self, row):
            self.latest = row
            super().metrics(row)

        def close(self):
            self.tracker.note(self.folder, f"the end at {self.latest['step']}")


class OnceOnly(Notes):
    """Refuses a file that is there."""

    def start(self, folder, config, step):
        (folder / "once.txt").touch(exist_ok=False)
        return super().start(folder, config, step)


class WritesWhereItIsRun(Notes):
    """Writes in the working directory."""

    def note(self, folder, words):
        super().note(Path(), words)


class WritesBesideTheRun(Notes):
    """Writes beside the run's folder."""

    def note(self, folder, words):
        super().note(folder.parent, words)


class WritesMetricsToo(Notes):
    """Writes into the run's own file."""

    file: str = Field(default="metrics.jsonl", description="Name of the file.")


class PopsTheStep(Notes):
    """Takes the step out of each line."""

    class Run(Notes.Run):
        """Changes lines."""

        def metrics(self, row):
            super().metrics({"step": row.pop("step"), **row})


class RedactsTheConfig(Notes):
    """Takes the fingerprint out of the configuration."""

    def start(self, folder, config, step):
        del config["data_fingerprint"]
        return super().start(folder, config, step)


class InvertsPictures(Notes):
    """Changes pictures in place."""

    class Run(Notes.Run):
        """Inverts."""

        def picture(self, step, picture):
            super().picture(step, picture.bitwise_not_())


class NamesByChance(Notes):
    """Draws a name from torch's global generator."""

    def start(self, folder, config, step):
        self.note(folder, f"run {torch.randint(10**6, ()).item()}")
        return super().start(folder, config, step)


class Judging(Onlooker):
    """Keeps what the discriminator thinks of its samples."""

    class Run(Onlooker.Run):
        """Computes in evaluation mode, and leaves no trace."""

        def discriminator(self, step, discriminator, fake, real):
            with evaluation_mode(discriminator), torch.inference_mode():
                for samples in (fake, real):
                    self.judge(discriminator, samples.batch(torch.arange(len(samples))))

        def judge(self, discriminator, given):
            assert discriminator(given).shape == (5,)


class WarnedByNumbers(Notes):
    """Takes a warning for a number."""

    class Run(Notes.Run):
        """Knows no words."""

        def warning(self, step, message):
            self.tracker.note(self.folder, float(message))


class MovesStatistics(Judging):
    """Judges as in training."""

    class Run(Judging.Run):
        """Moves the running statistics."""

        def judge(self, discriminator, given):
            discriminator.train()(given)


class StaysInEvaluation(Judging):
    """Does not go back to training."""

    class Run(Judging.Run):
        """Leaves the network in evaluation mode."""

        def discriminator(self, step, discriminator, fake, real):
            discriminator.eval()


class LeavesGradients(Judging):
    """Finds a slope."""

    class Run(Judging.Run):
        """Leaves it at the parameters."""

        def discriminator(self, step, discriminator, fake, real):
            with evaluation_mode(discriminator):
                discriminator(fake.batch(torch.arange(2))).sum().backward()


class DarkensReals(Judging):
    """Changes the training data."""

    class Run(Judging.Run):
        """In place."""

        def discriminator(self, step, discriminator, fake, real):
            real.stored.zero_()


class LooksInto(Onlooker):
    """Looks into the networks."""

    class Run(Onlooker.Run):
        """Leaves no trace."""

        def networks(self, step, networks, fake, real):
            drawn = networks.trained(networks.inputs)
            assert torch.equal(drawn, networks.average(networks.inputs))
            given = fake.batch(torch.arange(len(fake))).requires_grad_()
            total = torch.stack(list(networks.generator_loss(given, given).values())).sum()
            assert torch.autograd.grad(total, given)[0].shape == given.shape
            assert [part.size for part in networks.latent_parts] == [2]


class SlopesOfWeights(LooksInto):
    """Finds a slope of the loss."""

    class Run(LooksInto.Run):
        """Leaves it at the parameters."""

        def networks(self, step, networks, fake, real):
            given = fake.batch(torch.arange(len(fake)))
            networks.generator_loss(given, given)["mean"].backward()


class WantsImages(Judging):
    """Takes all samples for images."""

    class Run(Judging.Run):
        """Knows no points."""

        def judge(self, discriminator, given):
            discriminator(given.mean(dim=(2, 3), keepdim=True).expand_as(given))


TRACKERS = [
    Kill(common.check_options, TrackerWithUnknownOptions, "keep extra='forbid'"),
    Kill(tracker.check_run, StartsNothing, "a ganzoo.TrackedRun, not NoneType"),
    Kill(tracker.check_run, WantsPillow, "of 1, 3 or 4 channels, here 1; it raised ValueError"),
    Kill(tracker.check_run, WantsALoss, "every line of metrics and every sample picture"),
    Kill(tracker.check_run, ClosesTwice, "must also end a run that had no metrics yet"),
    Kill(
        tracker.check_run, WarnedByNumbers, "a step and the text of a warning; it raised ValueError"
    ),
    Kill(tracker.check_resume, OnceOnly, "continue with a run that it followed before"),
    Kill(tracker.check_files, WritesWhereItIsRun, "it wrote elsewhere/notes.txt elsewhere"),
    Kill(tracker.check_files, WritesBesideTheRun, "it wrote runs/notes.txt elsewhere"),
    Kill(tracker.check_files, WritesMetricsToo, "it changed metrics.jsonl"),
    Kill(tracker.check_side_effects, PopsTheStep, "must not change the rows"),
    Kill(tracker.check_side_effects, RedactsTheConfig, "and the configuration"),
    Kill(tracker.check_side_effects, InvertsPictures, "must not change a picture in place"),
    Kill(tracker.check_side_effects, NamesByChance, "a tracker must leave torch's global"),
    Kill(tracker.check_discriminator, MovesStatistics, "its running statistics"),
    Kill(tracker.check_discriminator, LeavesGradients, "without gradients"),
    Kill(tracker.check_discriminator, DarkensReals, "or the samples: call"),
    Kill(tracker.check_discriminator, StaysInEvaluation, "in training mode"),
    Kill(tracker.check_discriminator, SlopesOfWeights, "without gradients"),
    Kill(
        tracker.check_discriminator,
        WantsImages,
        "must accept the discriminator of points; it raised",
    ),
]


# Augmentations ----------------------------------------------------------------------------------


def each(samples):
    """The shape of one draw for each sample."""
    return len(samples), *[1] * (samples.dim() - 1)


def drawn(samples):
    """Draw from 0 to 1 for each sample."""
    return torch.rand(each(samples), device=samples.device)


class Flip(Augmentation):
    """Some of the images, mirrored."""

    share: float = Field(default=0.5, ge=0, le=1, description="How many.")

    def augment(self, samples):
        return torch.where(drawn(samples) < self.share, samples.flip(-1), samples)


class Noise(Flip):
    """Noise on anything."""

    def augment(self, samples):
        return samples + self.share * torch.randn_like(samples)

    def fits(self, data):
        return True


class OnlyColour(Flip):
    """Changes colours, and no grey image."""

    def augment(self, samples):
        mean = samples.mean(1, keepdim=True)
        return mean + drawn(samples) * (samples - mean)


class OnlyLarge(Flip):
    """Serves images of some size."""

    def augment(self, samples):
        assert samples.shape[2] > 30
        return super().augment(samples)

    def fits(self, data):
        return data.is_image and data.shape[1] > 30


class Adapts(AdaptiveAugmentation):
    """Mirrors as often as the discriminator is sure (Karras et al. 2020)."""

    def state(self, data):
        return buffers(p=0.0)

    def augment(self, samples, state):
        return torch.where(drawn(samples) < state.p / 2, samples.flip(-1), samples)

    def observe(self, state, logits, progress):
        state.p.add_((logits.sign().mean() - 0.6).sign() * len(logits) / 500_000).clamp_(0, 1)


class AdaptsByWaiting(Adapts):
    """Asks the device for a number."""

    def observe(self, state, logits, progress):
        step = len(logits) / 500_000
        state.p.add_(step if logits.mean().item() > 0 else -step).clamp_(0, 1)


class AdaptsNothing(Adapts):
    """Has a probability that stays."""

    def state(self, data):
        return buffers(p=0.5)

    def observe(self, state, logits, progress):
        pass


class AdaptsItself(Adapts):
    """Counts how often it augments."""

    def augment(self, samples, state):
        if samples.device.type != "meta":
            state.p.add_(0.001)
        return super().augment(samples, state)


class AdaptsElsewhere(Adapts):
    """Keeps its mean in an attribute, which no checkpoint holds."""

    def observe(self, state, logits, progress):
        state.hidden = getattr(state, "hidden", 0.0) + logits.sign().mean() / 100
        state.p.copy_(state.hidden.clamp(0, 1))


class AdaptsToTheEnd(Adapts):
    """Looks at the length of the run."""

    def observe(self, state, logits, progress):
        state.p.fill_(progress.share)


class ReportsItself(Adapts):
    """Reports its probability."""

    def report(self, state):
        return {"probability": state.p}


class ReportsNumbers(Adapts):
    """Reports a number that it has waited for."""

    def report(self, state):
        return {"probability": float(state.p)}


class ReportsTooEarly(Adapts):
    """Divides by what it has not yet counted."""

    def report(self, state):
        return {"share": 0 / state.p}


class ReportsLater(Adapts):
    """Keeps a name back until there is something to tell."""

    def report(self, state):
        return {"probability": state.p} if state.p else {}


class ReportsAndResets(Adapts):
    """Begins afresh with each report."""

    def report(self, state):
        return {"probability": state.p.zero_()}


class AdaptsByLearning(Adapts):
    """Has a parameter that nothing trains."""

    def state(self, data):
        state = nn.Module()
        state.p = nn.Parameter(torch.zeros(()))
        return state


class AdaptsNoModule(Adapts):
    """Remembers in a dict."""

    def state(self, data):
        return {"p": torch.zeros(())}


class AugmentationWithUnknownOptions(Flip):
    """Takes options that it does not have."""

    model_config = ConfigDict(extra="ignore")


class FitsNothing(Flip):
    """Serves huge images."""

    def fits(self, data):
        return data.is_image and data.shape[1] > 1000


class FitsPerhaps(Flip):
    """Answers by the height."""

    def fits(self, data):
        return data.is_image and data.shape[1]


class FitsByHeight(Flip):
    """Knows images alone."""

    def fits(self, data):
        return data.shape[2] > 1


class ThreeChannels(Flip):
    """Takes every image for one in colour."""

    def augment(self, samples):
        red, green, blue = samples.unbind(1)
        return super().augment(torch.stack([red, green, blue], 1))


class Square(Flip):
    """Turns images by a quarter, which makes others of those that are not square."""

    def augment(self, samples):
        return samples.transpose(2, 3) * drawn(samples)


class Squeezes(Flip):
    """Loses the dimension of the batch when it is one."""

    def augment(self, samples):
        return super().augment(samples).squeeze(0)


class Doubles(Flip):
    """Computes in double precision."""

    def augment(self, samples):
        return super().augment(samples.double())


class Views(Flip):
    """Knows one memory layout."""

    def augment(self, samples):
        flat = samples.view(len(samples), -1)
        return flat.flip(1).view(samples.shape) * drawn(samples)


class Gamma(Flip):
    """Takes a root of what may be negative."""

    def augment(self, samples):
        return ((samples + 1) / 2) ** (0.5 + drawn(samples)) * 2 - 1


class GivesArrays(Flip):
    """Leaves torch."""

    def augment(self, samples):
        return super().augment(samples.detach()).numpy()


class Detaches(Flip):
    """Ends the gradient."""

    def augment(self, samples):
        return super().augment(samples.detach())


class Rounds(Flip):
    """Has a gradient that is nothing."""

    def augment(self, samples):
        return super().augment((127.5 * samples).round() / 127.5)


class Roots(Flip):
    """Has a gradient that is infinite at its draws."""

    def augment(self, samples):
        return samples * drawn(samples) + (samples - samples.detach()).abs().sqrt()


class Halved(torch.autograd.Function):
    """A function whose gradient is cut off."""

    @staticmethod
    def forward(ctx, samples, factor):
        ctx.save_for_backward(factor)
        return samples * factor

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, slope):
        (factor,) = ctx.saved_tensors
        return slope * factor, None


class OnceDifferentiable(Flip):
    """Has a gradient of its own."""

    def augment(self, samples):
        return Halved.apply(samples, drawn(samples))


class CutOff(Flip):
    """Has a gradient that is a constant."""

    def augment(self, samples):
        found = samples * drawn(samples)
        if found.requires_grad:
            found.register_hook(lambda slope: slope.detach())
        return found


class MixesPairs(Flip):
    """Mixes each sample with the next."""

    def augment(self, samples):
        return torch.lerp(samples, samples.roll(1, 0), 0.5 * drawn(samples))


class DrawsOnce(Flip):
    """Draws once for the batch."""

    def augment(self, samples):
        return samples * torch.rand((), device=samples.device)


class Blurs(Flip):
    """Draws nothing."""

    def augment(self, samples):
        return (samples + samples.flip(-1)) / 2


class NoneOfThem(Flip):
    """Changes nothing."""

    share: float = Field(default=0.0, description="How many.")


class OwnGenerator(Flip):
    """Draws the same each time."""

    def augment(self, samples):
        rng = torch.Generator(samples.device).manual_seed(0)
        return samples * torch.rand(each(samples), generator=rng, device=samples.device)


class DrawsByNumpy(Flip):
    """Draws by a generator that nobody seeds."""

    def augment(self, samples):
        factors = torch.tensor(np.random.default_rng().random(each(samples)), dtype=samples.dtype)
        return samples * factors.to(samples.device)


class InPlace(Flip):
    """Changes what it is given."""

    def augment(self, samples):
        with torch.no_grad():
            samples.mul_(drawn(samples))
        return samples * 1


class DrawsOnTheCpu(Flip):
    """Draws elsewhere."""

    def augment(self, samples):
        return samples * torch.rand(each(samples))


class ReadsBack(Flip):
    """Asks the device how often."""

    def augment(self, samples):
        furthest = int((4 * torch.rand((), device=samples.device)).item())
        return samples.roll(furthest, -1) * drawn(samples)


class Selects(Flip):
    """Selects by a mask."""

    def augment(self, samples):
        chosen = torch.rand(len(samples), device=samples.device) < self.share
        found = samples.clone()
        found[chosen] = samples[chosen].flip(-1)
        return found


class GoesToTheCpu(Flip):
    """Gives samples on another device."""

    def augment(self, samples):
        return torch.zeros(samples.shape) + samples if samples.is_cpu else torch.zeros(2)


class Rises(Flip):
    """Rises with the calls."""

    calls: ClassVar[list] = []

    def augment(self, samples):
        # Each check has its own count of samples, and training is the one that has two.
        if len(samples) == 2:
            self.calls.append(0)
        return samples * drawn(samples) ** (1 + len(self.calls))


AUGMENTATIONS = [
    Kill(common.check_options, AugmentationWithUnknownOptions, "keep extra='forbid'"),
    Kill(augmentation.check_memory, AdaptsByWaiting, "observe() must not wait for the device"),
    Kill(augmentation.check_memory, AdaptsNothing, "observe() must change the buffers"),
    Kill(augmentation.check_memory, AdaptsItself, "augment() must not change what is remembered"),
    Kill(augmentation.check_memory, AdaptsElsewhere, "go on as it would have without"),
    Kill(augmentation.check_memory, AdaptsToTheEnd, "must not read progress.steps or share"),
    Kill(augmentation.check_memory, AdaptsByLearning, "must have no parameters"),
    Kill(augmentation.check_memory, AdaptsNoModule, "a torch.nn.Module, not dict"),
    Kill(augmentation.check_report, ReportsNumbers, "'probability' is 0.0"),
    Kill(augmentation.check_report, ReportsTooEarly, "before the first update; 'share' is"),
    Kill(augmentation.check_report, ReportsLater, "[] became ['probability']"),
    Kill(augmentation.check_report, ReportsAndResets, "must not change what is remembered"),
    Kill(augmentation.check_fits, FitsNothing, "fits() must accept some samples"),
    Kill(
        augmentation.check_fits,
        FitsPerhaps,
        "True or False for any kind of samples, and it gave 12",
    ),
    Kill(augmentation.check_fits, FitsByHeight, "it raised IndexError"),
    Kill(augmentation.check_samples, ThreeChannels, "(8, 1, 12, 20), which fits() accepts"),
    Kill(augmentation.check_samples, Square, "but it returned (8, 1, 20, 12)"),
    Kill(
        augmentation.check_samples, Squeezes, "(1, 1, 12, 20) of torch.float32, but it returned (1,"
    ),
    Kill(augmentation.check_samples, Doubles, "of torch.float64"),
    Kill(augmentation.check_samples, Views, "(8, 3, 12, 20), which fits() accepts; it raised"),
    Kill(augmentation.check_samples, Gamma, "must be finite, also for numbers beyond [-1, 1]"),
    Kill(augmentation.check_samples, GivesArrays, "must return a tensor, not ndarray"),
    Kill(augmentation.check_gradients, Detaches, "but the gradient ends in it"),
    Kill(augmentation.check_gradients, Rounds, "is zero or not finite"),
    Kill(augmentation.check_gradients, Roots, "is zero or not finite"),
    Kill(augmentation.check_gradients, OnceDifferentiable, "must be differentiable twice"),
    Kill(augmentation.check_gradients, CutOff, "its gradient is cut off"),
    Kill(augmentation.check_each_sample, MixesPairs, "must not depend on the others"),
    Kill(augmentation.check_each_sample, DrawsOnce, "32 equal ones stayed equal"),
    Kill(augmentation.check_each_sample, Blurs, "32 equal ones stayed equal"),
    Kill(augmentation.check_each_sample, NoneOfThem, "this one changes none"),
    Kill(augmentation.check_seeding, OwnGenerator, "another seed must give other changes"),
    Kill(augmentation.check_seeding, DrawsByNumpy, "the same seed must give the same changes"),
    Kill(augmentation.check_side_effects, InPlace, "must not change its samples in place"),
    Kill(augmentation.check_device, DrawsOnTheCpu, "draw on samples.device"),
    Kill(augmentation.check_device, ReadsBack, "instead of item()"),
    Kill(augmentation.check_device, Selects, "and a mask as an index"),
    Kill(augmentation.check_device, GoesToTheCpu, "it gave (2,) on cpu"),
    Kill(augmentation.check_steps, Rises, "the same seed must give the same steps"),
]


# Converters -------------------------------------------------------------------------------------


class OnePlane(Converter):
    """A file with one plane."""

    program = "the planes, https://example.org"
    licence = "mit"
    may_pass_on = True

    def recognises(self, weights):
        return weights.names == ["plane"]

    def convert(self, weights):
        raise InputError("no architecture here is built so")


class ConverterWithUnknownOptions(OnePlane):
    """Takes options that it does not have."""

    model_config = ConfigDict(extra="ignore")


class OfNoProgram(OnePlane):
    """Does not say whose files it reads."""

    program = ""


class WithoutALicence(OnePlane):
    """Allows what no licence allows."""

    licence = None


class LicenceOfNumbers(OnePlane):
    """Has a licence that is no text."""

    licence = 3


class PerhapsPassedOn(OnePlane):
    """Is not sure in a word of its own."""

    may_pass_on = "perhaps"


class RecognisesAll(OnePlane):
    """Takes every file for its own."""

    def recognises(self, weights):
        return True


class LooksForAName(OnePlane):
    """Fails on files without its tensor."""

    def recognises(self, weights):
        return weights.shape("plane") == (1,)


class TakesAlready(OnePlane):
    """Takes tensors while it only looks."""

    def recognises(self, weights):
        weights.ignore("*")
        return False


CONVERTERS = [
    Kill(common.check_options, ConverterWithUnknownOptions, "keep extra='forbid'"),
    Kill(converter.check_licence, OfNoProgram, "program must be the name of the program"),
    Kill(converter.check_licence, LicenceOfNumbers, "licence must be an identifier"),
    Kill(converter.check_licence, PerhapsPassedOn, "must be True, False or None, not 'perhaps'"),
    Kill(converter.check_licence, WithoutALicence, "without a licence that allows it"),
    Kill(converter.check_recognition, RecognisesAll, "must return False for a file with []"),
    Kill(converter.check_recognition, LooksForAName, "must return False for files of other"),
    Kill(converter.check_recognition, TakesAlready, "must take and ignore nothing"),
]


class DCGANWithoutLastBias(PyTorchDCGAN):
    """Forgets what its architecture needs."""

    def convert(self, weights):
        found = super().convert(weights)
        return replace(found, generator=dict(list(found.generator.items())[:-1]))


class DCGANThatLeavesSome(PyTorchDCGAN):
    """Leaves tensors over."""

    def convert(self, weights):
        return super().convert(ForeignWeights(weights.tensors))


class DCGANUnrecognised(PyTorchDCGAN):
    """Does not know its own files."""

    def recognises(self, weights):
        return False


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (PyTorchDCGAN, None),
        (DCGANWithoutLastBias, "every weight of the generator must have its place"),
        (DCGANThatLeavesSome, "must take or ignore every tensor, and left"),
        (DCGANUnrecognised, "must return True for its own file"),
    ],
)
def test_a_file_of_its_form_is_converted(kind, message):
    state = {f"main.{3 * i}.weight": torch.ones(*pair, 4, 4) for i, pair in enumerate(WIDTHS)}
    for i, (_, width) in enumerate(WIDTHS[:-1]):
        each = {"weight": torch.ones(width), "running_var": torch.ones(width)}
        each |= {"bias": torch.zeros(width), "running_mean": torch.zeros(width)}
        state |= {f"main.{3 * i + 1}.{name}": tensor for name, tensor in each.items()}
    refused = pytest.raises(ConformanceError, match=message)
    with contextlib.nullcontext() if message is None else refused:
        converter.check_conversion(kind(), ForeignWeights(state))


WIDTHS = [(5, 4), (4, 2), (2, 1)]
"""Channels of the convolutions of a small generator of the tutorial."""


# Spaces -----------------------------------------------------------------------------------------


class Still(Space):
    """A page that is a file."""

    greeting: str = Field(default="hello", description="What it says first.")

    def metadata(self):
        return {"sdk": "static", "app_file": "index.html"}

    def files(self, reference, requirements):
        lines = [self.greeting, reference, *requirements]
        return {"index.html": "<br>".join(lines), "style.css": "body { margin: 1rem }"}


class SpaceWithUnknownOptions(Still):
    """Takes options that it does not have."""

    model_config = ConfigDict(extra="ignore")


class CountsItsPort(Still):
    """Has a number among the metadata."""

    def metadata(self):
        return {**super().metadata(), "app_port": 7860}


class RunsFlask(Still):
    """Needs what the Hub does not run."""

    def metadata(self):
        return {**super().metadata(), "sdk": "flask"}


class StartsElsewhere(Still):
    """Names a file that it does not have."""

    def metadata(self):
        return {**super().metadata(), "app_file": "app.py"}


class LicensesItself(Still):
    """Says what only the model can."""

    def metadata(self):
        return {**super().metadata(), "license": "mit"}


class NeedsMore(Still):
    """Fails for want of a file, in place of saying so."""

    def metadata(self):
        return {"sdk": (Path("nowhere") / "sdk.txt").read_text()}


class WritesAbove(Still):
    """Has a file in another folder."""

    def files(self, *given):
        return {**super().files(*given), "../notes.txt": "here"}


class WritesTheCard(Still):
    """Has a card of its own."""

    def files(self, *given):
        return {**super().files(*given), "readme.md": "# A page"}


class WritesBytes(Still):
    """Has a file that is no text."""

    def files(self, *given):
        return {**super().files(*given), "icon.png": b"PNG"}


class LoadsTheNewest(Still):
    """Loads the model as it will be some day."""

    def files(self, reference, requirements):
        return super().files(reference.partition("@")[0], requirements)


class InstallsOne(Still):
    """Installs the first package alone."""

    def files(self, reference, requirements):
        return super().files(reference, requirements[:1])


class Counts(Still):
    """Says how often it was asked."""

    asked: ClassVar[list[None]] = []

    def files(self, *given):
        self.asked.append(None)
        return {**super().files(*given), "count.txt": str(len(self.asked))}


SPACES = [
    Kill(common.check_options, SpaceWithUnknownOptions, "keep extra='forbid'"),
    Kill(space.check_metadata, CountsItsPort, "metadata must be strings"),
    Kill(
        space.check_metadata,
        RunsFlask,
        "one that the Hub runs, gradio, docker, static, not 'flask'",
    ),
    Kill(space.check_metadata, StartsElsewhere, "app_file must be one of the files, index.html"),
    Kill(space.check_metadata, LicensesItself, "ganzoo adds license to the metadata"),
    Kill(space.check_metadata, NeedsMore, "if check() raises nothing; it raised FileNotFound"),
    Kill(space.check_files, WritesAbove, "does not begin with '.': '../notes.txt'"),
    Kill(space.check_files, WritesTheCard, "ganzoo writes readme.md itself"),
    Kill(space.check_files, WritesBytes, "icon.png must be a str, not bytes"),
    Kill(space.check_model, LoadsTheNewest, "must load the reference that it is given"),
    Kill(space.check_model, InstallsOne, "no file contains 'acme-data==3.4.5'"),
    Kill(space.check_same, Counts, "must be the same each time"),
]


# Commands ---------------------------------------------------------------------------------------


def written(name, code):
    """Make a command of a module's code, in a file that another process can import."""

    def build():
        Path(f"{name}.py").write_text(code)
        sys.path.insert(0, str(Path.cwd()))
        module = {"__name__": name}
        with contextlib.redirect_stdout(None):
            exec(code, module)
        return module["app"]

    build.__name__ = name
    return build


BEGINNING = "import sys, typer\napp = typer.Typer()\n"
GREETS = """
@app.command()
def greet(name: str = "you"):
    "Greet somebody."
    print(f"hello {name}")
"""
PARTS = """
@app.command()
def part():
    "Say goodbye."
    print("bye")
"""
one_command = written("one_command", BEGINNING + GREETS)
two_commands = written(
    "two_commands", BEGINNING.replace("Typer()", "Typer(help='Be polite.')") + GREETS + PARTS
)
no_app = written("no_app", "def app():\n    'Greet.'\n")
no_function = written("no_function", BEGINNING)
no_help = written("no_help", BEGINNING + GREETS.replace('"Greet somebody."', "pass"))
no_help_of_both = written("no_help_of_both", BEGINNING + GREETS + PARTS)
no_help_of_one = written(
    "no_help_of_one",
    BEGINNING.replace("Typer()", "Typer(help='Be polite.')")
    + GREETS
    + PARTS.replace('"Say goodbye."', "pass"),
)
without_help_option = written(
    "without_help_option", BEGINNING + GREETS.replace("command()", "command(add_help_option=False)")
)
talks_first = written(
    "talks_first",
    """
from typer.core import TyperCommand
class Loud(TyperCommand):
    def format_help(self, ctx, formatter):
        print("hello")
        super().format_help(ctx, formatter)
"""
    + BEGINNING
    + GREETS.replace("command()", "command(cls=Loud)"),
)
talks_on_import = written("talks_on_import", BEGINNING + GREETS + "print('hello')\n")
needs_its_importer = written(
    "needs_its_importer", BEGINNING + GREETS + "assert 'pytest' in sys.modules, 'alone'\n"
)

COMMANDS = [
    Kill(command.check_command, no_app, "a command must be a typer.Typer, as app = typer.Typer()"),
    Kill(command.check_command, no_function, "must have a function, registered by @app.command()"),
    Kill(command.check_command, no_help, "the command needs a help text"),
    Kill(command.check_command, no_help_of_both, "the command needs a help text"),
    Kill(command.check_command, no_help_of_one, "part needs a help text"),
    Kill(command.check_help, without_help_option, "--help must exit with 0, but it exited with 2"),
    Kill(command.check_help, talks_first, "nothing before it, but it begins with 'hello'"),
    Kill(command.check_quiet_import, talks_on_import, "importing talks_on_import must print"),
    Kill(command.check_quiet_import, needs_its_importer, "AssertionError: alone"),
]


# The tests --------------------------------------------------------------------------------------

SOUND = {
    "architecture": [
        Linear,
        SpectrallyNormalised,
        WithDropout,
        TruncatesByClipping,
        RefusesToWalk,
        Conditional,
        LearnsLabels,
        Translating,
        OwnTerms,
        RemembersFakes,
        JudgesACopy,
        LinearImages,
        Growing,
        GivesParts,
        Styled,
    ],
    "loss": [
        NonSaturating,
        Relativistic,
        RealPenalty,
        GradientPenalty,
        Unrolling,
        Balanced,
        FeatureMatching,
        Mixing,
    ],
    "penalty": [Drift, SlopeOfReals, KeepsFakes, Remembers, NearLatents, Lengths, Told, Late],
    "dataset": [Squares, Points],
    "augmentation": [Flip, Noise, OnlyColour, OnlyLarge, Adapts, ReportsItself],
    "evaluator": [
        MeanDistance,
        SeenClasses,
        CoveredModes,
        LabelsAgreed,
        AskedClasses,
        AnyKind,
        ShareAndDistance,
        FarFromCopies,
    ],
    "feature extractor": [loaded(Means), loaded(MeansOfColours)],
    "tracker": [Notes, Onlooker, Judging, LooksInto],
    "converter": [OnePlane],
    "space": [Still],
    "command": [one_command, two_commands],
}
KILLS = {
    "architecture": ARCHITECTURES,
    "loss": LOSSES,
    "penalty": PENALTIES,
    "dataset": DATASETS,
    "augmentation": AUGMENTATIONS,
    "evaluator": EVALUATORS,
    "feature extractor": FEATURE_EXTRACTORS,
    "tracker": TRACKERS,
    "converter": CONVERTERS,
    "space": SPACES,
    "command": COMMANDS,
}
BROKEN = {
    kind: list({kill.broken.__name__: kill.broken for kill in kills}.values())
    for kind, kills in KILLS.items()
}


def by_kind(components):
    return [
        pytest.param(kind, component, id=f"{kind}-{component.__name__}")
        for kind, listed in components.items()
        for component in listed
    ]


@pytest.fixture(autouse=True)
def _isolated(monkeypatch):
    """Some broken components seed the whole process; and no test needs its files on the disk."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    monkeypatch.setattr(sys, "path", [*sys.path])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


@pytest.mark.parametrize("kind", CHECKS)
def test_every_check_is_killed(kind):
    assert {kill.check for kill in KILLS[kind]} == set(CHECKS[kind])


@pytest.mark.parametrize(("kind", "sound"), by_kind(SOUND))
def test_sound_component_passes(kind, sound):
    for check in CHECKS[kind]:
        check(sound())


@pytest.mark.parametrize(
    ("check", "broken", "message"),
    [
        pytest.param(*kill, id=f"{kind}-{kill.check.__name__}-{kill.broken.__name__}")
        for kind, kills in KILLS.items()
        for kill in kills
    ],
)
def test_broken_component_is_caught(check, broken, message):
    with pytest.raises(ConformanceError, match=re.escape(message)):
        check(broken())


def test_samples_that_do_not_fit_explain_themselves():
    for check in (dataset.check_samples, dataset.check_labels, dataset.check_names):
        with pytest.raises(InputError, match=r"are stored as .* torch.uint8, not .* torch.float32"):
            check(FloatImages())


@pytest.mark.parametrize(("kind", "broken"), by_kind(BROKEN))
def test_no_check_breaks_on_a_broken_component(kind, broken):
    for check in CHECKS[kind]:
        # ganzoo's own errors explain themselves: a training refuses some of these components.
        with contextlib.suppress(ConformanceError, InputError):
            check(broken())


@pytest.mark.parametrize(
    ("check", "broken"),
    [
        (dataset.check_randomness, SeedsGlobally),
        (evaluator.check_randomness, EvaluatorSeedsGlobally),
    ],
)
def test_seeding_is_caught_where_an_earlier_check_left_the_same_state(check, broken):
    for _ in range(2):
        with pytest.raises(ConformanceError, match="global random state"):
            check(broken())
