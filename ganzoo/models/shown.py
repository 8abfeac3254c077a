"""What a model is, as a notebook and a Python prompt show it."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from ganzoo.errors import GanzooError, escape_text
from ganzoo.media import html
from ganzoo.media.images import choose_columns, render_samples, to_pil, to_png, to_uint8
from ganzoo.runs.shown import score_table

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from ganzoo.config import ModelConfig
    from ganzoo.models.folder import ModelFolder
    from ganzoo.protocols.architecture import Architecture

SHOWN = 16
"""Samples in the picture of a model."""


class LoadedModel(Protocol):
    """What is read of a :class:`ganzoo.Model`, which shows itself by these functions."""

    config: ModelConfig
    folder: ModelFolder | None
    architecture: Architecture

    @property
    def title(self) -> str:
        """The model in a few words."""

    @property
    def conditional(self) -> bool:
        """Whether it takes labels."""

    def sample(self, count: int, seed: int) -> Tensor:
        """Draw samples."""


def describe_model(model: LoadedModel) -> str:
    """Return a model in a line."""
    spec = model.config.spec
    kind = "images" if spec.is_image else "vectors"
    classes = f", {spec.classes:,} classes" if model.conditional and spec.classes else ""
    return f"<Model {escape_text(model.title)}: {kind} of {spec.size_in_words}{classes}>"


def draw_picture(model: LoadedModel, count: int = SHOWN, seed: int = 0) -> Tensor:
    """Draw samples as one picture, uint8 ``(C, H, W)``.

    Raises:
        ganzoo.errors.InputError: the model makes images from images.
    """
    spec = model.config.spec
    samples = model.sample(count, seed)
    columns = choose_columns(spec.classes if model.conditional else None)
    return render_samples(to_uint8(samples) if spec.is_image else samples, spec.modes, columns)


def show_model(model: LoadedModel, count: int, seed: int) -> Image.Image:
    """Draw samples as one PIL image; see :meth:`ganzoo.Model.show`."""
    return to_pil(draw_picture(model, count, seed))


def render_model(model: LoadedModel) -> str:
    """Return a model as HTML: samples of seed 0, its scores, and what to do next."""
    parts = [html.heading(describe_model(model).strip("<>"))]
    with suppress(GanzooError):  # of a model that makes images from images
        parts.append(html.picture(to_png(draw_picture(model), {}), f"{SHOWN} samples of seed 0"))
    folder = model.folder
    with suppress(GanzooError):  # damaged scores do not hide the model
        parts.append(score_table([] if folder is None else folder.scores()))
    calls = ["model.images(16, seed=0)  # PIL images", "ganzoo.evaluate(model)"]
    if model.architecture.takes_latents:
        calls.insert(1, "model.walk(8, seeds=[0, 1, 2])  # frames between samples")
    return "\n".join(filter(None, [*parts, html.code(calls)]))
