"""What the page says of a run, in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ganzoo.storage.paths import strip_folders
from ganzoo_zoo.apps.report import history

if TYPE_CHECKING:
    from ganzoo_zoo.apps.report.collect import ReportData

MOST_WARNINGS = 50
"""Warnings that are shown."""


def capitalise(text: str) -> str:
    """Return a text as a sentence begins."""
    return text[:1].upper() + text[1:]


def sections(found: ReportData, *, plotted: bool) -> Iterator[tuple[str, str]]:
    """Yield the sections that there are, each by its name in links and the word for it."""
    yield "samples", "Samples"
    if plotted or found.progress.steps:
        yield "curves", "Curves"
    yield "scores", "Scores"
    if found.analysis.neighbours:
        yield "neighbours", "Neighbours"
    yield "again", "Do it again"
    yield "options", "Options"
    if found.missing:
        yield "missing", "Not shown"


def status(found: ReportData) -> str:
    """Say how far the run came."""
    at = found.progress
    if at.is_finished:
        done = f"all {at.steps:,} steps are done" if at.steps else "no steps were asked for"
        return f"Finished: {done}."
    said = f"Not finished: {at.step:,} of {at.steps:,} steps were seen."
    if at.model is None:
        return f"{said} There is no model yet."
    said += f" The model is that of step {at.model:,}"
    if at.step > at.model:
        said += ", as it is when a training diverges and gives up, or is stopped as it goes on"
    return f"{said}."


def warnings(found: ReportData) -> Iterator[str]:
    """Yield what was warned of, each warning once."""
    every = dict.fromkeys(found.history.warnings)
    for message in list(every)[:MOST_WARNINGS]:
        yield capitalise(message.partition("\n")[0])
    if (more := len(every) - MOST_WARNINGS) > 0:
        yield f"And {more:,} more."
    if (times := found.progress.retries) and not found.machine:  # or the tracker has it all
        how = "once" if times == 1 else f"{times} times"
        yield f"The run diverged and went back to a checkpoint {how}, with lower learning rates."


def about_frames(found: ReportData) -> str:
    """Say what the sample pictures show."""
    said = ["The averaged generator, with the same latents at each step."]
    if found.takes_images:
        said = ["The averaged generator: a row of sources, and below it what they became."]
    if (spec := found.progress.spec) and not spec.is_image and spec.modes:
        said.append("Circles are the true modes; points beyond the frame lie on its edge.")
    if found.surfaces:
        said.append(
            "Behind the points are the discriminator's logits: blue where it is surest of a real, "
            "orange where it is surest of a fake, each step on a scale of its own."
        )
    if 0 < len(found.surfaces) < len(found.pictures.taken):
        said.append("A run keeps the last one; --tracker report keeps its logits at each picture.")
    if found.pictures.note:
        said.append(f"{capitalise(found.pictures.note)}.")
    return " ".join(said)


def about_curves(found: ReportData) -> str:
    """Say what the curves show."""
    said = [
        "What both networks minimised, term by term. The terms of an adversarial loss need not "
        "fall while samples get better: judge by the scores and the samples."
    ]
    if history.LOGIT_TITLE in found.history.curves:
        said.append(
            "Logits are means over a few training samples, and over samples of the averaged "
            "generator."
        )
    return " ".join(said)


def about_neighbours(found: ReportData) -> str:
    """Say what stands beside what; nothing if nothing does."""
    near = found.analysis.neighbours
    if near is None:
        return ""
    what = "Translations of training images" if near.translated else "Generated images of seed 0"
    searched = f"all {near.total:,} training images"
    if near.searched < near.total:
        searched = f"{near.searched:,} of {near.total:,} training images, evenly chosen"
    said = [
        f"{what}, and below each, in order, the nearest of {searched}"
        f"{', mirrored ones too' if near.mirrored else ''}, by their pixels. Numbers are root mean "
        "square differences of levels from 0 to 255; 0 is a copy."
    ]
    if near.real_distance:
        said.append(
            f"Training images are {near.real_distance} from their nearest other one, by the median."
        )
    said.append("Pixels do not find a copy that was moved or recoloured.")
    return " ".join(said)


def about_reproduction(found: ReportData) -> str:
    """Say what comes of training it again."""
    said = "The same versions on the same machine with as many threads end in the same bytes."
    if (init := found.config.init) is not None and init.revision is None:
        said += " What it starts from is called as its folder was; say where that lies."
    return said


def facts(found: ReportData) -> Iterator[tuple[str, str, str]]:
    """Yield what there is to know at a glance: a word, a value, and what more there is to say."""
    config, at, logged = found.config, found.progress, found.history
    train = config.train
    yield "Steps", f"{at.step:,} of {at.steps:,}", "updates of the generator"
    seen = at.step * train.n_critic * train.batch_size
    updates = "update" if train.n_critic == 1 else "updates"
    yield (
        *("Real samples shown", f"{seen:,}"),
        f"{train.n_critic} {updates} of the discriminator a step, batches of {train.batch_size:,}",
    )
    if logged.seconds is not None and logged.speed is not None:
        yield "Time", _duration(logged.seconds), "from the first step to the last line"
        yield "Speed", f"{logged.speed:,.0f} images/s", "pictures and scores included"
    if at.spec is not None:
        shape = f"images of {at.spec.size_in_words}"
        if not at.spec.is_image:
            shape = f"points of {at.spec.size} numbers"
        count = at.spec.classes or 0
        yield "Samples", shape, f"{count:,} class{'' if count == 1 else 'es'}" if count else ""
    if sizes := found.analysis.parameters:
        words = [f"{word} {count:,}" for word, count in sizes.items()]
        yield "Parameters", ", ".join(words), ""
    yield "Seed", str(train.seed), ""
    if files := list(_files(config.data.options)):
        yield "Data", ", ".join(files), f"read by {config.data.name}"
    if config.augmentations:
        yield "Augmented by", ", ".join(each.name for each in config.augmentations), ""
    if (init := config.init) is not None:
        revision = f", commit {init.revision[:12]}" if init.revision else ""
        yield "Started from", init.name, f"at its step {init.step:,}{revision}"
    yield from _best_scores(found)


def _files(options: dict[str, Any]) -> Iterator[str]:
    """Yield the last names of the paths among a dataset's options."""
    for value in options.values():
        if isinstance(value, str) and (short := strip_folders(value)) != value:
            yield short


def _best_scores(found: ReportData) -> Iterator[tuple[str, str, str]]:
    """Yield the first metric of each group at the first of the steps that stand side by side."""
    for group in found.scores.groups[:3]:
        for metric in group.metrics[:1]:
            if metric.values and metric.values[0]:
                where = f"{found.scores.columns[0]}, {metric.better} is better"
                yield metric.name, metric.values[0], where


def origin(found: ReportData) -> Iterator[tuple[str, str]]:
    """Yield what it was trained from and on, a word and a value."""
    config = found.config
    yield "data", config.data.name
    yield "fingerprint of the data", config.data_fingerprint or "unknown"
    yield "device asked for", config.train.device
    if not found.machine:
        yield "machine", "not kept; --tracker report keeps it"
    yield from found.machine.items()


def _duration(seconds: float) -> str:
    """Write a time in its two largest units."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, hours = divmod(round(seconds), 60), divmod(round(seconds / 60), 60)
    if minutes[0] < 60:
        return f"{minutes[0]} min {minutes[1]} s"
    return f"{hours[0]:,} h {hours[1]} min"
