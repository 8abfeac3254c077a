"""Analysis of a run's model and data: nearest training samples, logits, and their surface."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import torch

from ganzoo.compute.seeding import preserve_rng_state
from ganzoo.errors import GanzooError, first_line
from ganzoo.evaluation.nearest import (
    Neighbour,
    NeighbourSearch,
    even_indices,
    read_training_samples,
)
from ganzoo.evaluation.sample_sets import draw_fakes
from ganzoo.media import images
from ganzoo.models.inputs import cycle_classes
from ganzoo.models.model import Model, load
from ganzoo.protocols.dataset import Samples
from ganzoo.protocols.packing import judge_samples
from ganzoo_zoo.apps.report.charts import Chart, draw_histogram
from ganzoo_zoo.apps.report.logits import compute_logits
from ganzoo_zoo.apps.report.pictures import data_uri
from ganzoo_zoo.apps.report.reals import Reals, draw_reals
from ganzoo_zoo.apps.report.surface import Surface, compute_surface, has_surface

if TYPE_CHECKING:
    from torch import Tensor

    from ganzoo.runs.folder import Run

Found = TypeVar("Found")

SEED = 0
"""Seed of the fakes, the default of ``ganzoo sample``."""
NEAREST = 4
"""Training samples beside each fake."""
REFERENCE = 64
"""Training samples whose own nearest neighbours are measured for comparison."""
JUDGED = 256
"""The most fakes, and training samples, in the histogram of logits."""
JUDGED_NUMBERS = 1 << 20
"""The most numbers of all of these together."""
FEWEST_JUDGED = 32
"""The fewest of these, even if they exceed ``JUDGED_NUMBERS``."""
SIDES = (96, 64)
"""Longer side of an image in pixels, if there are at most ``FEW`` fakes, and if there are more."""
FEW = 8
LOGIT_TITLE = "Logits of the last discriminator"


@dataclass(frozen=True)
class Tile:
    """A small image with a caption."""

    uri: str
    width: int
    height: int
    about: str
    """Text alternative of the image."""
    caption: str = ""


@dataclass(frozen=True)
class Neighbours:
    """Fakes beside their nearest training samples."""

    rows: tuple[tuple[Tile, ...], ...]
    """Rows of a fake followed by its nearest training samples."""
    translated: bool
    searched: int
    total: int
    mirrored: bool
    """Whether mirrored training samples were searched too."""
    real_distance: str
    """Median distance of training samples to their nearest neighbours, as text, or empty."""


@dataclass
class ModelAnalysis:
    """The results of an analysis."""

    parameters: dict[str, int] = field(default_factory=dict)
    """Number of parameters by network."""
    neighbours: Neighbours | None = None
    logits: Chart | None = None
    surface: Surface | None = None
    reals: Reals | None = None
    missing: list[str] = field(default_factory=list)
    """What could not be computed, each with the reason."""

    @property
    def embedded(self) -> int:
        """Bytes of its pictures in the page."""
        rows = self.neighbours.rows if self.neighbours else ()
        tiles = sum(len(tile.uri) for row in rows for tile in row)
        return tiles + (len(self.reals.uri) if self.reals else 0)


def analyse_model(run: Run, count: int, layout: str) -> ModelAnalysis:
    """Analyse a run's model and data.

    Args:
        run: The run.
        count: Number of fakes to show beside their nearest training samples.
        layout: Layout of the run's pictures, in which real samples are drawn.
    """
    analysis = ModelAnalysis()
    with preserve_rng_state():
        model = _try(analysis, "the model", lambda: load(run))
        if model is None:
            return analysis
        for word in ("generator", "discriminator"):
            network = _try(analysis, f"the {word}", partial(getattr, model, word))
            if network is not None:
                analysis.parameters[word] = sum(each.numel() for each in network.parameters())
        if "discriminator" in analysis.parameters and has_surface(
            model.config.spec, conditional=model.conditional
        ):
            analysis.surface = _try(
                analysis,
                "the discriminator's surface",
                lambda: compute_surface(
                    judge_samples(model.architecture, model.discriminator, model.config.spec),
                    model.config.spec,
                ),
            )
        samples = _try(analysis, "the training data", lambda: read_training_samples(model))
        if samples is None:
            return analysis
        analysis.reals = _try(analysis, "real samples", lambda: draw_reals(model, samples, layout))
        made = _try(analysis, "samples of the model", lambda: _make_fakes(model, samples, count))
        if made is not None:
            _add_comparisons(analysis, model, samples, made, count)
    return analysis


def find_reals(run: Run, layout: str) -> ModelAnalysis:
    """Read no more of a run's model and data than its real samples need."""
    analysis = ModelAnalysis()
    with preserve_rng_state():
        if (model := _try(analysis, "the model", lambda: load(run))) is None:
            return analysis
        samples = _try(analysis, "the training data", lambda: read_training_samples(model))
        if samples is not None:
            analysis.reals = _try(
                analysis, "real samples", lambda: draw_reals(model, samples, layout)
            )
    return analysis


