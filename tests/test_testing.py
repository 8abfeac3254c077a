"""The conformance kit against broken components: each of its checks must catch what it claims to.

Every broken component differs from a sound one in the fault that its docstring names.
"""

import contextlib
import itertools
import os
import re
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from pydantic import ConfigDict, Field
from torch import nn

from ganzoo import (
    Architecture,
    Dataset,
    DataSpec,
    Evaluator,
    Features,
    LoadedExtractor,
    Loss,
    Samples,
    Score,
)
from ganzoo import testing as kit
from ganzoo.errors import InputError
from ganzoo.testing import ConformanceError, architecture, common, dataset, evaluator, loss

CHECKS = {
    "architecture": kit.architecture_checks,
    "loss": kit.loss_checks,
    "dataset": kit.dataset_checks,
    "evaluator": kit.evaluator_checks,
    "feature extractor": kit.feature_extractor_checks,
}


class Kill(NamedTuple):
    """A check, a component that it must refuse, and a part of what it must say."""

    check: Callable[[Any], None]
    broken: Callable[[], Any]
    message: str


# Architectures ----------------------------------------------------------------------------------


class Linear(Architecture):
    """One linear layer in each network, behind batch normalisation in the discriminator."""

    z_dim: int = Field(3, gt=0, description="Length of a latent.")

    def generator(self, data):
        if data.size > 800:
            raise InputError(f"linear makes at most 800 numbers, not {data.size}")
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


class ListForTuple(Linear):
    """Has an option that comes back from JSON as something else."""

    widths: Any = Field((64, 64), description="Units of each layer.")


class InfiniteOption(Linear):
    """Has a default that JSON cannot hold."""

    clip: float = Field(float("inf"), description="Bound on the weights.")


class OptionOfCode(Linear):
    """Has an option that is code, not a value."""

    activation: Any = Field(nn.ReLU, description="Class of the activation.")


class WithoutDocstring(Linear):
    pass


class OneResolution(Linear):
    """Refuses all but one shape."""

    def generator(self, data):
        if data.shape != (1, 28, 28):
            raise InputError("it makes images of 28 x 28 only")
        return super().generator(data)


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


ARCHITECTURES = [
    Kill(common.check_options, UnknownOptions, "keep extra='forbid'"),
    Kill(common.check_options, UndescribedOption, "option 'width' needs a description"),
    Kill(common.check_options, ListForTuple, "round trip through JSON"),
    Kill(common.check_options, InfiniteOption, "config.json rebuilds the component; it raised"),
    Kill(common.check_options, OptionOfCode, "config.json rebuilds the component; it raised"),
    Kill(common.check_options, WithoutDocstring, "needs a docstring"),
    Kill(architecture.check_shapes, OneResolution, "at least two of"),
    Kill(architecture.check_shapes, RefusesByValueError, "refused by ganzoo's InputError"),
    Kill(architecture.check_shapes, NeverIndependent, "argument 'independent_samples'"),
    Kill(architecture.check_shapes, GeneratorIsAFunction, "must be a torch.nn.Module"),
    Kill(architecture.check_samples, FlatImages, "samples (4, 1, 28, 28), not (4, 784)"),
    Kill(architecture.check_samples, GeneratorOfOneResolution, "not (4, 1, 28, 28)"),
    Kill(architecture.check_samples, TwoOutputs, "one tensor, not tuple"),
    Kill(architecture.check_samples, WithoutZDim, "an option z_dim"),
    Kill(architecture.check_samples, LatentsOfOneBatchSize, "draw 4 when asked to, not 64"),
    Kill(architecture.check_sample_range, WithoutTanh, "images must lie in [-1, 1]"),
    Kill(architecture.check_sample_range, SigmoidImages, "none goes below 0"),
    Kill(architecture.check_sample_range, TanhForVectors, "vectors have no fixed range"),
    Kill(architecture.check_logits, ColumnOfLogits, "logits (4,), not (4, 1)"),
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
    Kill(architecture.check_double_backward, OnceDifferentiable, "a discriminator twice"),
    Kill(architecture.check_double_backward, RoundedSamples, "a discriminator twice"),
    Kill(architecture.check_double_backward, RootOfZero, "gradient must be finite"),
    Kill(architecture.check_independent_samples, AlwaysBatchNorm, "must not mix its batch"),
    Kill(architecture.check_independent_samples, MinibatchDeviation, "must not mix its batch"),
    Kill(architecture.check_evaluation_is_by_sample, NoRunningStatistics, "on its batch"),
    Kill(architecture.check_evaluation_is_by_sample, DropoutForEver, "or on chance"),
    Kill(architecture.check_evaluation_is_by_sample, Squeezed, "must give (1,), not ()"),
    Kill(architecture.check_seeding, WeightsOfNumpy, "must give the same weights"),
    Kill(architecture.check_seeding, StateThatIsNoTensor, "must hold tensors only"),
    Kill(architecture.check_seeding, LatentsOfGlobalGenerator, "latents() must leave torch's"),
    Kill(architecture.check_seeding, LatentsOfNumpy, "from the generator that it is given"),
    Kill(architecture.check_seeding, SameLatentsAlways, "from the generator that it is given"),
    Kill(architecture.check_weights_round_trip, HiddenFrequencies, "in parameters or buffers"),
    Kill(architecture.check_weights_round_trip, HiddenBuffer, "in parameters or buffers"),
    Kill(architecture.check_weights_round_trip, HiddenRunningMean, "in parameters or buffers"),
    Kill(architecture.check_weights_round_trip, StateThatIsNoTensor, "must hold tensors"),
]


