"""An update of a network, taken apart for the page: its samples, logits, loss and gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from ganzoo.training.optimizers import FACTOR
from ganzoo_zoo.apps.watch.points.packing import pack_arrows
from ganzoo_zoo.apps.watch.training.looks import picture_of, to_url

if TYPE_CHECKING:
    from ganzoo.training.trainer import Trainer
    from ganzoo.training.updates import Update
    from ganzoo_zoo.apps.watch.points.plane import Plane

MOST_SAMPLES = 64
"""Reals, and fakes, of a batch that are shown: its first ones."""
MOST_IMAGES = 8
"""The same of images and signals, in one picture."""


def make_part(update: Update, plane: Plane | None, trainer: Trainer) -> dict[str, Any] | None:
    """Return an update as JSON, with the numbers of this very update.

    Args:
        update: What :attr:`ganzoo.training.trainer.Trainer.on_update` is shown.
        plane: The plane of a run on points; None for others.
        trainer: The run's trainer.

    Returns:
        ``terms`` of the loss by name; ``gradient_norm``; the learning ``rate``; the means
        ``real_logit`` and ``fake_logit`` over the whole batch; and of its first samples, in the
        same order, ``real_logits`` and ``fake_logits``. For points there are also ``real_points``,
        ``fakes`` and ``latents``, packed as in a frame, and ``gradients``: for each fake, where the
        generator's loss falls, packed as the ``pull`` of a frame and measured as there, with the
        longest as ``steepest``. For images and signals there is a ``picture`` instead, reals above
        fakes, as a data URL. What there is not is None. The whole is None if a number is not
        finite, which the run itself reports.
    """
    real_logits, fake_logits = (update.judge(each) for each in (update.real, update.fake))
    scalars = [update.gradient_norm(), real_logits.mean(), fake_logits.mean()]
    numbers = torch.stack([each.float() for each in (*scalars, *update.terms.values())])
    sides = [each[:MOST_SAMPLES].float() for each in (real_logits, fake_logits)]
    if not torch.cat([numbers, *sides]).isfinite().all() or not update.fake.isfinite().all():
        return None
    norm, real_logit, fake_logit, *terms = numbers.tolist()
    return {
        "terms": dict(zip(update.terms, terms, strict=True)),
        "gradient_norm": norm,
        "real_logit": real_logit,
        "fake_logit": fake_logit,
        "real_logits": _round(sides[0]),
        "fake_logits": _round(sides[1]),
        "rate": _find_rate(trainer, update.network),
        **_show_points(update, plane),
        "picture": _show_images(update, trainer),
    }


def _find_rate(trainer: Trainer, network: str) -> float:
    """Return the learning rate of a network's optimiser, before factors of single layers."""
    group = getattr(trainer.state, f"{network}_optimizer").param_groups[0]
    return float(group["lr"] / group[FACTOR])


def _show_points(update: Update, plane: Plane | None) -> dict[str, Any]:
    names = ("real_points", "fakes", "latents", "gradients", "steepest")
    found: dict[str, Any] = dict.fromkeys(names)
    if plane is None:
        return found
    real, fake = (each[:MOST_SAMPLES].float().cpu() for each in (update.real, update.fake))
    found["real_points"], found["fakes"] = plane.pack(real), plane.pack(fake)
    if plane.latents:
        found["latents"] = plane.latents.pack(update.inputs.given[:MOST_SAMPLES])
    pull = update.fake_gradients()[:MOST_SAMPLES].cpu() * len(update.fake)
    if pull.isfinite().all():
        found["gradients"], found["steepest"] = pack_arrows(pull)
    return found


def _show_images(update: Update, trainer: Trainer) -> str | None:
    if not trainer.setup.data.is_bounded:
        return None
    rows = [each[:MOST_IMAGES].float().cpu() for each in (update.real, update.fake)]
    return to_url(picture_of(torch.cat(rows), trainer, columns=len(rows[0])))


def _round(logits: torch.Tensor) -> list[float]:
    return [round(each, 4) for each in logits.tolist()]
