"""The picture of a sweep: the scores of each combination, and samples of the best runs."""

from __future__ import annotations

import textwrap
import warnings
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganzoo.runs.folder import Run
from ganzoo_zoo.apps.sweep.grid import describe_combination
from ganzoo_zoo.apps.sweep.results import PICTURE_FILE, Line, Results

if TYPE_CHECKING:
    from torch import Tensor

MOST_LINES = 40
"""The most combinations of a group that are drawn, the best ones."""
MOST_SHOWN = 8
"""The most combinations whose samples are shown, the best ones."""
MOST_SEEDS = 4
"""The most runs of a combination whose samples are shown."""
SIDES = (2.7, 3.9)
"""Minimal and maximal side of a sample picture in inches, so that images stay recognisable."""
LINE = 0.3
"""Height of a combination among the scores, in inches."""
WIDTH = 8.0
DOTS_PER_INCH = 120
INK = "#1f77b4"


def draw_picture(results: Results) -> Path:
    """Draw the scores of all seeds above the samples of the best runs, and return the file."""
    from ganzoo.media.images import provenance, save_png

    path = results.folder / PICTURE_FILE
    names = [
        " or ".join(dict.fromkeys(cell.combination[axis] for cell in results.cells))
        for axis in ("architecture", "loss")
    ]
    title = f"runs of {names[0]} trained with {names[1]}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the font may lack letters of a name
        picture = _render(results)
    save_png(picture, path, provenance(title, results.cells[0].seed))
    return path


def _render(results: Results) -> Tensor:
    """Return the picture as uint8 ``(3, H, W)``."""
    import numpy
    import torch
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    groups: dict[int, list[Line]] = defaultdict(list)
    for line in results.lines:
        if line.group is not None and len(groups[line.group]) < MOST_LINES:
            groups[line.group].append(line)
    shown = [line for line in results.lines if line.judged][:MOST_SHOWN]
    columns = min(MOST_SEEDS, max(len(line.judged) for line in shown))
    heights = [LINE * len(lines) + 1.0 for lines in groups.values()]
    width = max(WIDTH, columns * SIDES[0])
    below = len(shown) * (min(SIDES[1], width / columns) + 0.5)
    size = (width, sum(heights) + below)
    figure = Figure(size, DOTS_PER_INCH, layout="constrained")
    top, bottom = figure.subfigures(2, 1, squeeze=False, height_ratios=(sum(heights), below))[:, 0]
    parts = top.add_gridspec(len(groups), 1, height_ratios=heights)
    for part, lines in zip(parts, groups.values(), strict=True):
        _draw_scores(top.add_subplot(part), lines, results)
    pictures = bottom.subplots(len(shown), columns, squeeze=False)
    for line, row in zip(shown, pictures, strict=True):
        for axes in row[len(line.judged) :]:
            axes.axis("off")
        for axes, cell in zip(row, line.judged, strict=False):
            _draw_samples(axes, Run(results.folder / cell.name).picture(cell.config.train.steps))
            first = next(iter(line.means))
            rows = results.verdicts[cell.name].scores
            score = next(row.value for row in rows if row.metric == first)
            words = textwrap.shorten(_label_of(line), 40, placeholder="...")
            _draw_title(axes, f"{words}\nseed {cell.seed}: {score:.4g}")
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = numpy.asarray(canvas.buffer_rgba())[..., :3]
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)


def _draw_scores(axes: Any, lines: list[Line], results: Results) -> None:
    """Draw a row per combination: a dot for each seed, the mean and the standard deviation."""
    first = next(iter(lines[0].means.values()))
    for y, line in enumerate(lines):
        mean = line.means[first.metric]
        values = [
            row.value
            for cell in line.judged
            for row in results.verdicts[cell.name].scores
            if row.metric == first.metric
        ]
        axes.plot(values, [y] * len(values), "o", color=INK, alpha=0.4, markersize=4)
        axes.errorbar(mean.value, y, xerr=mean.std, fmt="D", color=INK, capsize=3, markersize=5)
    names = [textwrap.shorten(_label_of(line), 60, placeholder="...") for line in lines]
    axes.set_yticks(range(len(lines)), names, parse_math=False)
    axes.set_ylim(len(lines) - 0.5, -0.5)
    axes.grid(axis="x", alpha=0.3)
    better = "higher" if first.higher_is_better else "lower"
    _draw_title(axes, f"{first.metric}: {better} is better; dots are seeds")


def _draw_samples(axes: Any, path: Path) -> None:
    """Show the sample picture of a run."""
    from ganzoo.media.images import load_png

    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_color("lightgrey")
    pixels, _ = load_png(path)
    rgb = pixels[:3].expand(3, -1, -1).permute(1, 2, 0).numpy()
    axes.imshow(rgb, interpolation="antialiased")


def _label_of(line: Line) -> str:
    return describe_combination(line.combination)


def _draw_title(axes: Any, text: str) -> None:
    axes.set_title(text, fontsize=9, parse_math=False)
