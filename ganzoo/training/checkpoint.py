"""Checkpoints: the state of a run on disk, written as a whole and verified when read.

A checkpoint is a folder named by its step. It holds one safetensors file per network and optimiser,
``state.json``, ``manifest.json`` with the size and SHA-256 of each of these files, and
``time.json``.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ganzoo.compute.loss_scale import LossScale
from ganzoo.errors import GanzooError, InputError, first_line
from ganzoo.storage.files import atomic_folder, manifest, write_text
from ganzoo.storage.json_files import read_json, to_json
from ganzoo.storage.tensors import load_tensors, save_tensors
from ganzoo.training.ema import MovingAverage
from ganzoo.training.stopwatch import NO_TIME, TIME_FILE, TrainingTime

FORMAT = 1
KEEP_REGULAR = 2
"""Regular checkpoints to keep; see :meth:`ganzoo.config.RunConfig.is_regular`."""
STATE_FILE = "state.json"
MANIFEST_FILE = "manifest.json"
TERMS = "terms"
"""File of the loss terms that no line of metrics has yet; without any there is none."""
STEP_FOLDER = re.compile("[0-9]{8}|[1-9][0-9]{8,}")
"""Name of a checkpoint's folder: the step, in eight digits or more."""


@dataclass
class TrainState:
    """Everything that changes during training, and so everything in a checkpoint."""

    generator: nn.Module
    discriminator: nn.Module
    generator_ema: MovingAverage
    generator_optimizer: Optimizer
    discriminator_optimizer: Optimizer
    history: nn.Module | None = None
    """The architecture's module between fakes and the discriminator, if it has one."""
    generator_scale: LossScale | None = None
    discriminator_scale: LossScale | None = None
    """Loss scales of fp16; None for other precisions."""
    step: int = 0
    """Finished generator updates."""
    retries: int = 0
    """How often the run diverged and went back to a checkpoint."""
    memories: dict[str, nn.Module] = field(default_factory=dict)
    """What losses, penalties and augmentations remember, by the names of files."""
    terms: dict[str, Tensor] = field(default_factory=dict)
    """Values of loss terms, as ``network/name``, that no line of metrics has yet."""
    time: TrainingTime | None = NO_TIME
    """The time that it took to come here, when it was saved; None if it is unknown."""

    def tensors(self) -> dict[str, dict[str, Tensor]]:
        """Return every tensor, by file and name."""
        return {
            **{name: module.state_dict() for name, module in self.modules().items()},
            "generator_optimizer": _optimizer_tensors(self.generator_optimizer),
            "discriminator_optimizer": _optimizer_tensors(self.discriminator_optimizer),
            **({TERMS: self.terms} if self.terms else {}),
        }

    def counts(self) -> dict[str, int]:
        """Return the counts, by name."""
        return {"step": self.step, "retries": self.retries}

    def find_nonfinite(self) -> str | None:
        """Name a network, average or optimiser with a number that is not finite, if any has one."""
        for name, tensors in self._trained_tensors().items():
            # The largest magnitude of all, which is not finite if any number is not.
            if not torch.nn.utils.get_total_norm(tensors, float("inf")).isfinite():
                return f"the {name.replace('_', ' ')} holds a number that is not finite"
        return None

    def restore(self, counts: dict[str, int], files: dict[str, dict[str, Tensor]]) -> None:
        """Restore counts and tensors, whose names and shapes must be those of the state.

        A memory that the files lack stays as it is: the component was chosen later.

        Raises:
            RuntimeError, LookupError or ValueError: they are not.
        """
        for name, module in self.modules().items():
            if name in files or name not in self.memories:
                module.load_state_dict(files[name])
        self.terms = dict(files.get(TERMS, {}))
        _restore_optimizer(self.generator_optimizer, files["generator_optimizer"])
        _restore_optimizer(self.discriminator_optimizer, files["discriminator_optimizer"])
        self.step, self.retries = counts["step"], counts["retries"]

    def _trained_tensors(self) -> dict[str, list[Tensor]]:
        """Return the tensors that training changes, by name of their owner."""
        # Without buffers: a mask may well be infinite.
        return {
            "generator": list(self.generator.parameters()),
            "discriminator": list(self.discriminator.parameters()),
            "generator_ema": list(self.generator_ema.parameters()),
            "generator_optimizer": list(_optimizer_tensors(self.generator_optimizer).values()),
            "discriminator_optimizer": list(
                _optimizer_tensors(self.discriminator_optimizer).values()
            ),
        }

    def modules(self) -> dict[str, nn.Module]:
        """Return every module that has a state, by name."""
        found = {
            "generator": self.generator,
            "discriminator": self.discriminator,
            "generator_ema": self.generator_ema,
            "history": self.history,
            "generator_scale": self.generator_scale,
            "discriminator_scale": self.discriminator_scale,
            **self.memories,
        }
        return {name: module for name, module in found.items() if module is not None}


