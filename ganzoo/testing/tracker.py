"""Checks of trackers, which follow a small made-up run in a temporary folder."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ganzoo.models.generation import evaluation_mode
from ganzoo.protocols.architecture import GeneratorInput
from ganzoo.protocols.dataset import DataSpec, Samples
from ganzoo.protocols.latent_parts import LatentPart
from ganzoo.protocols.tracker import Networks, TrackedRun, Tracker
from ganzoo.testing.common import check_options, explain_errors, require, untouched_randomness

STEPS = 6
RUN_FILES = (
    "config.json",
    "metrics.jsonl",
    "samples/00000000.png",
    "checkpoints/00000002/manifest",
)
"""Some of the files that a run writes in its folder."""
IMAGES = DataSpec(shape=(3, 4, 4))
POINTS = DataSpec(shape=(2,), modes=((1.0, 0.0), (-1.0, 0.0)), mode_std=0.1)


def check_run(tracker: Tracker) -> None:
    """A tracker receives metrics, pictures of 1, 3 and 4 channels, and the end of a run."""
    with _run_folder() as folder:
        _follow(tracker, folder)
    with _run_folder() as folder:
        run = _start_run(tracker, folder, _config(), 0)
        with explain_errors("close() must also end a run that had no metrics yet"):
            run.close()


def check_resume(tracker: Tracker) -> None:
    """A tracker can follow a resumed run, from an earlier step on."""
    with _run_folder() as folder:
        _follow(tracker, folder)
        _follow(tracker, folder, step=STEPS // 2)


def check_files(tracker: Tracker) -> None:
    """A tracker writes in the run's folder only, and does not touch the run's own files."""
    with _run_folder() as folder:
        outside = folder.parents[1]
        before = _files(outside)
        _follow(tracker, folder)
        after = _files(outside)
    own = {file for file in after if folder in file.parents}
    strange = sorted(
        str(file.relative_to(outside)) for file in (after.keys() - own) - before.keys()
    )
    require(
        not strange,
        f"a tracker must write in the run's folder only, but it wrote {', '.join(strange)} "
        "elsewhere: begin each path with folder",
    )
    touched = [file.name for file, content in before.items() if after.get(file) != content]
    require(
        not touched,
        f"a tracker must leave the run's own files alone, but it changed {', '.join(touched)}: "
        "write to a folder of its own within the run's",
    )


def check_side_effects(tracker: Tracker) -> None:
    """A tracker changes neither torch's random state nor the objects that it receives."""
    config, rows, pictures = _config(), _rows(0), _pictures()
    originals = copy.deepcopy((config, rows))
    original_pictures = {step: picture.clone() for step, picture in pictures.items()}
    with _run_folder() as folder, untouched_randomness("a tracker"):
        _follow(tracker, folder, 0, config, rows, pictures)
    require(
        (config, rows) == originals,
        "a tracker must not change the rows and the configuration in place: others get the same "
        "ones",
    )
    require(
        all(torch.equal(picture, original_pictures[step]) for step, picture in pictures.items()),
        "a tracker must not change a picture in place: others get the same one",
    )


def check_discriminator(tracker: Tracker) -> None:
    """``discriminator()`` and ``networks()`` change no weights, buffers, modes or samples."""
    for data in (IMAGES, POINTS):
        network = nn.Sequential(
            nn.Flatten(), nn.BatchNorm1d(data.size), nn.Linear(data.size, 1), nn.Flatten(0)
        )
        fake, real = _samples(data, 1), _samples(data, 2)
        before = copy.deepcopy((network.state_dict(), fake.stored, real.stored))
        with _run_folder() as folder, untouched_randomness("a tracker"):
            run = _start_run(tracker, folder, _config(), 0)
            if not _looks(run):
                with explain_errors("close() must end a run that has no line yet"):
                    run.close()
                return
            words = "images" if data.is_image else "points"
            with explain_errors(f"discriminator() must accept the discriminator of {words}"):
                run.discriminator(1, network, fake, real)
            with explain_errors(f"networks() must accept the networks of {words}"):
                run.networks(1, _networks(network, fake), fake, real)
            run.close()
        after = network.state_dict(), fake.stored, real.stored
        require(
            _is_equal(before, after) and all(each.grad is None for each in network.parameters()),
            "a tracker must not change the discriminator, its running statistics or the samples: "
            "call the network in evaluation mode, without gradients",
        )
        require(
            all(module.training for module in network.modules()),
            "a tracker must leave each module of the discriminator in training mode",
        )


tracker_checks: list[Callable[[Tracker], None]] = [
    check_options,
    check_run,
    check_resume,
    check_files,
    check_side_effects,
    check_discriminator,
]
"""Checks of trackers."""


