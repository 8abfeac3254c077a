"""What a run is, as a notebook and a Python prompt show it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ganzoo.errors import GanzooError, escape_text
from ganzoo.media import html
from ganzoo.protocols.tracker import METRICS_FILE
from ganzoo.runs.metrics import NETWORKS, Curve, read_metrics
from ganzoo.runs.scores import ScoreRow, read_logged_scores

if TYPE_CHECKING:
    from ganzoo.config import RunConfig


class RunFiles(Protocol):
    """What is read of a :class:`ganzoo.runs.folder.Run`, which shows itself by these functions."""

    path: Path
    scores: Path
    model: Path

    def config(self) -> RunConfig:
        """Read the configuration."""

    def pictures(self) -> dict[int, Path]:
        """Find the sample pictures by step."""


def describe_run(run: RunFiles) -> str:
    """Return a run in a line; one that cannot be read is its folder alone."""
    path = escape_text(str(run.path))
    try:
        config = run.config()
    except GanzooError:
        return f"<Run {path}: its configuration cannot be read>"
    done = max(run.pictures(), default=0)
    state = "finished" if run.model.is_dir() else f"step {done:,} of {config.train.steps:,}"
    scores = "".join(f", {row.metric} {row.value:.4g}" for row in newest_scores(run))
    return f"<Run {path}: {escape_text(config.title)}, {state}{escape_text(scores)}>"


def newest_scores(run: RunFiles) -> list[ScoreRow]:
    """Return the scores of the last step that was scored; none if they cannot be read."""
    try:
        rows = read_logged_scores(run.scores)
    except (GanzooError, OSError):
        return []
    last = max((row.step or 0 for row in rows), default=0)
    return list({row.key: row for row in rows if (row.step or 0) == last}.values())


def score_table(rows: list[ScoreRow]) -> str:
    """Return scores as a table in HTML; nothing without scores."""
    if not rows:
        return ""
    found = (
        (
            row.metric,
            row.format_value().replace("+-", "±"),
            "higher" if row.higher_is_better else "lower",
            "" if row.step is None else f"{row.step:,}",
        )
        for row in rows
    )
    return html.table(("metric", "value", "better", "step"), found)


def render_run(run: RunFiles) -> str:
    """Return a run as HTML: its newest samples, its losses, its scores, and what to do next."""
    parts = [html.heading(describe_run(run).strip("<>"))]
    pictures = run.pictures()
    if pictures:
        step, path = list(pictures.items())[-1]
        parts.append(html.picture(path.read_bytes(), f"Samples at step {step:,}"))
    parts += [html.chart(_read_losses(run)), score_table(newest_scores(run))]
    place = repr(str(run.path))
    parts.append(
        html.code(
            (
                f"model = ganzoo.load({place})",
                "model.show(16)",
                f"ganzoo.evaluate({place})",
            )
            if run.model.is_dir()
            else (f"ganzoo.resume({place})",)
        )
    )
    return "\n".join(filter(None, parts))


def _read_losses(run: RunFiles) -> dict[str, Curve]:
    """Return the sum of each network's terms by step; none if the metrics cannot be read."""
    found: dict[str, Curve] = {network: {} for network in NETWORKS}
    try:
        for step, row in read_metrics(run.path / METRICS_FILE):
            for network in NETWORKS:
                terms = [
                    value
                    for key, value in row.items()
                    if key.startswith(f"{network}/")
                    and not key.endswith("/gradient_norm")
                    and isinstance(value, (int, float))
                ]
                if terms:
                    found[network][step] = float(sum(terms))
    except (GanzooError, OSError):
        return {}
    return found
