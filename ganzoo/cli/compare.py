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

    groups = ranked(models, metric or (), print_warning)
    if as_json:
        print_json(
            {"groups": [_as_json(group) for group in groups], "differences": groups.differences}
        )
        return
    for i, group in enumerate(groups):
        if i:
            print()
        print_line(group.title)
        print_table(*group.table())
    for line in groups.differences:
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