def save(folder: Path, state: TrainState) -> Path:
    """Write a checkpoint under ``folder`` and return its path."""
    path = folder / f"{state.step:08d}"
    with atomic_folder(path) as beside:
        for name, tensors in state.tensors().items():
            save_tensors(beside / f"{name}.safetensors", tensors)
        write_text(beside / STATE_FILE, to_json({"format": FORMAT, **state.counts()}))
        write_text(beside / MANIFEST_FILE, to_json(manifest(beside)))
        if state.time is not None:
            state.time.write(beside)
    return path


def prune(folder: Path, is_regular: Callable[[int], bool], last: int) -> None:
    """Remove all checkpoints except the newest, and the newest two regular ones.

    Others, which interruptions leave, do not displace the regular ones. Those behind the step
    ``last`` are damaged: they stay, and displace none, until the run writes them again.

    Args:
        folder: Folder of the checkpoints.
        is_regular: Tells by its step whether a checkpoint is regular.
        last: The step that the run is at.
    """
    found = [step for step in steps(folder) if step <= last]
    kept = {*[step for step in found if is_regular(step)][-KEEP_REGULAR:], *found[-1:]}
    for old in set(found) - kept:
        _remove(folder / f"{old:08d}")


def drop_after(folder: Path, step: int) -> None:
    """Remove the checkpoints of later steps."""
    for later in steps(folder):
        if later > step:
            _remove(folder / f"{later:08d}")


def restore(path: Path, state: TrainState) -> None:
    """Restore one checkpoint.

    Raises:
        InputError: it is damaged.
        RuntimeError, LookupError, TypeError or ValueError: it is of another state.
    """
    state.restore(*_read_verified(path, state))
    state.time = TrainingTime.read(path)


def restore_newest(
    folder: Path,
    state: TrainState,
    warn: Callable[[str], None],
    is_wanted: Callable[[int], bool] = lambda step: True,
) -> None:
    """Restore the newest checkpoint that can be read and is not damaged.

    Args:
        folder: Folder of the checkpoints; without any, the state stays as it is.
        state: The state to restore.
        warn: Receives a message about each damaged checkpoint.
        is_wanted: Tells by its step whether to consider a checkpoint; by default all are.

    Raises:
        InputError: there are checkpoints, and all of them are damaged or cannot be read.
    """
    found = [step for step in steps(folder) if is_wanted(step)]
    for step in reversed(found):
        path = folder / f"{step:08d}"
        try:
            restore(path, state)
        except torch.OutOfMemoryError:  # which says nothing about the files
            raise
        except (InputError, OSError, RuntimeError, LookupError, TypeError, ValueError) as error:
            warn(f"checkpoint {path} is damaged and is skipped: {first_line(error)}")
            continue
        return
    if found:
        raise InputError(f"none of the {len(found)} checkpoints in {folder} is whole")