# Losses -----------------------------------------------------------------------------------------


class NonSaturating(Loss):
    """The non-saturating loss of Goodfellow et al. 2014."""

    def discriminator_loss(self, D, real, fake):
        return {"real": F.softplus(-D(real)).mean(), "fake": F.softplus(D(fake)).mean()}

    def generator_loss(self, D, real, fake):
        return {"adversarial": F.softplus(-D(fake)).mean()}


class DetachesFakes(NonSaturating):
    """Detaches fakes in the discriminator's turn, as tutorials do; they have no gradient there."""

    def discriminator_loss(self, D, real, fake):
        return super().discriminator_loss(D, real, fake.detach())


class Relativistic(Loss):
    """Compares logits with the mean of the other side's (Jolicoeur-Martineau 2019)."""

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

    def discriminator_loss(self, D, real, fake):
        real = real.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(D(real).sum(), real, create_graph=True)
        terms = super().discriminator_loss(D, real, fake)
        return {**terms, "penalty": gradient.square().flatten(1).sum(1).mean()}


class GradientPenalty(NonSaturating):
    """Adds the gradient penalty of Gulrajani et al. 2017."""

    def discriminator_loss(self, D, real, fake):
        weight = self.weight(real)
        between = (weight * real + (1 - weight) * fake).detach().requires_grad_()
        (gradient,) = torch.autograd.grad(D(between).sum(), between, create_graph=True)
        penalty = (self.norm(gradient) - 1).square().mean()
        return {**super().discriminator_loss(D, real, fake), "penalty": penalty}

    def weight(self, real):
        return torch.rand(len(real), *[1] * (real.dim() - 1))

    def norm(self, gradient):
        return gradient.flatten(1).norm(dim=1)


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
        decay = sum(parameter.square().sum() for parameter in D.parameters())
        return {**super().discriminator_loss(D, real, fake), "decay": decay}


class NaiveLogarithms(NonSaturating):
    """Takes logarithms of probabilities: ``log(1 - sigmoid(40))`` is minus infinity."""

    def discriminator_loss(self, D, real, fake):
        return {
            "real": -torch.log(torch.sigmoid(D(real))).mean(),
            "fake": -torch.log(1 - torch.sigmoid(D(fake))).mean(),
        }


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
            for parameter in D.parameters():
                parameter.clamp_(-0.01, 0.01)
        return super().discriminator_loss(D, real, fake)


