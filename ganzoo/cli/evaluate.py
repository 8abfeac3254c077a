"""``ganzoo eval``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ganzoo.cli.common import (
    Device,
    Json,
    ModelArgument,
    Settings,
    complete_names,
    print_json,
    print_table,
)
from ganzoo.cli.help import list_examples
from ganzoo.display.messages import note, print_warning
from ganzoo.distributed import is_first
from ganzoo.errors import InputError
from ganzoo.registry import DATASET, EVALUATOR, FEATURE_EXTRACTOR

if TYPE_CHECKING:
    from ganzoo.runs.scores import ScoreRow


EXAMPLES = list_examples(
    ("Every score that fits the data, of your newest run.", "eval"),
    ("One score, from three sets of samples.", "eval RUN --metric fid --repeats 3"),
    ("What other real samples would score: the best that a model can reach.", "eval RUN --floor"),
)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("eval", epilog=EXAMPLES)(evaluate)


def evaluate(
    model: ModelArgument = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            help="Name of a metric; repeatable; by default every metric that fits the data.",
            autocompletion=complete_names(EVALUATOR),
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="NAME or PATH",
            help="The real samples; by default the model's training data.",
            autocompletion=complete_names(DATASET),
        ),
    ] = None,
    settings: Settings = None,
    floor: Annotated[
        bool,
        typer.Option(
            "--floor",
            help="Judge other real samples in place of the model: a perfect model's score.",
        ),
    ] = False,
    samples: Annotated[
        int | None,
        typer.Option(min=1, help="Number of fakes; by default that of the reals, up to 10,000."),
    ] = None,
    real_samples: Annotated[
        int | None, typer.Option(min=1, help="Number of reals; by default all of them.")
    ] = None,
    features: Annotated[
        str | None,
        typer.Option(
            help="Feature extractor to use instead of the data's or the metric's own.",
            autocompletion=complete_names(FEATURE_EXTRACTOR),
        ),
    ] = None,
    features_weights: Annotated[
        Path | None, typer.Option(metavar="PATH", help="File with the extractor's weights.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the fakes.")] = 0,
    repeats: Annotated[
        int,
        typer.Option(
            min=1,
            help="Number of sets of fakes, from consecutive seeds; reports mean and deviation.",
        ),
    ] = 1,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Judge a trained model.

    Set options of the data and of metrics with --set data.KEY=VALUE and
    --set metric.NAME.KEY=VALUE; 'ganzoo show NAME' lists them.
    """
    from ganzoo.api.evaluation import evaluate as judge
    from ganzoo.display.terminal import ProgressBar
    from ganzoo.resolve import parse_settings

    data_options, metric_options = _split_options(parse_settings(settings or []))
    with ProgressBar() as progress:
        rows, unkept = _catch_unkept(judge)(
            model,
            metric,
            data=data,
            data_options=data_options,
            metric_options=metric_options,
            floor=floor,
            samples=samples,
            real_samples=real_samples,
            features=features,
            features_weights=features_weights,
            seed=seed,
            repeats=repeats,
            device=device,
            progress=progress,
            warn=print_warning,
        )
    if not is_first():
        return
    if as_json:
        print_json({"scores": [row.model_dump(mode="json") for row in rows]})
    else:
        _print_scores(rows)
    if unkept is not None:
        raise unkept


def _catch_unkept(judge: Callable[..., list[ScoreRow]]) -> Callable[..., Any]:
    """Have a function return its rows also if they could not be written, beside the error."""
    from ganzoo.api.evaluation import ScoresNotKept

    def run(*args: Any, **kwargs: Any) -> tuple[list[ScoreRow], ScoresNotKept | None]:
        try:
            return judge(*args, **kwargs), None
        except ScoresNotKept as error:
            return error.rows, error

    return run


def _split_options(settings: dict[str, str]) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Split settings into the options of the data and those of each metric."""
    data: dict[str, Any] = {}
    metrics: dict[str, dict[str, Any]] = {}
    for key, value in settings.items():
        prefix, _, rest = key.partition(".")
        name, _, option = rest.rpartition(".")
        if prefix == "data" and rest:
            data[rest] = value
        elif prefix == "metric" and name and option:
            metrics.setdefault(name, {})[option] = value
        else:
            raise InputError(
                f"--set {key}: only data.OPTION and metric.NAME.OPTION can be set here"
            )
    return data, metrics


def _print_scores(rows: list[ScoreRow]) -> None:
    print_table(
        ("metric", "value", "better", "note"),
        [
            (
                row.metric,
                row.format_value(),
                "higher" if row.higher_is_better else "lower",
                row.note or "",
            )
            for row in rows
        ],
    )
    first = rows[0]
    features = f", features of {first.features['name']}" if first.features else ""
    seeds = f"seed {first.seed}"
    if first.repeats > 1:
        seeds = f"seeds {first.seed} to {first.seed + first.repeats - 1} each"
    note(
        f"{first.fake_samples} fakes of {seeds} against {first.real_samples} reals of "
        f"{first.data['name']} ({first.data['split']}){features}"
    )
