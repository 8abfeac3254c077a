"""A program that uses every public part of ganzoo, for type checkers to read."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

import ganzoo
from ganzoo import (
    Architecture,
    Augmentation,
    Dataset,
    DataSpec,
    Evaluator,
    FeatureExtractor,
    Features,
    GeneratorInput,
    LoadedExtractor,
    Loss,
    Recipe,
    Samples,
    SampleSet,
    Score,
    Space,
    TrackedRun,
    Tracker,
)
from ganzoo.errors import Diverged, GanzooError, InputError
from ganzoo.nn import Residual
from ganzoo.testing import ConformanceError, conformance_tests, loss_checks

Critic = Callable[[Tensor], Tensor]


class Wasserstein(Loss):
    """Declares by class attributes."""

    recipe = Recipe(generator_lr=1e-4, betas=(0.0, 0.9), n_critic=5)
    independent_samples = True
    weight: float = Field(default=1.0, ge=0, description="Weight of a term.")

    def discriminator_loss(self, D: Critic, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        return {"wasserstein": self.weight * (D(fake).mean() - D(real).mean())}

    def generator_loss(self, D: Critic, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        return {"adversarial": -D(fake).mean()}


class Chosen(Wasserstein):
    """Declares by properties, of its options."""

    slow: bool = Field(default=False, description="Train slowly.")
    recipe = property(lambda self: Recipe(n_critic=10 if self.slow else 1))
    bounds_slope = property(lambda self: self.slow)


class Linear(Architecture):
    """Networks of one layer."""

    default_loss = "non-saturating"
    bounds_slope = True
    z_dim: int = Field(default=8, gt=0, description="Length of a latent.")

    def generator(self, data: DataSpec) -> nn.Module:
        if not data.is_image:
            raise InputError(f"no samples of {data.size_in_words}")
        layer = nn.Linear(self.z_dim, data.size)
        block = Residual(branch=layer, shortcut=nn.Linear(self.z_dim, data.size))
        return nn.Sequential(block, nn.Tanh(), nn.Unflatten(1, data.shape))

    def discriminator(self, data: DataSpec, *, independent_samples: bool = False) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(data.size, 1), nn.Flatten(0))

    def generator_terms(
        self, generator: nn.Module, inputs: GeneratorInput, real: Tensor, fake: Tensor
    ) -> dict[str, Tensor]:
        return {"size": inputs.through(generator).square().mean()}


class Noise(Dataset):
    """Random points."""

    def read(self) -> Samples:
        return Samples(DataSpec(shape=(2,), classes=3), torch.randn(9, 2), torch.arange(9) % 3)


class Negative(Augmentation):
    """Turns each sample around."""

    def augment(self, samples: Tensor) -> Tensor:
        return -samples


class Brightness(Evaluator):
    """The difference of the means."""

    higher_is_better = False
    features = "plain"

    def evaluate(self, fake: SampleSet, real: SampleSet) -> list[Score]:
        mean = real.derive((__name__, "mean"), lambda: real.features.pooled.mean())
        return [Score((fake.features.pooled.mean() - mean).abs().item(), note="a toy")]


class Plain(FeatureExtractor):
    """The pixels themselves."""

    def load(self, weights: Path | None, device: torch.device) -> LoadedExtractor:
        def extract(images: Tensor) -> Features:
            return Features(images.float().flatten(1).cpu())

        return LoadedExtractor(extract, image_channels=1, weights_sha256="0" * 64)


class Printed(TrackedRun):
    """Prints metrics."""

    def metrics(self, row: dict[str, Any]) -> None:
        print(row["step"])


class Printing(Tracker):
    """Prints a run."""

    def start(self, folder: Path, config: dict[str, Any], step: int) -> TrackedRun:
        return Printed()


class Page(Space):
    """A static page."""

    def metadata(self) -> Mapping[str, str]:
        return {"sdk": "static", "app_file": "index.html"}

    def files(self, reference: str, requirements: Sequence[str]) -> Mapping[str, str]:
        return {"index.html": f"{reference} {requirements}"}


class Stopper(ganzoo.Observer):
    """Stops at a loss."""

    def on_log(self, row: dict[str, Any]) -> None:
        if row["generator/adversarial"] > 9 and not self.is_stopping:
            self.stop()


def use() -> float:
    """Use the functions."""
    warnings.simplefilter("error", ganzoo.GanzooWarning)
    digits = ganzoo.open_dataset("digits", image_size=16)
    batch = digits.batch(torch.arange(4))
    run = ganzoo.train("dcgan", loss="wgan-gp", data="digits", out="run", steps=4)
    run = ganzoo.train("mlp", data=Path("images"), out=Path("other"))
    run = ganzoo.resume(run.path, {"train.steps": 8}, Stopper(), progress=False)
    model: ganzoo.Model = ganzoo.load(run)
    sizes = [image.size for image in (run.show(), model.show(16), *model.images(2, seed=1))]
    print(run, run.scores, run.scores[0].value, sizes[0][0] * sizes[0][1])
    images = torch.cat([batch, model.sample(4, seed=1, truncation=0.7)])
    frames = model.walk(2, seeds=[1, 2, 3], frames=4)
    try:
        rows = ganzoo.evaluate(model, metrics=["fid"], samples=100, data="digits", warn=print)
        ganzoo.publish(run, "user/name", private=True, dry_run=True)
    except (Diverged, GanzooError) as error:
        raise SystemExit(error.exit_code) from error
    return rows[0].value + float(images.mean() + frames.mean())


def check(loss: Loss) -> float:
    """Check a component, and read what it declares."""
    try:
        for passes in loss_checks:
            passes(loss)
    except ConformanceError as error:
        print(error)
    return loss.recipe.generator_lr if loss.bounds_slope else Recipe().discriminator_lr


test_conformance = conformance_tests("ganzoo-mine", {"mine": None})
print(ganzoo.__version__, check(Chosen(slow=True)), Wasserstein(weight=2).model_dump(), use())
