"""What a run is, as a notebook and a Python prompt show it."""

from __future__ import annotations

from collections.abc import Callable

from ganzoo.errors import GanzooError, escape_text
from ganzoo.media import html
from ganzoo.protocols.tracker import METRICS_FILE
from ganzoo.runs.file_names import MANIFEST_FILE
from ganzoo.runs.metrics import NETWORKS, Curve, CurveReader, is_number, loss_terms, read_metrics
from ganzoo.runs.scores import ScoreTable, read_logged_scores
from ganzoo.runs.state import DIVERGED, FINISHED, RunFiles, has_model, read_progress


def show_if_readable(make: Callable[[], str]) -> str:
    """Return a part of what is shown, or nothing if its files are damaged or gone."""
    try:
        return make()
    except (GanzooError, OSError):
        return ""


def describe_run(run: RunFiles) -> str:
    """Return a run in a line; one that cannot be read is its folder alone."""
    found = show_if_readable(lambda: _describe_progress(run)) or "it cannot be read"
    scores = "".join(f", {row.metric} {row.value:.4g}" for row in newest_scores(run))
    return escape_text(f"<Run {run.path}: {found}{scores}>")


def _describe_progress(run: RunFiles) -> str:
    progress = read_progress(run)
    step, steps = max(progress.step, progress.saved_step), progress.config.train.steps
    state = progress.find_state()
    if state == FINISHED:
        return f"{progress.config.title}, finished, {steps:,} steps"
    if state != DIVERGED and _is_stopped(run):
        state = "stopped"
    return f"{progress.config.title}, {state}, step {step:,} of {steps:,}"


def _is_stopped(run: RunFiles) -> bool:
    """Tell whether a model was written after everything else: an observer stopped the training."""
    model, metrics = run.model / MANIFEST_FILE, run.path / METRICS_FILE
    if not (model.is_file() and metrics.is_file()):
        return False
    return model.stat().st_mtime_ns >= metrics.stat().st_mtime_ns


def newest_scores(run: RunFiles) -> ScoreTable:
    """Return the scores of the last step that was scored; none if they cannot be read."""
    try:
        rows = read_logged_scores(run.score_log)
    except (GanzooError, OSError):
        return ScoreTable()
    last = max((row.step or 0 for row in rows), default=0)
    return ScoreTable({row.key: row for row in rows if (row.step or 0) == last}.values())


def render_run(run: RunFiles) -> str:
    """Return a run as HTML: its newest samples, its losses, its scores, and what to do next."""
    scores = newest_scores(run)
    parts = [
        html.heading(describe_run(run)[1:-1]),
        show_if_readable(lambda: _render_newest_picture(run)),
        show_if_readable(lambda: html.chart(_read_losses(run))),
        scores._repr_html_() if scores else "",
        show_if_readable(lambda: _render_calls(run)),
    ]
    return "\n".join(filter(None, parts))


def _render_calls(run: RunFiles) -> str:
    place = repr(str(run.path))
    if not has_model(run):
        return html.code([f"ganzoo.resume({place})"])
    return html.code(
        [f"model = ganzoo.load({place})", "model.show(16)", f"ganzoo.evaluate({place})"]
    )


def _render_newest_picture(run: RunFiles) -> str:
    from ganzoo.media.images import load_png, to_small_png

    pictures = run.pictures()
    if not pictures:
        return ""
    step = max(pictures)
    return html.picture(to_small_png(load_png(pictures[step])[0]), f"Samples at step {step:,}")


def _read_losses(run: RunFiles) -> dict[str, Curve]:
    """Return the sum of each network's terms by step."""
    found = {network: CurveReader() for network in NETWORKS}
    for step, row in read_metrics(run.path / METRICS_FILE):
        for network, terms in loss_terms(row).items():
            if numbers := [value for value in terms.values() if is_number(value)]:
                found[network].add(step, float(sum(numbers)))
    return {network: curve.curve() for network, curve in found.items()}
