"""What a run is, as a notebook and a Python prompt show it."""

from __future__ import annotations

from ganzoo.errors import GanzooError, escape_text
from ganzoo.media import html
from ganzoo.protocols.tracker import METRICS_FILE
from ganzoo.runs.metrics import NETWORKS, Curve, CurveReader, is_number, read_metrics
from ganzoo.runs.scores import ScoreTable, read_logged_scores
from ganzoo.runs.state import FINISHED, RunFiles, has_model, read_progress

UNREADABLE = (GanzooError, OSError)
"""What a damaged run raises, which must not keep anybody from seeing the rest of it."""


def describe_run(run: RunFiles) -> str:
    """Return a run in a line; one that cannot be read is its folder alone."""
    path = escape_text(str(run.path))
    try:
        progress = read_progress(run)
    except UNREADABLE:
        return f"<Run {path}: it cannot be read>"
    config, state = progress.config, progress.find_state()
    step, steps = max(progress.step, progress.saved_step), config.train.steps
    if state == FINISHED:
        where = f"finished, {steps:,} steps"
    else:
        where = f"{state}, step {step:,} of {steps:,}"
    scores = "".join(f", {row.metric} {row.value:.4g}" for row in newest_scores(run))
    return f"<Run {path}: {escape_text(config.title)}, {where}{escape_text(scores)}>"


def newest_scores(run: RunFiles) -> ScoreTable:
    """Return the scores of the last step that was scored; none if they cannot be read."""
    try:
        rows = read_logged_scores(run.score_log)
    except UNREADABLE:
        return ScoreTable()
    last = max((row.step or 0 for row in rows), default=0)
    return ScoreTable({row.key: row for row in rows if (row.step or 0) == last}.values())


def render_run(run: RunFiles) -> str:
    """Return a run as HTML: its newest samples, its losses, its scores, and what to do next."""
    scores, place = newest_scores(run), repr(str(run.path))
    calls = [f"ganzoo.resume({place})"]
    if has_model(run):
        calls = [f"model = ganzoo.load({place})", "model.show(16)", f"ganzoo.evaluate({place})"]
    parts = [
        html.heading(describe_run(run).strip("<>")),
        _render_newest_picture(run),
        html.chart(_read_losses(run)),
        scores._repr_html_() if scores else "",
        html.code(calls),
    ]
    return "\n".join(filter(None, parts))


def _render_newest_picture(run: RunFiles) -> str:
    from ganzoo.media.images import load_png, to_small_png

    pictures = run.pictures()
    if not pictures:
        return ""
    step = max(pictures)
    try:
        return html.picture(to_small_png(load_png(pictures[step])[0]), f"Samples at step {step:,}")
    except UNREADABLE:
        return ""


def _read_losses(run: RunFiles) -> dict[str, Curve]:
    """Return the sum of each network's terms by step; none if the metrics cannot be read."""
    found = {network: CurveReader() for network in NETWORKS}
    try:
        for step, row in read_metrics(run.path / METRICS_FILE):
            for network, curve in found.items():
                terms = [
                    value
                    for key, value in row.items()
                    if key.startswith(f"{network}/")
                    and not key.endswith("/gradient_norm")
                    and is_number(value)
                ]
                if terms:
                    curve.add(step, float(sum(terms)))
    except UNREADABLE:
        return {}
    return {network: curve.curve() for network, curve in found.items()}