def _add_comparisons(
    analysis: ModelAnalysis, model: Model, samples: Samples, made: Samples, count: int
) -> None:
    if model.config.spec.is_image:
        analysis.neighbours = _try(
            analysis,
            "the nearest training samples",
            lambda: _find_neighbours(model, samples, made, count),
        )
    # The logits of translations say nothing, because their sources are training samples.
    if "discriminator" in analysis.parameters and model.architecture.takes_latents:
        analysis.logits = _try(analysis, "logits", lambda: _draw_logits(model, samples, made))


def _try(analysis: ModelAnalysis, what: str, find: Callable[[], Found]) -> Found | None:
    """Return a result; on an error, which any plugin or file may raise, note it and return None."""
    try:
        return find()
    except GanzooError as error:
        analysis.missing.append(f"{what}: {error}")
    except Exception as error:
        analysis.missing.append(f"{what}: {type(error).__name__}: {first_line(error)}")
    return None


def _make_fakes(model: Model, samples: Samples, count: int) -> Samples:
    """Make at least ``count`` fakes, labelled if the model is conditional."""
    spec = model.config.spec
    if model.architecture.takes_latents:
        count = max(count, min(JUDGED, max(FEWEST_JUDGED, JUDGED_NUMBERS // spec.size)))
        inputs = model.inputs.draw(count, SEED)
        return Samples(spec, model.generate(inputs, stored=True), inputs.labels)
    if model.architecture.takes_sources:
        return draw_fakes(model, samples, count, SEED)
    assert spec.classes is not None  # domains are classes
    assert samples.labels is not None
    # Each class in turn, from source images of the next class.
    labels = cycle_classes(count, spec.classes)
    members = [torch.where(samples.labels == label)[0] for label in range(spec.classes)]
    others = [members[label] for label in ((labels + 1) % spec.classes).tolist()]
    sources = [own[i // spec.classes % len(own)] for i, own in enumerate(others)]
    inputs = model.inputs.from_images(samples.batch(torch.stack(sources)), labels)
    return Samples(spec, model.generate(inputs, stored=True), labels)


def _find_neighbours(model: Model, samples: Samples, made: Samples, count: int) -> Neighbours:
    search = NeighbourSearch(samples)
    near = search.nearest(made.stored[:count], NEAREST)
    apart = search.median_spacing(REFERENCE)
    names = samples.spec.class_names or tuple(map(str, range(samples.spec.classes or 0)))
    side = SIDES[count > FEW]
    texts = images.provenance(model.title, SEED)

    def own(i: int) -> Tile:
        label = "" if made.labels is None else names[int(made.labels[i])]
        about = f"Generated image {i + 1}" + (f", class {label}" if label else "")
        return _make_tile(made.stored[i], side, about, label, texts)

    def beside(i: int, rank: int, one: Neighbour) -> Tile:
        label = "" if samples.labels is None else names[int(samples.labels[one.index])]
        about = f"Training image {one.index}, neighbour {rank + 1} of image {i + 1}"
        about += f", class {label}" if label else ""
        about += ", mirrored" if one.mirrored else ""
        image = samples.stored[one.index]
        shown = image.flip(-1) if one.mirrored else image
        return _make_tile(shown, side, about, f"{one.distance:.1f}", {})

    return Neighbours(
        tuple(
            (own(i), *(beside(i, rank, one) for rank, one in enumerate(each)))
            for i, each in enumerate(near)
        ),
        not model.architecture.takes_latents,
        len(search.candidates),
        len(samples),
        samples.flip,
        "" if apart is None else f"{apart:.1f}",
    )


def _make_tile(image: Tensor, side: int, about: str, caption: str, texts: dict[str, str]) -> Tile:
    height, width = image.shape[1:]
    if (longer := max(height, width)) > side:
        scaled = [max(1, round(each * side / longer)) for each in (height, width)]
        image = images.resize(image[None], (scaled[0], scaled[1]))[0]
    uri = data_uri(images.to_png(image, texts), "png")
    return Tile(uri, image.shape[2], image.shape[1], about, caption)


def _draw_logits(model: Model, samples: Samples, made: Samples) -> Chart:
    reals = samples.subset(even_indices(len(samples), len(made)))
    judge = judge_samples(model.architecture, model.discriminator, model.config.spec)
    found = {
        name: compute_logits(judge, some, conditional=model.conditional)
        for name, some in (("training samples", reals), ("generated samples", made))
    }
    return draw_histogram(LOGIT_TITLE, found)
