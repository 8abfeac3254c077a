"""``ganzoo compare``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ganzoo.cli.common import (
    Json,
    complete_models,
    complete_names,
    print_json,
    print_line,
    print_table,
)
from ganzoo.cli.help import list_examples
from ganzoo.display.messages import note, print_warning
from ganzoo.registry import EVALUATOR

if TYPE_CHECKING:
    from ganzoo.evaluation.compare import ScoreGroup


EXAMPLES = list_examples(
    ("Two runs that ganzoo eval has judged.", "compare runs/one runs/other"),
    ("By one metric.", "compare runs/one runs/other --metric fid"),
)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("compare", epilog=EXAMPLES)(compare)


def compare(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL...",
            help="Models with scores: names of 'ganzoo list models', runs that were evaluated, "
            "model folders or models on the Hub.",
            autocompletion=complete_models,
        ),
    ],
    metric: Annotated[
        list[str] | None,
        typer.Option(
            help="Metric to compare by; repeatable; by default all of them.",
            autocompletion=complete_names(EVALUATOR),
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Rank models by their scores.

    Only scores of the same protocol are ranked together; differences between protocols are listed.
    """
    from ganzoo.evaluation.compare import compare as ranked
    from ganzoo.evaluation.compare import differences

    groups = ranked(models, metric or (), print_warning)
    if as_json:
        print_json(
            {"groups": [_as_json(group) for group in groups], "differences": differences(groups)}
        )
        return
    for i, group in enumerate(groups):
        if i:
            print()
        _print_group(group)
    for line in differences(groups):
        note(line)


def _as_json(group: ScoreGroup) -> dict[str, object]:
    return {
        "metric": group.metric,
        "protocol": group.protocol,
        "ranking": [
            {"rank": place.rank, "model": place.model, **place.row.model_dump(mode="json")}
            for place in group.places
        ],
    }


def _print_group(group: ScoreGroup) -> None:
    best = group.places[0].row
    size = "" if best.image_size is None else f", {best.image_size[0]} x {best.image_size[1]}"
    better = "higher" if best.higher_is_better else "lower"
    print_line(
        f"{group.metric}, {better} is better: {best.fake_samples} fakes against "
        f"{best.real_samples} reals of {best.data['name']} ({best.data['split']}){size}"
    )
    print_table(
        ("rank", "model", "value", "seeds", "step"),
        [
            (
                str(place.rank),
                place.model,
                place.row.format_value(),
                _format_seeds(place.row.seed, place.row.repeats),
                "" if place.row.step is None else str(place.row.step),
            )
            for place in group.places
        ],
    )


def _format_seeds(first: int, count: int) -> str:
    return str(first) if count == 1 else f"{first} to {first + count - 1}"
