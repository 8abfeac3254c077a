"""A program that uses every public part of ganzoo, for type checkers to read."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.utils.data import TensorDataset

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
    Run,
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
    run = ganzoo.train("mlp", data=Path("images"), image_size=32, flip=True, out=Path("other"))
    run = ganzoo.train("pix2pix", data="photos", source_of="edges")
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


def train_on_data_at_hand() -> Run:
    """Train on each kind of data at hand."""
    images = torch.zeros(8, 3, 32, 32, dtype=torch.uint8)
    ganzoo.train("dcgan", data=images)
    ganzoo.train("dcgan", data=(images, torch.arange(8)))
    ganzoo.train("dcgan", data=np.zeros((8, 3, 32, 32), np.float32), value_range=(0.0, 1.0))
    ganzoo.train("dcgan", data=TensorDataset(images), image_channels=1)
    run = ganzoo.train("dcgan", data=ganzoo.open_dataset("digits"))
    ganzoo.evaluate(run, data=images)
    return ganzoo.resume(run, data=images)


def use_components() -> nn.Module:
    """List components, and build networks of one."""
    names: tuple[str, ...] = ganzoo.list("losses")
    generator, discriminator = ganzoo.create("dcgan", image_size=64, base_channels=32)
    print(names, discriminator)
    return generator


def use_runs(run: Run) -> float:
    """Call what the command line has commands for."""
    found = ganzoo.sweep("dcgan", loss=["hinge", "wgan"], settings={"arch.z_dim": [8, 16]}, steps=4)
    print(found.folder, found.table(), [cell.label for cell in found.failed])
    page: Path = ganzoo.report(run, "page.html").file
    groups = ganzoo.compare([run, "user/name", page.parent], metrics=["fid"])
    exported = ganzoo.export(run, "model.onnx")
    print(groups[0].places[0].model, groups.differences, exported.file, exported.inputs)
    print(ganzoo.project("user/name", "face.jpg").errors, ganzoo.import_weights("G.pth").folder)
    return ganzoo.bench("mlp", data="ring", steps=10).steps_per_second.median


def share(model: ganzoo.Model) -> str | None:
    """Save and publish a model, and load it again."""
    folder: Path = model.save_pretrained("saved")
    again: ganzoo.Model = ganzoo.Model.from_pretrained(folder)
    again = ganzoo.Model.from_pretrained("user/name", revision="v1", token="secret").to("cuda")
    return again.push_to_hub("user/name", private=True, token="secret").url


def check(loss: Loss) -> float:
    """Check a component, and read what it declares."""
    try:
        for passes in loss_checks:
            passes(loss)
    except ConformanceError as error:
        print(error)
    return loss.recipe.generator_lr if loss.bounds_slope else Recipe().discriminator_lr


test_conformance = conformance_tests("ganzoo-mine", {"mine": None})
share(ganzoo.load(train_on_data_at_hand()))
print(use_components(), use_runs(ganzoo.resume("run")))
print(ganzoo.__version__, check(Chosen(slow=True)), Wasserstein(weight=2).model_dump(), use())