class FakesDetached(NonSaturating):
    """Detaches the fakes in the generator's turn, which then learns nothing."""

    def generator_loss(self, D, real, fake):
        return super().generator_loss(D, real, fake.detach())


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


LOSSES = [
    Kill(common.check_options, LossWithUnknownOptions, "keep extra='forbid'"),
    Kill(loss.check_terms, BareTensor, "a dict of named terms"),
    Kill(loss.check_terms, NoTerms, "a dict of named terms"),
    Kill(loss.check_terms, NumberedTerms, "term 0 must be a scalar tensor"),
    Kill(loss.check_terms, TermPerSample, "term 'adversarial' must be a scalar tensor"),
    Kill(loss.check_terms, TermIsAFloat, "term 'adversarial' must be a scalar tensor"),
    Kill(loss.check_terms, WantsAModule, "any function D from samples (N, *shape)"),
    Kill(loss.check_finite, NaiveLogarithms, "fake logit 40.0: write log-probabilities with"),
    Kill(loss.check_finite, MaskedLogarithm, "fake logit 40.0: write log-probabilities with"),
    Kill(loss.check_finite, CallsBackward, "only the trainer calls backward()"),
    Kill(loss.check_discriminator_direction, SwappedLabels, "higher logits for reals"),
    Kill(loss.check_discriminator_direction, LogitsOfFakesDetached, "lower ones for fakes"),
    Kill(loss.check_discriminator_direction, LogitsOfRealsDetached, "higher logits for reals"),
    Kill(loss.check_generator_direction, WrongSign, "higher logits for its fakes"),
    Kill(loss.check_batch_size, SumOverBatch, "term 'adversarial' changes"),
    Kill(loss.check_batch_size, NormOverBatch, "term 'penalty' changes"),
    Kill(loss.check_batch_size, OneSidedNormOverBatch, "term 'penalty' changes"),
    Kill(loss.check_sample_shape, NormOverChannels, "term 'penalty' changes"),
    Kill(loss.check_sample_shape, WeightsOfVectors, "any function D from samples (N, *shape)"),
    Kill(loss.check_seeding, NoisyLabels, "with the same seed: draw by torch's global"),
    Kill(loss.check_seeding, LazyPenalty, "the terms change from"),
    Kill(loss.check_side_effects, CallsBackward, "must not call backward()"),
    Kill(loss.check_side_effects, ChangesReals, "must not change its inputs in place"),
    Kill(loss.check_side_effects, ChangesFakes, "must not change its inputs in place"),
    Kill(loss.check_side_effects, AsksForGradientsOfReals, "use a detached copy"),
    Kill(loss.check_side_effects, AsksForGradientsOfFakes, "use a detached copy"),
    Kill(loss.check_side_effects, ClipsInLoss, "must not change the discriminator"),
    Kill(loss.check_gradients_reach_the_networks, FakesDetached, "must reach the fakes"),
    Kill(loss.check_gradients_reach_the_networks, AllLogitsDetached, "must reach its parameters"),
    Kill(loss.check_constraint, ClipsWithGradients, "in place, under torch.no_grad()"),
    Kill(loss.check_constraint, Freezes, "leave parameters that learn"),
    Kill(loss.check_constraint, Shrinks, "the same as once"),
    Kill(loss.check_recipe, RecipeIsADict, "recipe must be a ganzoo.Recipe"),
]


# Datasets ---------------------------------------------------------------------------------------


class Squares(Dataset):
    """Twelve grey squares of three levels, which are their classes."""

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