def _follow(
    tracker: Tracker,
    folder: Path,
    step: int = 0,
    config: dict[str, Any] | None = None,
    rows: list[dict[str, Any]] | None = None,
    pictures: dict[int, Tensor] | None = None,
) -> None:
    run = _start_run(tracker, folder, _config() if config is None else config, step)
    asked = "a tracker must receive every line of metrics and every sample picture"
    with explain_errors(f"{asked}: a line is a step and numbers by name"):
        for row in _rows(step) if rows is None else rows:
            run.metrics(row)
    for number, picture in (_pictures() if pictures is None else pictures).items():
        with explain_errors(f"{asked}, uint8 (C, H, W) of 1, 3 or 4 channels, here {len(picture)}"):
            run.picture(step + number, picture)
    with explain_errors("warning() must take a step and the text of a warning"):
        run.warning(step + STEPS, "the run diverged")
    with explain_errors("warning_end() must take a step, a warning and the text of its end"):
        run.warning_end(step + STEPS, "the run diverged", "the run is well again")
    with explain_errors("flush() must write what is pending, whenever a checkpoint is saved"):
        run.flush()
    with explain_errors("close() must end a run that had metrics and pictures"):
        run.close()


def _start_run(tracker: Tracker, folder: Path, config: dict[str, Any], step: int) -> TrackedRun:
    with explain_errors("check() must return, or raise a GanzooError if something is missing"):
        tracker.check()
    asked = "start() must begin to follow a run in its folder"
    if step:
        asked = (
            "start() with a step above 0 must continue with a run that it followed before, and "
            "drop what it received beyond that step"
        )
    with explain_errors(asked):
        run = tracker.start(folder, config, step)
    require(
        isinstance(run, TrackedRun),
        f"start() must return a ganzoo.TrackedRun, not {type(run).__name__}: subclass it",
    )
    return run


@contextmanager
def _run_folder() -> Iterator[Path]:
    """Make a run's folder with files of its own, in another folder than the working directory."""
    with tempfile.TemporaryDirectory() as root:
        folder, elsewhere = Path(root).resolve() / "runs" / "run", Path(root) / "elsewhere"
        elsewhere.mkdir()
        for name in RUN_FILES:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text("{}\n")
        with chdir(elsewhere):
            yield folder


def _files(root: Path) -> dict[Path, bytes]:
    return {file: file.read_bytes() for file in root.rglob("*") if file.is_file()}


def _config() -> dict[str, Any]:
    named = {"name": "some", "package": "some-package", "version": "1.0", "options": {"width": 8}}
    return {
        "format": 1,
        **{word: copy.deepcopy(named) for word in ("architecture", "loss", "data")},
        "train": {"steps": STEPS, "betas": [0.0, 0.9], "device": "cpu"},
        "trackers": [],
        "data_fingerprint": None,
    }


def _rows(step: int) -> list[dict[str, Any]]:
    return [
        {"step": done, "images_seen": 32 * done, "generator/adversarial": 1 / done}
        for done in range(step + 1, STEPS + 1)
    ]


def _samples(data: DataSpec, seed: int) -> Samples:
    rng = torch.Generator().manual_seed(seed)
    if data.is_image:
        stored = torch.randint(0, 256, (5, *data.shape), generator=rng, dtype=torch.uint8)
    else:
        stored = torch.randn(5, *data.shape, generator=rng)
    return Samples(data, stored)


def _looks(run: TrackedRun) -> bool:
    names = ("discriminator", "networks")
    return any(getattr(type(run), name) is not getattr(TrackedRun, name) for name in names)


def _networks(discriminator: nn.Module, fake: Samples) -> Networks:
    """Return networks of which both generators make the same samples, from any latents."""
    inputs = GeneratorInput(torch.zeros(len(fake), 2))

    def draw(given: GeneratorInput) -> Tensor:
        return fake.stored[torch.arange(len(given.given)) % len(fake)]

    def judge(real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        with evaluation_mode(discriminator):
            return {"mean": discriminator(fake).mean()}

    return Networks(
        trained=draw,
        average=draw,
        shown="average",
        inputs=inputs,
        latent_parts=(LatentPart("z", 2),),
        discriminator=discriminator,
        generator_loss=judge,
    )


def _is_equal(before: Any, after: Any) -> bool:
    (weights, *samples), (others, *same) = before, after
    pairs = [(weights[name], others[name]) for name in weights]
    return all(torch.equal(one, other) for one, other in [*pairs, *zip(samples, same, strict=True)])


def _pictures() -> dict[int, Tensor]:
    rng = torch.Generator().manual_seed(0)
    return {
        step: torch.randint(0, 256, (channels, 16, 24), generator=rng, dtype=torch.uint8)
        for step, channels in enumerate((1, 3, 4))
    }
