"""Finding a model folder by a name, a run, a path, or a name on the Hub."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from ganzoo import registry
from ganzoo.arguments import MODEL_FORMS, require_text
from ganzoo.errors import InputError, did_you_mean
from ganzoo.models.folder import ModelFolder
from ganzoo.models.named import find_named
from ganzoo.registry import MODEL
from ganzoo.runs.file_names import MANIFEST_FILE
from ganzoo.runs.folder import Run, newest_run
from ganzoo.storage.paths import user_path

if TYPE_CHECKING:
    from pathlib import Path

FOREIGN_SUFFIXES = (".pth", ".pt", ".pkl", ".pickle", ".bin", ".ckpt", ".tar", ".safetensors")
"""Suffixes of files with the weights of other programs."""


def find_model(model: str | Path | Run | None, revision: str | None = None) -> ModelFolder:
    """Find the model folder that a reference names; see :func:`ganzoo.load`.

    Raises:
        InputError: there is no such model.
        GanzooError: the Hub cannot be reached, or refuses.
    """
    if model is None:
        model = newest_run()
    if not isinstance(model, Run):
        require_text(MODEL_FORMS, model)
    if isinstance(model, str) and (named := find_named(model)) is not None:
        if revision is not None:
            raise _refuse_revision(model)
        return named
    path = model.path if isinstance(model, Run) else user_path(model)
    if revision is None and (path / MANIFEST_FILE).is_file():
        return ModelFolder(path, str(model))
    if not path.exists() or revision is not None:
        return _find_on_hub(model, revision)
    if path.is_file():
        raise _explain_file(path)
    run = Run(path)
    if (run.model / MANIFEST_FILE).is_file():
        return ModelFolder(run.model, str(path))
    if run.is_run():
        raise InputError(
            f"the run {path} has no model yet: it did not finish; "
            f"continue with: ganzoo train --resume {path}"
        )
    raise InputError(f"{path} is not a model folder: it has no {MANIFEST_FILE}")


def _explain_file(path: Path) -> InputError:
    """Explain why a file is not a model, such as the weights of another program."""
    if (path.parent / MANIFEST_FILE).is_file():
        return InputError(f"{path} is a file of a model: give its folder, {path.parent}")
    if path.suffix.lower() in FOREIGN_SUFFIXES:
        return InputError(
            f"{path} is a file of weights, and a model is a folder",
            f"make one of it with: ganzoo import {shlex.quote(str(path))}",
        )
    return InputError(f"{path} is a file, and a model is a folder; or name a model as user/name")


def _find_on_hub(model: str | Path | Run, revision: str | None) -> ModelFolder:
    from ganzoo.models import hub

    reference = hub.parse_reference(model, revision) if isinstance(model, str) else None
    if reference is not None:
        return hub.open_folder(reference)
    path = model.path if isinstance(model, Run) else model
    if revision is not None:
        raise _refuse_revision(path)
    near = did_you_mean(str(path), [entry.name for entry in registry.entries(MODEL)])
    raise InputError(f"no run or model folder named '{path}'{near}")


def _refuse_revision(model: object) -> InputError:
    return InputError(f"{model} has no revisions: only models on the Hub, as user/name, have them")
