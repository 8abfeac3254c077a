"""Tiny trainings that together have everything a step may have, on samples that are made here.

Components come from the registry, so that a new one has its case by itself. Tests look for waits
in their steps, and ``look.py`` runs them on a GPU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from ganzoo import registry
from ganzoo.errors import InputError
from ganzoo.protocols.dataset import DataSpec, Samples
from ganzoo.resolve import resolve
from ganzoo.training.prepare import build_trainer
from ganzoo.training.trainer import Trainer

IMAGES = (3, 16, 16)
"""Shape of most samples."""
SHAPES = {"wavegan": (1, 256), "cyclegan": (3, 24, 24)}
"""Shape of the samples of architectures that do not make these."""
COUNT = 48
"""Samples in the data."""
SMALL: dict[str, dict[str, Any]] = {
    "mlp": {"arch.hidden": (8, 8)},
    "dcgan": {"arch.base_channels": 4},
    "sngan": {"arch.base_channels": 4},
    "sngan-resnet": {"arch.base_channels": 4},
    "resnet": {"arch.base_channels": 4},
    "r3gan": {"arch.base_channels": 16},
    "acgan": {"arch.base_channels": 2, "arch.discriminator_channels": 2},
    "infogan": {"arch.base_channels": 2, "arch.dense": 8},
    "sagan": {"arch.base_channels": 2, "arch.z_dim": 4, "arch.attention": 8},
    "biggan": {
        "arch.base_channels": 2,
        "arch.z_dim": 6,
        "arch.shared_dim": 3,
        "arch.attention": 8,
    },
    "progan": {"arch.channel_max": 4, "arch.z_dim": 4, "arch.phase_images": 8},
    "stylegan2": {
        "arch.channel_max": 4,
        "arch.z_dim": 4,
        "arch.w_dim": 4,
        "arch.mapping_layers": 1,
    },
    "cyclegan": {"arch.base_channels": 2, "arch.blocks": 1, "arch.pool_size": 3},
    "pix2pix": {"arch.base_channels": 2, "arch.source_of": "mask"},
    "srgan": {"arch.base_channels": 2, "arch.blocks": 1, "arch.pretrain_images": 8},
    "esrgan": {"arch.base_channels": 2, "arch.blocks": 1, "arch.pretrain_images": 8},
    "fastgan": {"arch.base_channels": 2, "arch.z_dim": 4},
    "wavegan": {"arch.base_channels": 2},
}
"""What makes an architecture small; one that is not here is as large as by default."""
USUAL: dict[str, Any] = {
    "train.recipe": "paper",
    "train.batch_size": 8,
    "train.n_critic": 1,
    "train.steps": 100,
}


@dataclass(frozen=True)
class Case:
    """A training.

    Args:
        architecture: Its name.
        loss: Its name; None for the architecture's own.
        settings: By full name, beside those that make it small.
        shape: Of a sample; None for what the architecture makes.
        change: What is changed of the samples.
        small: Whether the networks are small.
    """

    architecture: str
    loss: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    shape: tuple[int, ...] | None = None
    change: Callable[[Samples], Samples] | None = None
    small: bool = True

    def trainer(self, **settings: Any) -> Trainer:
        """Build the trainer.

        Args:
            settings: Further ones; ``device`` stands for ``train.device``, and so on.

        Raises:
            InputError: the parts do not fit together.
        """
        small = SMALL.get(self.architecture, {}) if self.small else {}
        more = {f"train.{name}": value for name, value in settings.items()}
        given = {**USUAL, **small, **self.settings, **more}
        config = resolve(self.architecture, self.loss, "digits", given)
        samples = make_samples(self.shape or SHAPES.get(self.architecture, IMAGES))
        return build_trainer(config, self.change(samples) if self.change else samples)


def make_samples(shape: tuple[int, ...], count: int = COUNT) -> Samples:
    """Make random samples of two classes in turn."""
    rng = torch.Generator().manual_seed(0)
    if len(shape) == 3:
        stored = torch.randint(0, 256, (count, *shape), generator=rng, dtype=torch.uint8)
    else:
        stored = torch.randn(count, *shape, generator=rng).clamp(-1, 1)
    return Samples(DataSpec(shape=shape, classes=2), stored, torch.arange(count) % 2)


def names(kind: registry.Kind) -> list[str]:
    """Return the names of all components of a kind."""
    return [entry.name for entry in registry.entries(kind)]


ARCHITECTURES = names(registry.ARCHITECTURE)
LOSSES = names(registry.LOSS)
PENALTIES = names(registry.PENALTY)
AUGMENTATIONS = names(registry.AUGMENTATION)

HOSTS = ("dcgan", "stylegan2", "acgan", "infogan", "fastgan", "pix2pix", "srgan")
"""Architectures that between them have what any penalty of the box needs."""


def find_host(penalty: str, **settings: Any) -> Case:
    """Return the case of a penalty: with the first architecture that has what it needs.

    Raises:
        ValueError: there is none.
    """
    refused = []
    for name in HOSTS:
        case = with_penalty(name, penalty)
        try:
            case.trainer(**settings)
        except InputError as error:
            refused.append(f"{name}: {error}")
        else:
            return case
    raise ValueError(f"no architecture of HOSTS takes '{penalty}':\n" + "\n".join(refused))


def with_penalty(architecture: str, penalty: str) -> Case:
    """Return the case of a penalty, lazy if it can be, and of no other."""
    options = registry.get(registry.PENALTY, penalty).model_fields
    lazy = {f"penalty.{penalty}.interval": 2} if "interval" in options else {}
    return Case(architecture, settings={"train.penalty": penalty, **lazy})


def as_flipped(samples: Samples) -> Samples:
    """Have half of the images mirrored."""
    return replace(samples, flip=True)


def as_pairs(samples: Samples) -> Samples:
    """Give each image another one as its source."""
    spec = samples.spec.model_copy(update={"source": samples.spec.shape})
    return replace(samples, spec=spec, sources=samples.stored.flip(0).contiguous())


WGAN_GP = Case("dcgan", "wgan-gp")
KINDS: dict[str, Case] = {
    "conditional mlp": Case("mlp", settings={"arch.conditional": True}),
    "conditional dcgan": Case("dcgan", settings={"arch.conditional": True}),
    "conditional sngan-resnet": Case("sngan-resnet", settings={"arch.conditional": True}),
    "conditional progan": Case("progan", settings={"arch.conditional": True}),
    "conditional r3gan": Case("r3gan", settings={"arch.conditional": True}),
    "conditional stylegan2": Case(
        "stylegan2", settings={"arch.conditional": True, "arch.label_layers": 1}
    ),
    "vectors": Case("mlp", shape=(2,)),
    "signals": Case("mlp", shape=(1, 64)),
    "translated in parts": Case("cyclegan", settings={"train.accumulate": 4}),
    "mirrored": replace(WGAN_GP, change=as_flipped),
    "sources of the data": Case("pix2pix", settings={"arch.source_of": None}, change=as_pairs),
}
"""Trainings whose data or networks are of another kind."""

OPTIONS: dict[str, list[dict[str, Any]]] = {
    "optimizer": [{"optimizer": "adamw"}, {"optimizer": "rmsprop"}],
    "generator_lr": [{"generator_lr": "linear(0.001, 0.0001)"}],
    "discriminator_lr": [{"discriminator_lr": "cosine(0.001, 0.0001)"}],
    "betas": [{"betas": "linear([0.0, 0.9], [0.5, 0.99])"}],
    "generator_betas": [{"generator_betas": (0.5, 0.9)}],
    "discriminator_betas": [{"discriminator_betas": (0.5, 0.9)}],
    "eps": [{"eps": 1e-6}],
    "weight_decay": [{"weight_decay": 0.1}, {"weight_decay": 0.1, "optimizer": "adamw"}],
    "clip_norm": [{"clip_norm": 1.0}, {"clip_norm": "linear(1.0, 0.1)"}],
    "n_critic": [{"n_critic": 3}],
    "batch_size": [{"batch_size": COUNT + 2}],
    "accumulate": [{"accumulate": 2}],
    "lr_decay": [{"lr_decay": "linear"}, {"lr_decay": "cosine"}],
    "lr_decay_from": [{"lr_decay": "linear", "lr_decay_from": 0.01}],
    "ema_half_life": [{"ema_half_life": 0}, {"ema_half_life": "linear(100, 1000)"}],
    "ema_ramp": [{"ema_ramp": 0}],
    "precision": [{"precision": "bf16"}, {"precision": "fp16"}],
    "tf32": [{"tf32": False}],
    "compile": [{"compile": True}],
    "cuda_graphs": [{"compile": True, "cuda_graphs": True}],
    "reuse_fakes": [{"reuse_fakes": True}, {"reuse_fakes": True, "n_critic": 2}],
    "freeze_discriminator": [{"freeze_discriminator": 1}],
}
"""Values of each training option that a step may depend on."""
OF_THE_LOOP = {
    *("recipe", "seed", "device", "steps", "penalty", "augment"),
    *("log_every", "sample_every", "checkpoint_every", "memorisation_below", "retry_lr"),
    *("eval_every", "eval_metric", "eval_samples", "eval_features"),
}
"""Training options that have cases of their own, or that no step sees."""


def option_cases() -> dict[str, Case]:
    """Return a case for each value of each option, by what it sets."""
    found = {}
    for values in (value for each in OPTIONS.values() for value in each):
        name = " ".join(f"{key}={value}" for key, value in values.items())
        settings = {f"train.{key}": value for key, value in values.items()}
        found[name] = replace(WGAN_GP, settings=settings)
    return found


def loaded(architecture: str) -> Case:
    """Return a case of an architecture with as much as it can have at once."""
    more = {"n_critic": 2, "reuse_fakes": True, "clip_norm": 1.0, "weight_decay": 0.01}
    settings = {f"train.{key}": value for key, value in {**more, "precision": "bf16"}.items()}
    return Case(architecture, settings=settings)


def every_case() -> Iterable[tuple[str, Case]]:
    """Yield all cases with their names, but those of penalties, which look for their host."""
    for name in ARCHITECTURES:
        yield name, Case(name)
        yield f"{name} with more", loaded(name)
    for architecture in ("mlp", "dcgan"):
        for loss in LOSSES:
            yield f"{architecture} {loss}", Case(architecture, loss)
    for name in AUGMENTATIONS:
        yield f"augmented by {name}", Case("dcgan", settings={"train.augment": name})
    every = {"augment.ada.parts": "bgcfnc", "augment.ada.interval": 1}
    every["train.augment"] = ",".join(AUGMENTATIONS)
    yield "augmented by all", Case("dcgan", settings=every)
    yield from KINDS.items()
    yield from option_cases().items()
