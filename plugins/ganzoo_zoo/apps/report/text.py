"""The texts of the report."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ganzoo.storage.paths import strip_folders

if TYPE_CHECKING:
    from ganzoo_zoo.apps.report.collect import ReportData
    from ganzoo_zoo.apps.report.reals import Reals

MOST_WARNINGS = 50
"""The most warnings that are shown."""


def capitalise(text: str) -> str:
    """Return a text with its first letter in upper case."""
    return text[:1].upper() + text[1:]


def sections(found: ReportData, *, plotted: bool) -> Iterator[tuple[str, str]]:
    """Yield the anchor and the title of each section of the page."""
    yield "samples", "Samples"
    if plotted or found.progress.steps:
        yield "curves", "Curves"
    yield "scores", "Scores"
    if found.analysis.neighbours:
        yield "neighbours", "Neighbours"
    yield "again", "Reproduce"
    yield "options", "Options"
    if found.missing:
        yield "missing", "Not shown"


def status(found: ReportData) -> str:
    """Describe the progress of the run."""
    at = found.progress
    if at.is_finished:
        done = f"all {at.steps:,} steps are done" if at.steps else "no steps were requested"
        return f"Finished: {done}."
    text = f"Not finished: step {at.step:,} of {at.steps:,}."
    if at.model is None:
        return f"{text} There is no model yet."
    text += f" The model is from step {at.model:,}"
    if at.step > at.model:
        text += ", because training diverged or was interrupted"
    return f"{text}."


def warnings(found: ReportData) -> Iterator[str]:
    """Yield each distinct warning that holds, but none that another one begins with."""
    ended = found.history.past_warnings
    holding = dict.fromkeys(each for each in found.history.warnings if each not in ended)
    every = [
        each
        for each in holding
        if not any(other.startswith(each) for other in holding if other != each)
    ]
    for message in every[:MOST_WARNINGS]:
        yield capitalise(message.partition("\n")[0])
    if (more := len(every) - MOST_WARNINGS) > 0:
        yield f"And {more:,} more."
    if (times := found.progress.retries) and not found.machine:  # the tracker records each one
        how = "once" if times == 1 else f"{times} times"
        yield f"The run diverged and returned to a checkpoint {how}, with lower learning rates."


def past_warnings(found: ReportData) -> Iterator[str]:
    """Yield each warning of what has ended, with its steps."""
    for text in list(found.history.past_warnings.values())[-MOST_WARNINGS:]:
        yield capitalise(text.partition("\n")[0])


def about_frames(found: ReportData) -> str:
    """Explain the sample pictures."""
    parts = [
        "Samples of the averaged generator (EMA) from the same latents at each step, or of the "
        "generator itself where it left its average behind."
    ]
    if found.takes_images:
        parts = ["Rows of source images, each above the averaged generator's (EMA) translations."]
    if (spec := found.progress.spec) and not spec.is_image and spec.modes:
        parts.append("Circles are the true modes; points outside the frame are drawn on its edge.")
    if found.surfaces:
        parts.append(
            "The background shows the discriminator's logits: blue where it is most certain of a "
            "real sample, orange where it is most certain of a fake. Each step has its own scale."
        )
    if 0 < len(found.surfaces) < len(found.pictures.taken):
        parts.append(
            "Only the last discriminator is known; --tracker report records logits at each picture."
        )
    if found.pictures.note:
        parts.append(f"{capitalise(found.pictures.note)}.")
    return " ".join(parts)


def about_reals(reals: Reals) -> str:
    """Say what a picture of real samples is."""
    count = f"{reals.shown:,} of {reals.total:,} training samples, evenly chosen"
    if reals.shown == reals.total:
        count = f"all {reals.total:,} training samples"
    parts = [f"Real samples, not the model's: {count}."]
    if reals.by_class:
        parts.append("Each column has the class of the fakes' column.")
    if reals.framed:
        parts.append("The frame is their own, and may differ from the fakes'.")
    return " ".join(parts)


def about_neighbours(found: ReportData) -> str:
    """Explain the nearest training samples; empty if there are none."""
    near = found.analysis.neighbours
    if near is None:
        return ""
    what = "Translations of training images" if near.translated else "Generated images of seed 0"
    searched = f"all {near.total:,} training images"
    if near.searched < near.total:
        searched = f"{near.searched:,} of {near.total:,} training images, evenly chosen"
    parts = [
        f"{what}, each above the nearest of {searched}"
        f"{' (also mirrored)' if near.mirrored else ''}, by pixel distance. Numbers are root mean "
        "square differences of levels from 0 to 255; 0 is a copy."
    ]
    if near.real_distance:
        parts.append(
            f"The median distance of a training image to its nearest neighbour is "
            f"{near.real_distance}."
        )
    parts.append("Pixel distance does not find copies that were shifted or recoloured.")
    return " ".join(parts)


def about_reproduction(found: ReportData) -> str:
    """Explain what the reproduction gives."""
    text = "With the same versions, machine and number of threads, training gives the same bytes."
    if (init := found.config.init) is not None and init.revision is None:
        text += " Replace the name of the starting model by the path of its folder."
    if found.config.fork is not None:
        text += " The run that it was forked from must still have the checkpoint."
    return text


def facts(found: ReportData) -> Iterator[tuple[str, str, str]]:
    """Yield the key facts: a label, a value and a remark."""
    config, at, logged = found.config, found.progress, found.history
    train = config.train
    yield "Steps", f"{at.step:,} of {at.steps:,}", "updates of the generator"
    seen = config.progress_at(at.step).images
    n_critic = config.write_schedules("train", {"n_critic": train.n_critic})["n_critic"]
    updates = "update" if n_critic == 1 else "updates"
    yield (
        *("Real samples shown", f"{seen:,}"),
        f"{n_critic} {updates} of the discriminator a step, batches of {train.batch_size:,}",
    )
    if logged.seconds is not None and logged.speed is not None:
        yield "Time", _duration(logged.seconds), "from the first step to the last line"
        yield "Speed", f"{logged.speed:,.0f} images/s", "pictures and scores included"
    if at.spec is not None:
        shape = at.spec.in_words
        if not at.spec.is_bounded:
            shape = f"points of {at.spec.size} numbers"
        count = at.spec.classes or 0
        yield "Samples", shape, f"{count:,} class{'' if count == 1 else 'es'}" if count else ""
    if sizes := found.analysis.parameters:
        words = [f"{word} {count:,}" for word, count in sizes.items()]
        yield "Parameters", ", ".join(words), ""
    yield "Seed", str(train.seed), ""
    if files := list(_files(config.data.options)):
        yield "Data", ", ".join(files), f"read by {config.data.name}"
    if config.penalties:
        yield "Penalties", ", ".join(each.name for each in config.penalties), ""
    if config.augmentations:
        yield "Augmented by", ", ".join(each.name for each in config.augmentations), ""
    if (init := config.init) is not None:
        revision = f", commit {init.revision[:12]}" if init.revision else ""
        yield "Started from", init.name, f"at its step {init.step:,}{revision}"
    if (fork := config.fork) is not None:
        yield "Forked from", fork.name, f"with its whole state at step {fork.step:,}"
    yield from _best_scores(found)


def _files(options: dict[str, Any]) -> Iterator[str]:
    """Yield the file names of the paths among a dataset's options."""
    for value in options.values():
        if isinstance(value, str) and (short := strip_folders(value)) != value:
            yield short


def _best_scores(found: ReportData) -> Iterator[tuple[str, str, str]]:
    """Yield the first metric of each group at the first of the compared steps."""
    for group in found.scores.groups[:3]:
        for metric in group.metrics[:1]:
            if metric.values and metric.values[0]:
                where = f"{found.scores.columns[0]}, {metric.better} is better"
                yield metric.name, metric.values[0], where


def origin(found: ReportData) -> Iterator[tuple[str, str]]:
    """Yield the data and the machine of the run, each as a label and a value."""
    config = found.config
    yield "data", config.data.name
    yield "data fingerprint", config.data_fingerprint or "unknown"
    yield "requested device", config.train.device
    if not found.machine:
        yield "machine", "not recorded; use --tracker report"
    yield from found.machine.items()


def _duration(seconds: float) -> str:
    """Format a duration in its two largest units."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, hours = divmod(round(seconds), 60), divmod(round(seconds / 60), 60)
    if minutes[0] < 60:
        return f"{minutes[0]} min {minutes[1]} s"
    return f"{hours[0]:,} h {hours[1]} min"
