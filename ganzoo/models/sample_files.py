"""Samples as files: one picture, a table of vectors, single images, or a movie."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any

import torch

from ganzoo import distributed
from ganzoo.arguments import require_int
from ganzoo.compute.devices import resolve_device
from ganzoo.errors import InputError, warn_caller
from ganzoo.media.images import (
    choose_columns,
    grid,
    match_images,
    pair_grid,
    provenance,
    render_samples,
    save_png,
    to_float,
    to_pil,
    to_uint8,
)
from ganzoo.media.movies import FRAME_MS, WALK_FRAMES, check_movie_path, write_movie
from ganzoo.models.inputs import find_sources, require_count
from ganzoo.models.mixing import draw_mix, require_styles
from ganzoo.models.pictures import Pictures, find_pictures, is_path
from ganzoo.progress import report_progress
from ganzoo.protocols.dataset import IMAGE_CHANNELS, DataSpec, Samples
from ganzoo.registry import DATASET
from ganzoo.resolve import choose_data
from ganzoo.storage.files import write_text

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

    from ganzoo.models.code_range import CodeRange
    from ganzoo.models.model import Model
    from ganzoo.protocols.architecture import GeneratorInput
    from ganzoo.protocols.latent_parts import Code

DEFAULT_COUNT = 64
"""Default number of samples."""
ROWS = 8
"""Default number of samples of which a code is varied."""
STEPS = 10
"""Values of a code that is numbers, in a picture."""
MIXED = 6
"""Default number of rows and columns of mixed styles."""


def write_samples(
    model: Model,
    path: Path | None,
    count: int | None = None,
    seed: int = 0,
    *,
    label: str | None = None,
    source: str | None = None,
    make_sources: bool = False,
    truncation: float | None = None,
    codes: Mapping[str, Code] | None = None,
    tile: int | None = None,
    device: str = "auto",
    replace: bool = False,
    warn: Callable[[str], None] = warn_caller,
) -> list[Path]:
    """Draw samples or make them from images, write them, and return the files.

    Single images of a conditional model go into a folder for each class, unless ``label`` chooses
    one. In one picture, each class has columns of its own (up to 64 classes). What is made from
    images keeps their names. A model that takes images of any size keeps that of each picture of a
    file or a folder. With several processes, each generates its share and the first one writes.

    Args:
        model: The model.
        path: A ``.png`` for one picture, a ``.csv`` for vectors, else a folder for single images.
            None for ``samples-SEED.png`` or ``translated.png``, or a folder ``translated`` for
            several pictures of their own sizes.
        count: Number of samples; if None, 64 or all sources.
        seed: Seed of the latents.
        label: Name or number of the class of all samples.
        source: Name of a dataset, or a path, whose images the samples are made from.
        make_sources: Whether these are whole images, of which the architecture makes its sources,
            as in training; ``seed`` is that of what is random in them.
        truncation: As for :meth:`ganzoo.Model.sample`.
        codes: As for :meth:`ganzoo.Model.sample`.
        tile: As for :meth:`ganzoo.Model.translate`.
        device: Device to compute on.
        replace: Replace existing files.
        warn: Called with a message about sources that could not be read.

    Raises:
        InputError: a file exists, the path does not suit the samples, or the model cannot make
            such samples.
    """
    seed = require_int("seed", seed)
    count = None if count is None else require_count(count)
    spec = model.config.spec
    if source is not None:
        _refuse_without_sources(model, codes, make_sources)
    usual = Path("translated.png" if source else f"samples-{seed}.png")
    suffix = _check_suffix(path or usual, spec)
    number = _find_class(model, label)
    model = model.with_truncation(truncation)  # refused before any source is read
    keeps_sizes = model.inputs.takes_any_size and not make_sources
    if source is not None and keeps_sizes and is_path(source):
        pictures = find_pictures(model, source, count, warn)
        return _write_pictures(model, pictures, path, number, tile, device, replace)
    if tile is not None:
        raise InputError("--tile is for a file or a folder that a model enlarges: drop it")
    path = path or usual
    if source is None:
        count = count or DEFAULT_COUNT
        sources, inputs = None, model.inputs.draw(count, seed, number, codes)
        names = _sample_names(spec, inputs.labels if number is None else None, count, seed)
    else:
        whole = seed if make_sources else None
        sources, inputs = _read_sources(model, source, number, count, warn, whole)
        names = _source_names(sources)
    files = [path] if suffix else [path / name for name in names]
    _refuse_existing(files, replace)
    with distributed.join_team() as team, distributed.sharing():
        place = resolve_device(device)
        team.connect(place)
        stored = model.to(place).generate(inputs, stored=True)
    if not team.is_first:
        return files
    texts = provenance(model.title, seed, truncation, codes)
    path.parent.mkdir(parents=True, exist_ok=True)
    if suffix == ".csv":
        write_text(path, _to_csv(stored))
    elif suffix and sources is not None:
        save_png(pair_grid(*match_images(sources.stored, stored)), path, texts)
    elif suffix:
        save_png(render_model_samples(model, stored, number), path, texts)
    else:
        for i, file in enumerate(files):
            _save_single(stored[i], file, i, texts)
    return files


def _refuse_without_sources(
    model: Model, codes: Mapping[str, Code] | None, make_sources: bool
) -> None:
    _ = model.inputs.source_shape  # refused if there are none
    if codes:
        raise InputError("this model makes samples from images: drop --code")
    if make_sources and not model.architecture.makes_sources:
        raise InputError(
            "this model takes sources as they are, and makes none of whole images: drop "
            "--make-sources"
        )


def _save_single(image: Tensor, file: Path, number: int, texts: dict[str, str]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    save_png(image, file, {**texts, "ganzoo:index": str(number)})


def _write_pictures(
    model: Model,
    pictures: Pictures,
    path: Path | None,
    label: int | None,
    tile: int | None,
    device: str,
    replace: bool,
) -> list[Path]:
    """Write what is made of pictures at their own sizes, one by one, and return the files."""
    names = name_files(pictures.names)
    path = path or Path("translated.png" if len(names) == 1 else "translated")
    is_single = bool(_check_suffix(path, model.config.spec))
    if is_single and len(names) > 1:
        raise InputError(
            f"--out {path}: the {len(names)} pictures keep their sizes and do not fit into one; "
            "give a folder"
        )
    files = [path] if is_single else [path / name for name in names]
    _refuse_existing(files, replace)
    with distributed.join_team() as team, distributed.sharing():
        place = resolve_device(device)
        team.connect(place)
        model = model.to(place)
        for number, file in enumerate(files):
            inputs = model.inputs.from_images(to_float(pictures.read(number)[None]), label)
            stored = model.generate(inputs, stored=True, tile=tile)
            if team.is_first:
                _save_single(stored[0], file, number, provenance(model.title, 0))
            report_progress("making pictures", number + 1, len(files))
    return files


def write_walk(
    model: Model,
    path: Path,
    seeds: Sequence[int],
    frames: int = WALK_FRAMES,
    count: int | None = None,
    *,
    loop: bool = False,
    label: str | None = None,
    truncation: float | None = None,
    codes: Mapping[str, Code] | None = None,
    along: CodeRange | None = None,
    device: str = "auto",
    replace: bool = False,
) -> None:
    """Write a walk through samples as a movie; with several processes, the first one writes it.

    The frame at a seed is the picture that :func:`write_samples` writes for that seed.

    Args:
        model: The model.
        path: A ``.gif``, a ``.webp`` or an ``.mp4``; see :func:`ganzoo.media.movies.write_movie`.
        seeds: As for :meth:`ganzoo.Model.walk`.
        frames: As for :meth:`ganzoo.Model.walk`.
        count: Number of samples in each frame; if None, 64.
        loop: As for :meth:`ganzoo.Model.walk`.
        label: Name or number of the class of all samples.
        truncation: As for :meth:`ganzoo.Model.sample`.
        codes: As for :meth:`ganzoo.Model.sample`, the same at all seeds.
        along: A code to walk along in place of walking between seeds; there is then one seed.
        device: Device to compute on.
        replace: Replace an existing file.

    Raises:
        InputError: the file exists, no movie can be written to the path, or the model cannot make
            such a walk.
    """
    check_movie_path(path)
    model = model.with_truncation(truncation)
    number = _find_class(model, label)
    count = DEFAULT_COUNT if count is None else count
    shown: dict[str, Any] = dict(codes or {})
    if along is None:
        walk = model.inputs.walk(count, seeds, frames, loop, number, codes)
    else:
        walk = model.inputs.walk_along(count, along, seeds[0], frames, loop, number, codes)
        shown = {**shown, along.name: along.describe_ends()}
    _refuse_existing([path], replace)

    def pictures() -> Iterator[Image]:
        for done, inputs in enumerate(walk, 1):
            stored = model.generate(inputs, stored=True)
            yield to_pil(render_model_samples(model, stored, number))
            report_progress("drawing frames", done, len(walk))

    def write() -> None:
        model.to(resolve_device(device))
        texts = provenance(model.title, ", ".join(map(str, seeds)), truncation, shown)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_movie(path, pictures(), [FRAME_MS] * len(walk), texts)

    with distributed.join_team() as team:
        team.run_on_first(write)


def write_variation(
    model: Model,
    path: Path,
    along: CodeRange,
    count: int | None = None,
    seed: int = 0,
    *,
    label: str | None = None,
    truncation: float | None = None,
    codes: Mapping[str, Code] | None = None,
    device: str = "auto",
    replace: bool = False,
) -> None:
    """Write a picture in which a code changes: a row for each sample, a column for each value.

    So are the pictures of codes of Chen et al. 2016 (arXiv:1606.03657, figure 2). With several
    processes, the first one writes it.

    Args:
        model: The model, of images.
        path: A ``.png``.
        along: The code and its values.
        count: Number of rows; if None, 8.
        seed: Seed of the latents.
        label: Name or number of the class of all samples.
        truncation: As for :meth:`ganzoo.Model.sample`.
        codes: Values of other parts, as for :meth:`ganzoo.Model.sample`.
        device: Device to compute on.
        replace: Replace an existing file.

    Raises:
        InputError: the file exists, the path does not suit, or the model has no such code.
    """
    if not model.config.spec.is_image or path.suffix.lower() != ".png":
        raise InputError("--vary makes one picture of images: give --out a .png")
    model, number = model.with_truncation(truncation), _find_class(model, label)
    inputs = model.inputs.vary(count or ROWS, along, STEPS, seed, number, codes)
    _refuse_existing([path], replace)

    def write() -> None:
        stored = model.to(resolve_device(device)).generate(inputs, stored=True)
        columns = len(stored) // (count or ROWS)
        shown = {**(codes or {}), along.name: along.describe_ends()}
        path.parent.mkdir(parents=True, exist_ok=True)
        save_png(grid(stored, columns), path, provenance(model.title, seed, truncation, shown))

    with distributed.join_team() as team:
        team.run_on_first(write)


def write_mix(
    model: Model,
    path: Path,
    layers: Sequence[int],
    count: int | None = None,
    seed: int = 0,
    *,
    label: str | None = None,
    truncation: float | None = None,
    codes: Mapping[str, Code] | None = None,
    device: str = "auto",
    replace: bool = False,
) -> None:
    """Write a picture of samples and of what is mixed of their styles.

    With several processes, each generates its share and the first one writes.

    Args:
        model: The model.
        path: A ``.png``.
        layers: As for :meth:`ganzoo.Model.mix`.
        count: Number of samples in the first row, and in the first column; if None, 6.
        seed: Seed of the latents.
        label: Name or number of the class of all samples.
        truncation: As for :meth:`ganzoo.Model.mix`.
        codes: As for :meth:`ganzoo.Model.mix`.
        device: Device to compute on.
        replace: Replace an existing file.

    Raises:
        InputError: the file exists or is no ``.png``, or the model cannot mix such samples.
    """
    if path.is_dir() or path.suffix.lower() != ".png":
        raise InputError(f"--out {path}: write mixed styles to a .png")
    require_styles(model.styles)
    count = MIXED if count is None else require_count(count)
    inputs = model.inputs.draw(2 * count, seed, _find_class(model, label), codes)
    _refuse_existing([path], replace)
    with distributed.join_team() as team, distributed.sharing():
        place = resolve_device(device)
        team.connect(place)
        styles, spec = model.to(place).styles, model.config.spec
        stored = draw_mix(styles, inputs, layers, spec, truncation, stored=True)
    if team.is_first:
        named = ", ".join(map(str, layers))
        texts = provenance(model.title, seed, truncation, codes) | {"ganzoo:mixed-layers": named}
        path.parent.mkdir(parents=True, exist_ok=True)
        save_png(grid(stored.flatten(0, 1), count + 1), path, texts)


def render_model_samples(model: Model, stored: Tensor, label: int | None) -> Tensor:
    """Render samples as one picture, in which each class has columns of its own.

    Args:
        model: The model that made the samples.
        stored: Stored samples: uint8 images ``(N, C, H, W)``, or float32 vectors ``(N, D)``.
        label: The class of all samples if one was chosen; None if they cycle through the classes.

    Returns:
        A uint8 picture ``(C, H', W')``.
    """
    spec = model.config.spec
    in_turn = spec.classes if model.conditional and label is None else None
    return render_samples(stored, spec.modes, choose_columns(in_turn))


def _find_class(model: Model, label: str | None) -> int | None:
    if label is None:
        return None
    if not model.conditional:
        raise InputError("this model has no classes to choose from: drop --label")
    return model.config.spec.class_index(label)


def _refuse_existing(files: list[Path], replace: bool) -> None:
    existing = [file for file in files if file.exists()]
    if existing and not replace:
        raise InputError(f"{existing[0]} already exists; choose another --out, or add --force")


def _check_suffix(path: Path, spec: DataSpec) -> str:
    suffix = "" if path.is_dir() else path.suffix.lower()
    if suffix not in ((".png", "") if spec.is_image else (".png", ".csv")):
        allowed = "a .png or a folder" if spec.is_image else "a .png or a .csv"
        raise InputError(f"--out {path}: write these samples to {allowed}")
    return suffix


def _read_sources(
    model: Model,
    source: str,
    label: int | None,
    count: int | None,
    warn: Callable[[str], None],
    whole: int | None,
) -> tuple[Samples, GeneratorInput]:
    """Read the images to start from, at the size that the model takes, and prepare them for it.

    Of data with sources of that shape, these are taken. If ``whole`` is a seed, the images are
    samples, of which the architecture makes its sources.
    """
    spec, shape = model.config.spec, model.inputs.source_shape
    if label is None and model.architecture.takes_images:
        classes = " or ".join(spec.class_names or map(str, range(spec.classes or 0)))
        raise InputError(f"--source needs --label, the class to translate to: {classes}")
    if len(shape) != 3 or shape[0] not in IMAGE_CHANNELS:
        raise InputError(
            f"no image file has the shape of this model's sources, {' x '.join(map(str, shape))}: "
            "pass tensors to model.translate()"
        )
    read = shape if whole is None else spec.shape
    samples = choose_data(source, {}, like=DataSpec(shape=read)).build(DATASET).read()
    for message in samples.describe_skipped():
        warn(message)
    chosen = samples.subset(torch.arange(min(count or len(samples), len(samples))))
    if whole is not None:
        _require_shape(chosen, spec)
        everyone = torch.arange(len(chosen))
        made = find_sources(model.architecture, chosen, everyone, whole)
        sources = Samples(DataSpec(shape=shape), to_uint8(made), names=chosen.names)
        return sources, model.inputs.from_images(made, label)
    if chosen.spec.source == shape and chosen.sources is not None:
        sources = Samples(DataSpec(shape=shape), chosen.sources, names=chosen.names)
    else:
        sources = chosen
    return sources, model.inputs.from_images(sources.batch(torch.arange(len(sources))), label)


def _require_shape(samples: Samples, spec: DataSpec) -> None:
    if samples.spec.shape != spec.shape:
        raise InputError(
            f"this model makes sources of images of {spec.size_in_words}, and those are of "
            f"{samples.spec.size_in_words}"
        )


def _sample_names(spec: DataSpec, labels: Tensor | None, count: int, seed: int) -> Iterable[str]:
    names = (f"seed{seed}-{i:05d}.png" for i in range(count))
    if labels is None:
        return names
    called = spec.class_names or ()
    folders = [
        called[i] if i < len(called) and _is_safe_name(called[i]) else str(i)
        for i in range(spec.classes or 0)
    ]
    return (f"{folders[label]}/{name}" for label, name in zip(labels, names, strict=True))


def _source_names(sources: Samples) -> list[str]:
    """Name each translation after its source, or by number."""
    return name_files(sources.names or [f"source-{i:05d}" for i in range(len(sources))])


def name_files(sources: Sequence[str]) -> list[str]:
    """Name a PNG after each source; by number where names would collide or leave the folder."""
    numbers = [f"source-{i:05d}.png" for i in range(len(sources))]
    if not all(map(_is_safe_name, sources)):
        return numbers
    short = [PurePosixPath(name).with_suffix(".png").as_posix() for name in sources]
    for names in (short, [f"{name}.png" for name in sources]):
        if len(set(names)) == len(names):
            return names
    return numbers


def _is_safe_name(name: str) -> bool:
    """Tell whether a file of this name stays inside its folder, and can be printed.

    Names come from models and archives, which may be anybody's.
    """
    path = PureWindowsPath(name)  # understands both separators, and drives
    return bool(path.parts) and not path.anchor and ".." not in path.parts and name.isprintable()


def _to_csv(vectors: Tensor) -> str:
    header = ",".join(f"x{i}" for i in range(vectors.shape[1]))
    rows = [",".join(repr(number) for number in row) for row in vectors.tolist()]
    return "\n".join([header, *rows]) + "\n"