def steps(folder: Path) -> list[int]:
    """Return the steps of the checkpoints under ``folder``, oldest first."""
    if not folder.is_dir():
        return []
    found = [path.name for path in folder.iterdir() if path.is_dir()]
    return sorted(int(name) for name in found if STEP_FOLDER.fullmatch(name))


def list_files(path: Path) -> dict[str, dict[str, int | str]]:
    """Return what the manifest of a checkpoint must hold.

    Raises:
        InputError: something in the folder is not a regular file, or cannot be read.
    """
    return manifest(path, MANIFEST_FILE, TIME_FILE)


def _remove(path: Path) -> None:
    """Remove a checkpoint."""
    # Renamed first, because a half-removed folder would look like a damaged checkpoint.
    going = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    path.rename(going)
    shutil.rmtree(going, ignore_errors=True)


def _read_verified(
    path: Path, state: TrainState
) -> tuple[dict[str, int], dict[str, dict[str, Tensor]]]:
    """Read the counts and tensors of a checkpoint, and compare its files with its manifest.

    Raises:
        InputError: a file is missing, added, changed, of another format, or cannot be read.
    """
    listed = read_json(path / MANIFEST_FILE)
    if not isinstance(listed, dict):
        raise InputError(f"{MANIFEST_FILE} is not a list of files")
    present = list_files(path)
    if listed != present:
        wrong = next(
            (name for name in listed if listed[name] != present.get(name)), "a file too many"
        )
        raise InputError(f"{wrong} does not match {MANIFEST_FILE}")
    written = read_json(path / STATE_FILE)
    if (written["format"], written["step"]) != (FORMAT, int(path.name)):
        raise InputError(f"{STATE_FILE} is of another format or step")
    counts = {name: written[name] for name in state.counts()}
    if not all(type(count) is int and count >= 0 for count in counts.values()):
        raise InputError(f"{STATE_FILE} holds counts that are not whole numbers from 0")
    wanted = {**dict.fromkeys(state.tensors(), True), TERMS: False}
    wanted |= dict.fromkeys(state.memories, False)
    files = {name: path / f"{name}.safetensors" for name in wanted}
    return counts, {
        name: load_tensors(files[name])
        for name, is_required in wanted.items()
        if is_required or files[name].exists()
    }


def _optimizer_tensors(optimizer: Optimizer) -> dict[str, Tensor]:
    """Return an optimiser's tensors, named ``INDEX.NAME`` by the index of their parameter."""
    state = optimizer.state_dict()["state"]
    for values in state.values():
        for name, value in values.items():
            if not isinstance(value, Tensor):
                raise GanzooError(f"{type(optimizer).__name__} has {name}, which is not a tensor")
    return {
        f"{index}.{name}": value
        for index, values in state.items()
        for name, value in values.items()
    }


def _restore_optimizer(optimizer: Optimizer, tensors: dict[str, Tensor]) -> None:
    """Restore what :func:`_optimizer_tensors` gave.

    Raises:
        LookupError or ValueError: it is the state of another optimiser.
    """
    state: dict[int, dict[str, Tensor]] = {}
    parameters = [each for group in optimizer.param_groups for each in group["params"]]
    by_index = {str(index): each for index, each in enumerate(parameters)}
    for key, value in tensors.items():
        index, _, name = key.partition(".")
        # A scalar belongs to a whole parameter; every other tensor has the parameter's shape.
        if value.dim() and value.shape != by_index[index].shape:
            raise ValueError(f"{key} of an optimiser has another shape than its parameter")
        if not value.is_floating_point():
            raise ValueError(f"{key} of an optimiser is of type {value.dtype}")
        if value.dim():
            # torch's fused optimisers require both to have the same memory layout.
            value = torch.empty_like(by_index[index], dtype=value.dtype).copy_(value)
        state.setdefault(int(index), {})[name] = value
    if len({tuple(sorted(values)) for values in state.values()}) > 1:
        raise ValueError("an optimiser has more tensors for one parameter than for another")
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
