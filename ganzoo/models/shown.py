"""What a model is, as a notebook and a Python prompt show it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ganzoo.errors import escape_text
from ganzoo.media import html
from ganzoo.media.images import (
    choose_columns,
    load_png,
    render_samples,
    to_pil,
    to_small_png,
    to_uint8,
)
from ganzoo.models.translations import Translator, draw_pairs, translate_training_data
from ganzoo.runs.file_names import PICTURE_FILE
from ganzoo.runs.scores import ScoreTable
from ganzoo.runs.shown import show_if_readable

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from ganzoo.models.folder import ModelFolder

ROWS = 2
"""Rows of samples that are shown where nobody says how many."""
POINTS = 1000
"""The same of vectors."""


class LoadedModel(Translator, Protocol):
    """What is read of a :class:`ganzoo.Model`, which shows itself by these functions."""

    folder: ModelFolder | None

    @property
    def title(self) -> str:
        """The model in a few words."""

    def sample(self, count: int, seed: int) -> Tensor:
        """Draw samples."""


def describe_model(model: LoadedModel) -> str:
    """Return a model in a line."""
    spec = model.config.spec
    kind = "images" if spec.is_image else "vectors"
    classes = f", {spec.classes:,} classes" if model.conditional and spec.classes else ""
    return f"<Model {escape_text(_read_title(model))}: {kind} of {spec.size_in_words}{classes}>"


def _read_title(model: LoadedModel) -> str:
    """Return the title; of damaged files, what the model was loaded with."""
    own = f"{model.config.title}, step {model.config.step}"
    return show_if_readable(lambda: model.title) or own


def draw_picture(model: LoadedModel, count: int | None = None, seed: int = 0) -> Tensor:
    """Draw samples as one picture, uint8 ``(C, H, W)``; see :meth:`ganzoo.Model.show`.

    Raises:
        ganzoo.errors.InputError: as for :meth:`ganzoo.Model.show`.
    """
    spec = model.config.spec
    columns = choose_columns(spec.classes if model.conditional else None)
    if not model.architecture.takes_latents:
        pairs = choose_columns(None) if count is None else count
        return draw_pairs(*translate_training_data(model, pairs, seed))
    if count is None:
        count = ROWS * columns if spec.is_image else POINTS
    samples = model.sample(count, seed)
    return render_samples(to_uint8(samples) if spec.is_image else samples, spec.modes, columns)


def show_model(model: LoadedModel, count: int | None, seed: int) -> Image.Image:
    """Draw samples as one PIL image; see :meth:`ganzoo.Model.show`."""
    return to_pil(draw_picture(model, count, seed))


def render_model(model: LoadedModel) -> str:
    """Return a model as HTML: its picture, its scores, and what to do next."""
    calls = ["model.show(16)", "ganzoo.evaluate(model)"]
    if model.architecture.takes_latents:
        calls[1:1] = ["model.sample(16, seed=0)  # a tensor"]
        if model.config.spec.is_image:
            calls[1:1] = ["model.images(16, seed=0)  # PIL images"]
    else:
        calls[1:1] = ["model.translate(sources)"]
    parts = [
        html.heading(describe_model(model)[1:-1]),
        show_if_readable(lambda: _render_picture(model)),
        show_if_readable(lambda: _render_scores(model)),
        html.code(calls),
    ]
    return "\n".join(filter(None, parts))


def _render_picture(model: LoadedModel) -> str:
    """Return the picture among the model's files, which is there at once; else draw one."""
    folder = model.folder
    if folder is not None and folder.has(PICTURE_FILE):
        picture = load_png(folder.file(PICTURE_FILE))[0]
    else:
        picture = draw_picture(model)
    return html.picture(to_small_png(picture), "Samples")


def _render_scores(model: LoadedModel) -> str:
    scores = ScoreTable([] if model.folder is None else model.folder.scores())
    return scores._repr_html_() if scores else ""
