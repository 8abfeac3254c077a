"""Samples as files: one picture, a table of vectors, or single images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ganzoo.devices import resolve_device
from ganzoo.errors import InputError
from ganzoo.files import write_text
from ganzoo.images import picture_of, provenance, save_png

if TYPE_CHECKING:
    from torch import Tensor

    from ganzoo.model import Model


def write_samples(
    model: Model,
    path: Path,
    count: int,
    seed: int,
    *,
    device: str = "auto",
    replace: bool = False,
) -> list[Path]:
    """Draw samples and write them, and return the files.

    Args:
        model: What to draw from.
        path: A ``.png`` for one picture, a ``.csv`` for vectors, else a folder for single images.
        count: Number of samples.
        seed: Seed of the latents.
        device: Where to compute.
        replace: Whether files that are there may be replaced.

    Raises:
        InputError: a file is there already, or the path does not suit the samples.
    """
    is_image, suffix = model.config.spec.is_image, path.suffix.lower()
    if path.is_dir():
        suffix = ""
    if suffix not in ((".png", "") if is_image else (".png", ".csv")):
        fit = "a .png or a folder" if is_image else "a .png or a .csv"
        raise InputError(f"--out {path}: these samples are written to {fit}")
    files = [path] if suffix else [path / f"seed{seed}-{i:05d}.png" for i in range(count)]
    there = [file for file in files if file.exists()]
    if there and not replace:
        raise InputError(f"{there[0]} is there already; choose another --out, or add --force")
    stored = model.to(resolve_device(device)).sample_stored(count, seed)
    files[0].parent.mkdir(parents=True, exist_ok=True)
    texts = provenance(model.title, seed)
    if suffix == ".csv":
        write_text(path, _table(stored))
    elif suffix == ".png":
        save_png(picture_of(stored, model.config.spec.modes), path, texts)
    else:
        for i, file in enumerate(files):
            save_png(stored[i], file, {**texts, "ganzoo:index": str(i)})
    return files


def _table(vectors: Tensor) -> str:
    header = ",".join(f"x{i}" for i in range(vectors.shape[1]))
    rows = [",".join(repr(number) for number in row) for row in vectors.tolist()]
    return "\n".join([header, *rows]) + "\n"
