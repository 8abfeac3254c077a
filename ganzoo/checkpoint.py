"""The state of a run on disk: written whole or not at all, verified when it is read.

A checkpoint is a folder named by its step. It holds one safetensors file for each network and
optimiser, ``state.json``, and ``manifest.json`` with the size and SHA-256 of each of them.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel

from ganzoo.errors import GanzooError, InputError, first_line
from ganzoo.files import (
    atomic_folder,
    load_tensors,
    read_json,
    regular_size,
    save_tensors,
    sha256,
    to_json,
    write_text,
)

FORMAT = 1
KEPT = 2
STATE_FILE = "state.json"
MANIFEST_FILE = "manifest.json"
STEP = re.compile("[0-9]{8}|[1-9][0-9]{8,}")
"""How the folder of a checkpoint is called: the step, in eight digits or more."""


@dataclass
class TrainState:
    """All that changes while training: everything that a checkpoint holds."""

    generator: nn.Module
    discriminator: nn.Module
    generator_ema: AveragedModel
    generator_optimizer: Optimizer
    discriminator_optimizer: Optimizer
    history: nn.Module | None = None
    """What the architecture puts between fakes and the discriminator, if anything."""
    step: int = 0
    """Generator updates done."""

    def tensors(self) -> dict[str, dict[str, Tensor]]:
        """Return every tensor, by file and name."""
        return {
            **{name: module.state_dict() for name, module in self._modules().items()},
            "generator_optimizer": _optimizer_tensors(self.generator_optimizer),
            "discriminator_optimizer": _optimizer_tensors(self.discriminator_optimizer),
        }

    def restore(self, step: int, files: dict[str, dict[str, Tensor]]) -> None:
        """Take over the tensors of a checkpoint; names and shapes must be the same."""
        for name, module in self._modules().items():
            module.load_state_dict(files[name])
        _restore_optimizer(self.generator_optimizer, files["generator_optimizer"])
        _restore_optimizer(self.discriminator_optimizer, files["discriminator_optimizer"])
        self.step = step

    def _modules(self) -> dict[str, nn.Module]:
        found = {
            "generator": self.generator,
            "discriminator": self.discriminator,
            "generator_ema": self.generator_ema,
        }
        return found if self.history is None else {**found, "history": self.history}


def save(folder: Path, state: TrainState) -> Path:
    """Write a checkpoint under ``folder``, drop all but the newest two, and return its path."""
    path = folder / f"{state.step:08d}"
    with atomic_folder(path) as beside:
        for name, tensors in state.tensors().items():
            save_tensors(beside / f"{name}.safetensors", tensors)
        write_text(beside / STATE_FILE, to_json({"format": FORMAT, "step": state.step}))
        write_text(beside / MANIFEST_FILE, to_json(_manifest(beside)))
    for old in steps(folder)[:-KEPT]:
        shutil.rmtree(folder / f"{old:08d}", ignore_errors=True)
    return path


def restore_newest(folder: Path, state: TrainState, warn: Callable[[str], None]) -> None:
    """Restore the newest checkpoint that is whole; a damaged one is named and passed over.

    Raises:
        InputError: there are checkpoints and none of them is whole.
    """
    found = steps(folder)
    for step in reversed(found):
        path = folder / f"{step:08d}"
        try:
            files = _verified(path, state)
            state.restore(step, files)
        except (InputError, RuntimeError, LookupError, TypeError, ValueError) as error:
            warn(f"checkpoint {path} is damaged and passed over: {first_line(error)}")
            continue
        return
    if found:
        raise InputError(f"none of the {len(found)} checkpoints in {folder} is whole")


def steps(folder: Path) -> list[int]:
    """Return the steps of the checkpoints under ``folder``, oldest first."""
    if not folder.is_dir():
        return []
    found = [path.name for path in folder.iterdir() if path.is_dir()]
    return sorted(int(name) for name in found if STEP.fullmatch(name))


def _manifest(folder: Path) -> dict[str, dict[str, int | str]]:
    return {
        path.name: {"size": regular_size(path), "sha256": sha256(path)}
        for path in sorted(folder.iterdir())
    }


def _verified(path: Path, state: TrainState) -> dict[str, dict[str, Tensor]]:
    manifest = read_json(path / MANIFEST_FILE)
    if not isinstance(manifest, dict):
        raise InputError(f"{MANIFEST_FILE} is no list of files")
    present = {name: record for name, record in _manifest(path).items() if name != MANIFEST_FILE}
    if manifest != present:
        wrong = next(
            (name for name in manifest if manifest[name] != present.get(name)), "a file too many"
        )
        raise InputError(f"{wrong} does not match {MANIFEST_FILE}")
    written = read_json(path / STATE_FILE)
    if written != {"format": FORMAT, "step": int(path.name)}:
        raise InputError(f"{STATE_FILE} is of another format or step")
    return {name: load_tensors(path / f"{name}.safetensors") for name in state.tensors()}


def _optimizer_tensors(optimizer: Optimizer) -> dict[str, Tensor]:
    state = optimizer.state_dict()["state"]
    for values in state.values():
        for name, value in values.items():
            if not isinstance(value, Tensor):
                raise GanzooError(f"{type(optimizer).__name__} keeps {name} as no tensor")
    return {
        f"{index}.{name}": value
        for index, values in state.items()
        for name, value in values.items()
    }


def _restore_optimizer(optimizer: Optimizer, tensors: dict[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    parameters = [each for group in optimizer.param_groups for each in group["params"]]
    shapes = {str(index): each.shape for index, each in enumerate(parameters)}
    for key, value in tensors.items():
        index, _, name = key.partition(".")
        # A number belongs to a whole parameter; whatever else is kept is as large as it.
        if value.dim() and value.shape != shapes[index]:
            raise ValueError(f"{key} of an optimiser has another shape than its parameter")
        state.setdefault(int(index), {})[name] = value
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
