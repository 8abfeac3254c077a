"""Reading runs for a record."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ganzoo import registry
from ganzoo.config import TrainOptions
from ganzoo.errors import GanzooError, InputError, escape_text, first_line
from ganzoo.protocols.tracker import METRICS_FILE
from ganzoo.recipes import COMPONENTS, OWN, find_recipe, gather_options, hash_recipe
from ganzoo.registry import RECIPE
from ganzoo.runs.machines import MACHINES_FILE, read_machines
from ganzoo.runs.metrics import MEMORISED, WarningReader, read_metrics
from ganzoo.runs.reproduce import build_reproduction, format_argument, train_command
from ganzoo.runs.scores import ScoreRow, read_logged_scores, read_scores
from ganzoo.runs.state import find_number, has_model, is_divergence, read_progress
from ganzoo.storage.json_files import read_json
from ganzoo.storage.paths import strip_folders
from ganzoo_zoo.apps.record.form import (
    DIVERGED,
    FINISHED,
    STOPPED,
    Data,
    Failure,
    Memorised,
    Parameters,
    Record,
    SeedRun,
    WarningSpan,
    sort_scores,
)

if TYPE_CHECKING:
    from ganzoo.config import RunConfig
    from ganzoo.runs.folder import Run

DEFAULT_DEVICE = TrainOptions.model_fields["device"].default
NAMES = tuple(word for word, _ in COMPONENTS)

_log = logging.getLogger("ganzoo")


@dataclass(frozen=True)
class Recorded:
    """A record, and the run of its first seed."""

    record: Record
    run: Run


def record_runs(runs: Iterable[Run]) -> list[Recorded]:
    """Return a record of each configuration among runs, in the order of the runs.

    Raises:
        InputError: a run is damaged, or two runs of a configuration have the same seed.
        ganzoo.errors.PluginError: the package of a component is not installed.
    """
    groups: dict[tuple[str, str | None], dict[int, Run]] = {}
    for run in runs:
        config = run.config()
        same = groups.setdefault((hash_recipe(config), config.data_fingerprint), {})
        seed = config.train.seed
        if seed in same:
            raise InputError(
                f"{same[seed].path} and {run.path} have the same configuration and the seed "
                f"{seed}: give one of them"
            )
        same[seed] = run
    ordered = [[same[seed] for seed in sorted(same)] for same in groups.values()]
    return [Recorded(_record(same), same[0]) for same in ordered]


def compare_options(one: Run, other: Run) -> list[str]:
    """List the options that differ between two runs, as ``name: this -> that``."""
    mine, theirs = (_list_options(run.config()) for run in (one, other))
    return [
        f"{name}: {mine.get(name)} -> {theirs.get(name)}"
        for name in sorted({*mine, *theirs})
        if mine.get(name) != theirs.get(name)
    ]


def _record(runs: list[Run]) -> Record:
    """Return the record of runs of one configuration, whose seeds ascend."""
    first, config = runs[0], runs[0].config()
    digest, nearest = hash_recipe(config), _find_nearest(config)
    recipe = nearest.name if nearest is not None and nearest.hash == digest else None
    parameters, data = _describe_model(first, config)
    return Record(
        title=config.title,
        recipe=recipe,
        hash=digest,
        nearest=None if nearest is None else nearest.name,
        differences={} if nearest is None else nearest.differences,
        config=None if recipe is not None else _describe_config(config),
        command=_write_command(config, nearest if recipe is not None else None),
        data=data,
        parameters=parameters,
        picture=None,
        seeds=tuple(read_seed(run) for run in runs),
    )


# The configuration ------------------------------------------------------------------------------


@dataclass(frozen=True)
class NearRecipe:
    """An installed recipe beside the configuration of a run."""

    name: str
    hash: str
    differences: dict[str, tuple[Any, Any]]
    """Options that differ, by full name: the recipe's value and the run's."""
    names_data: bool
    """Whether the recipe names data; if not, they must be given."""


def _find_nearest(config: RunConfig) -> NearRecipe | None:
    """Find the recipe of the same configuration, or else the one that differs least."""
    digest = hash_recipe(config)
    found = list(_list_recipes(config))
    found.sort(key=lambda each: (each.hash != digest, len(each.differences), each.name))
    return found[0] if found else None


def _list_recipes(config: RunConfig) -> Iterator[NearRecipe]:
    """Yield the installed recipes with the architecture and the loss of a configuration."""
    ours = _list_options(config)
    for entry in registry.entries(RECIPE):
        try:
            recipe = find_recipe(entry.qualified)
            if recipe.architecture.rpartition(":")[2] != config.architecture.name:
                continue
            other = recipe.resolve_beside(config)
        except GanzooError as error:  # a damaged one of another package, or one that needs options
            _log.warning("%s is passed over: %s", entry.title, first_line(error))
            continue
        theirs = _list_options(other)
        if any(theirs[word] != ours[word] for word in NAMES[:2]):
            continue
        names = sorted({*ours, *theirs})
        yield NearRecipe(
            registry.shorten_name(RECIPE, entry.name, entry.package),
            hash_recipe(other),
            {
                name: (strip_folders(theirs.get(name)), strip_folders(ours.get(name)))
                for name in names
                if theirs.get(name) != ours.get(name)
            },
            recipe.data is not None,
        )


def _list_options(config: RunConfig) -> dict[str, Any]:
    """Return the names of the components and every option that is not of a run alone."""
    named = {word: getattr(config, word).qualified for word in NAMES}
    options = gather_options(config)
    return named | {name: value for name, value in options.items() if name not in OWN}


def _describe_config(config: RunConfig) -> dict[str, Any]:
    """Return the whole configuration in the form of a recipe, without places."""
    options = _list_options(config)
    found = {word: options.pop(word) for word in NAMES}
    for word in ("init", "fork"):
        start = getattr(config, word)
        if start is not None:
            found[word] = start.model_dump(mode="json")
    return strip_folders({**found, "settings": options})


def _write_command(config: RunConfig, recipe: NearRecipe | None) -> str:
    """Return the command that trains a run again, in one line and without places."""
    if recipe is None:
        train = config.train.model_copy(update={"device": DEFAULT_DEVICE})
        config = config.model_copy(update={"train": train})
        return train_command(config).replace(" \\\n  ", " ")
    words = ["ganzoo", "train", "--recipe", recipe.name, "--seed", str(config.train.seed)]
    changed = {name: value for name, (_, value) in recipe.differences.items()}
    if not recipe.names_data:
        given = build_reproduction(config, whole=False)
        words += ["--data", given.data]
        own = {name: value for name, value in given.settings.items() if name.startswith("data.")}
        changed = own | changed
    for name, value in changed.items():
        words += ["--set", f"{name}={format_argument(value)}"]
    return shlex.join(map(escape_text, words))


# The model and the data -------------------------------------------------------------------------


def _describe_model(run: Run, config: RunConfig) -> tuple[Parameters | None, Data]:
    """Return the numbers of parameters, if a run has a model, and its data."""
    options = config.data.options
    about = Data(
        name=config.data.name,
        split=options["split"] if isinstance(options.get("split"), str) else None,
        fingerprint=config.data_fingerprint,
        samples=_count_samples(config),
        shape=None,
        classes=None,
    )
    if not has_model(run):
        return None, about
    from ganzoo.models.model import load

    model = load(run)
    spec, discriminator = model.config.spec, None
    if model.folder is not None and not model.folder.lacks_discriminator:
        discriminator = sum(each.numel() for each in model.discriminator.parameters())
    parameters = Parameters(
        generator=sum(each.numel() for each in model.generator.parameters()),
        discriminator=discriminator,
    )
    return parameters, about.model_copy(update={"shape": spec.shape, "classes": spec.classes})


def _count_samples(config: RunConfig) -> int | None:
    """Return the number of training samples; None if they are not here any more."""
    try:
        data = config.data.build(registry.DATASET)
        if data.needs_download():
            return None
        samples = data.read()
    except (GanzooError, OSError) as error:
        _log.warning("how many samples the data have is not known: %s", first_line(error))
        return None
    return len(samples) if samples.fingerprint == config.data_fingerprint else None


# A run ------------------------------------------------------------------------------------------


def read_seed(run: Run) -> SeedRun:
    """Read what a run gave, and what it took.

    Raises:
        InputError: a file of the run is damaged.
        OSError: one cannot be read; the error names it.
    """
    config, progress = run.config(), read_progress(run)
    scores = _read_all_scores(run)
    seconds, processor_seconds = _find_time(run, progress.saved_step, scores)
    step = min(max(progress.step, progress.saved_step), config.train.steps)
    state = FINISHED if progress.is_finished else STOPPED
    machines = read_machines(run.path / MACHINES_FILE)
    best = read_scores(run.best)
    return SeedRun.model_validate(
        {
            "seed": config.train.seed,
            "state": DIVERGED if progress.has_diverged else state,
            "step": step,
            "steps": config.train.steps,
            "images_seen": config.progress_at(step).images,
            "seconds": seconds,
            "processor_seconds": processor_seconds,
            "retries": _read_retries(run, progress.saved_step),
            "versions": config.versions,
            "machine": tuple(machines) or None,
            "best_step": best[0].step if best else None,
            "scores": scores,
            **_read_lines(run),
        }
    )


def _read_all_scores(run: Run) -> tuple[ScoreRow, ...]:
    """Return the scores of the run and of its models, without folders in what they say."""
    rows = [*read_scores(run.best), *read_scores(run.model), *read_logged_scores(run.score_log)]
    return sort_scores(
        ScoreRow.model_validate(strip_folders(row.model_dump(mode="json"))) for row in rows
    )


def _read_lines(run: Run) -> dict[str, Any]:
    """Return what the lines of metrics tell: the failure, the warnings, what was memorised."""
    path = run.path / METRICS_FILE
    warnings, shares, failure = WarningReader(), list[float](), None
    for step, row in read_metrics(path) if path.exists() else ():
        if is_divergence(row):
            failure = Failure(step=step, message=str(row.get("message", "")))
            continue
        failure = None  # it was changed and resumed since
        warnings.add(step, row)
        if (share := find_number(row, MEMORISED)) is not None:
            shares.append(share)
    spans = [(each.name, each.began, each.ended) for each in warnings.all()]
    return {
        "failure": failure,
        "warnings": tuple(
            WarningSpan(name=name, began=began, ended=ended) for name, began, ended in spans
        ),
        "memorised": Memorised(last=shares[-1], highest=max(shares)) if shares else None,
    }


def _find_time(
    run: Run, saved_step: int, scores: Iterable[ScoreRow]
) -> tuple[float | None, float | None]:
    """Return the seconds that a run has taken, by the clock and of processors."""
    from ganzoo.training.stopwatch import TrainingTime

    timed = [row for row in scores if row.seconds is not None and row.processor_seconds is not None]
    last = max(timed, key=lambda row: row.step or 0, default=None)
    saved = TrainingTime.read(run.checkpoints / f"{saved_step:08d}") if saved_step else None
    if saved is not None and (last is None or saved_step >= (last.step or 0)):
        return saved.seconds, saved.processor_seconds
    return (None, None) if last is None else (last.seconds, last.processor_seconds)


def _read_retries(run: Run, saved_step: int) -> int | None:
    """Return how often a run has gone back, as its newest checkpoint says; None without one."""
    from ganzoo.training.checkpoint import STATE_FILE

    if not saved_step:
        return None
    found = read_json(run.checkpoints / f"{saved_step:08d}" / STATE_FILE)
    retries = found.get("retries") if isinstance(found, dict) else None
    return retries if isinstance(retries, int) else None
