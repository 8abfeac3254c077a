"""Collection of a run's data for its report; missing or damaged parts are listed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from ganzoo.errors import GanzooError
from ganzoo.protocols.tracker import METRICS_FILE
from ganzoo.registry import ARCHITECTURE
from ganzoo.runs.scores import read_logged_scores
from ganzoo_zoo.apps.report import history, nearest_and_logits, pictures, scores, training
from ganzoo_zoo.apps.report.history import History
from ganzoo_zoo.apps.report.nearest_and_logits import ModelAnalysis
from ganzoo_zoo.apps.report.numbers import Numbers, read_numbers
from ganzoo_zoo.apps.report.reals import class_columns
from ganzoo_zoo.apps.report.surface import Surface, read_surface
from ganzoo_zoo.apps.report.tracker_files import TrackerFiles

if TYPE_CHECKING:
    from ganzoo.config import RunConfig
    from ganzoo.runs.folder import Run
    from ganzoo.runs.metrics import Curve
    from ganzoo.runs.scores import ScoreRow

Found = TypeVar("Found")

MOST_EMBEDDED = 2_600_000
"""Bytes of all pictures of a page before base64, unless those beside the samples take more."""


@dataclass
class ReportData:
    """The data of a run for its report."""

    run: Run
    config: RunConfig
    history: History
    progress: training.Progress
    pictures: pictures.Pictures
    layout: str
    """Layout of the pictures, see :func:`ganzoo.media.images.describe_layout`; or empty."""
    analysis: ModelAnalysis
    scores: scores.Scores
    surfaces: dict[int, Surface]
    """Logits behind the pictures of points, by step."""
    machine: dict[str, str]
    rows: list[ScoreRow]
    """Scores in order of evaluation."""
    numbers: Numbers
    """What a tracker measured of points on the way."""
    missing: list[str] = field(default_factory=list)
    """What could not be read, each with the reason."""

    @property
    def takes_images(self) -> bool:
        """Whether its generator starts from images; False if its package is not installed."""
        try:
            return not self.config.architecture.build(ARCHITECTURE).takes_latents
        except GanzooError:
            return False

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the classes above the columns of its pictures; empty if they are none."""
        spec = self.progress.spec
        try:
            architecture = self.config.architecture.build(ARCHITECTURE)
        except GanzooError:
            return ()
        if spec is None or not architecture.takes_latents or not architecture.takes_labels(spec):
            return ()
        return class_columns(spec, self.layout)


def gather_run(
    run: Run, neighbours: int, budget: int = pictures.BUDGET, name: str = ""
) -> ReportData:
    """Collect the data of a run.

    Args:
        run: The run.
        neighbours: See :func:`ganzoo_zoo.apps.report.report`.
        budget: See :func:`~ganzoo_zoo.apps.report.pictures.gather_pictures`.
        name: The name of the run on the page; that of its folder, if empty.

    Raises:
        ganzoo.errors.InputError: the configuration of the run is damaged.
    """
    config = run.config()
    missing: list[str] = []

    def try_read(what: str, read: Callable[[], Found], default: Found) -> Found:
        try:
            return read()
        except (GanzooError, OSError) as error:
            missing.append(f"{what}: {error}")
            return default

    files = TrackerFiles(run.path)
    no_logits: dict[str, Curve] = {}
    logits = try_read("logits", files.read_logits, no_logits)
    logged = try_read(
        "curves and warnings",
        lambda: history.read_history(run.path / METRICS_FILE, config, logits),
        History(),
    )
    logged.warnings += try_read("warnings", files.read_warnings, [])
    drawn = pictures.list_steps(run)
    progress = training.find_progress(run, config, logged.last_step, max(drawn, default=0))
    layout, seen = pictures.read_layout(run), ModelAnalysis()
    if neighbours:
        seen = nearest_and_logits.analyse_model(run, neighbours, layout)
    room = max(pictures.LEAST, MOST_EMBEDDED - seen.embedded * 3 // 4)
    best = [] if progress.best is None else [progress.best]
    taken = pictures.gather_pictures(run, best, min(budget, room))
    missing += [*taken.damaged, *seen.missing]
    no_rows: list[ScoreRow] = []
    rows = try_read("scores", lambda: read_logged_scores(run.score_log), no_rows)
    surfaces: dict[int, Surface] = {}
    for step in [picture.step for picture in taken.taken]:
        own = seen.surface if step == progress.model else None
        if (file := files.surface_path(step)).exists():
            own = try_read(f"the surface of step {step}", partial(read_surface, file), own)
        surfaces |= {} if own is None else {step: own}
    return ReportData(
        run,
        config,
        logged,
        progress,
        taken,
        layout,
        seen,
        scores.gather_scores(rows, progress.best, progress.model, name or run.path.resolve().name),
        surfaces,
        try_read("the machine", files.read_machine, {}),
        rows,
        try_read("numbers of points", lambda: read_numbers(run.path), Numbers()),
        missing,
    )