DATASETS = [
    Kill(common.check_options, DatasetWithUnknownOptions, "keep extra='forbid'"),
    Kill(dataset.check_samples, Nothing, "must have samples"),
    Kill(dataset.check_samples, Unwrapped, "ganzoo.Samples, not Tensor"),
    Kill(dataset.check_samples, FloatImages, "ganzoo.Samples, or say why not by a GanzooError"),
    Kill(dataset.check_samples, MissingFile, "by a GanzooError; it raised FileNotFoundError"),
    Kill(dataset.check_samples, OnePointMissing, "samples must be finite"),
    Kill(dataset.check_samples, Unscaled, "must lie in [-1, 1]"),
    Kill(dataset.check_samples, RawBatches, "a batch must be float32 of (1, 4, 4)"),
    Kill(dataset.check_labels, TooFewLabels, "one label a sample"),
    Kill(dataset.check_labels, OneHotLabels, "one label a sample"),
    Kill(dataset.check_labels, LabelsFromOne, "from 0 to classes - 1"),
    Kill(dataset.check_labels, NegativeLabels, "from 0 to classes - 1"),
    Kill(dataset.check_labels, FloatLabels, "labels must be whole numbers"),
    Kill(dataset.check_labels, LabelsWithoutClasses, "classes is None"),
    Kill(dataset.check_labels, ClassesWithoutLabels, "needs labels"),
    Kill(dataset.check_reading_again, Shuffled, "the same samples in the same order"),
    Kill(dataset.check_reading_again, DrawnPoints, "the same samples in the same order"),
    Kill(dataset.check_randomness, DrawnPoints, "read() must leave torch's global random state"),
    Kill(dataset.check_randomness, SeedsGlobally, "read() must leave torch's global random state"),
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


class CoveredModes(Evaluator):
    """Modes that points come near."""

    higher_is_better = True

    def fits(self, data):
        return data.modes is not None

    def evaluate(self, fake, real):
        spec = real.samples.spec
        distances = torch.cdist(fake.samples.stored, torch.tensor(spec.modes))
        return [Score(int((distances < 3 * spec.mode_std).any(0).sum()))]


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
    Kill(evaluator.check_scores, TwoWithoutNames, "several scores need names"),
    Kill(evaluator.check_scores, UndeclaredFeatures, "must name their extractor"),
    Kill(evaluator.check_scores, UndeclaredLogits, "needs_logits = True; it raised"),
    Kill(evaluator.check_scores, FitsNothing, "must fit images, or points"),
    Kill(evaluator.check_order, FirstFewOnly, "must not depend on the order"),
    Kill(evaluator.check_order, PairByPair, "must not depend on the order"),
    Kill(evaluator.check_direction, WrongWay, "is higher_is_better the right way around?"),
    Kill(evaluator.check_direction, ClassesTheWrongWay, "the right way around?"),
    Kill(evaluator.check_direction, UndeclaredDirection, "must declare higher_is_better"),
    Kill(evaluator.check_direction, NamedBySamples, "scores of the same names"),
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
    Kill(evaluator.check_features, loaded(WrongChannels), "as many channels as image_channels"),
    Kill(evaluator.check_features_by_sample, loaded(NormalisedByBatch), "evaluation mode"),
    Kill(evaluator.check_features_by_sample, loaded(SqueezedFeatures), "not (12,); squeeze()"),
    Kill(evaluator.check_features_by_sample, loaded(DropsFeatures), "extract() must leave torch's"),
    Kill(evaluator.check_features_by_sample, loaded(NoisyFeatures), "evaluation mode"),
]


# The tests --------------------------------------------------------------------------------------

SOUND = {
    "architecture": [Linear, SpectrallyNormalised, WithDropout],
    "loss": [NonSaturating, DetachesFakes, Relativistic, RealPenalty, GradientPenalty],
    "dataset": [Squares, Points],
    "evaluator": [MeanDistance, SeenClasses, CoveredModes],
    "feature extractor": [loaded(Means), loaded(MeansOfColours)],
}
KILLS = {
    "architecture": ARCHITECTURES,
    "loss": LOSSES,
    "dataset": DATASETS,
    "evaluator": EVALUATORS,
    "feature extractor": FEATURE_EXTRACTORS,
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


@pytest.mark.parametrize(("kind", "broken"), by_kind(BROKEN))
def test_no_check_breaks_on_a_broken_component(kind, broken):
    for check in CHECKS[kind]:
        with contextlib.suppress(ConformanceError):
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
