"""Importing the weights of other programs as a model folder, without running code of a file."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganzoo.errors import InputError, excerpt
from ganzoo.storage.paths import user_path

if TYPE_CHECKING:
    from ganzoo.config import Origin
    from ganzoo.protocols.converter import Converted, ForeignWeights
    from ganzoo.registry import Entry
    from ganzoo_zoo.apps.import_weights.converting import Networks

FOLDER = Path("imported")
"""Where imported models lie, each in a folder that has the name of its file."""
MAP_PROGRAM = "a program that is not known"
MAP_CONVERTER = "map"
"""What the origin names as its converter where a person gave a map."""


@dataclass(frozen=True)
class Imported:
    """What was imported, and where it is."""

    folder: Path
    converter: str
    origin: Origin
    architecture: str
    options: dict[str, Any]
    """Options of the architecture that are not its defaults."""
    shape: tuple[int, ...]
    classes: int | None
    generator_parameters: int
    discriminator_parameters: int | None
    """None if the file has no discriminator."""
    ignored: tuple[str, ...]
    """Names of the tensors that the model does not need."""
    notes: tuple[str, ...]
    needs_source: bool
    """Whether samples are made from images."""


def import_weights(
    file: str | Path,
    converter: str | None = None,
    *,
    out: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    to: str | None = None,
    map_file: str | Path | None = None,
    discriminator: str | Path | None = None,
    address: str | None = None,
    licence: str | None = None,
    replace: bool = False,
) -> Imported:
    """Make a model folder of another program's file; no code of the file is run.

    Args:
        file: The file: of ``torch.save``, safetensors, or a pickle with tensors.
        converter: Name of a converter; if None, the only one that recognises the file.
        out: The folder to write; by default ``imported/NAME``.
        settings: Options of the converter; with ``to``, those of the networks, as ``arch.KEY`` and
            ``data.KEY``.
        to: Name of an architecture, whose tensors the file has as they are, but for their names.
        map_file: A map of names for ``to``; without one, the names must agree.
        discriminator: A file with the weights of the discriminator, if it is another one.
        address: Where you got the file, for the origin.
        licence: The Hub's identifier of the weights' licence, if you know it.
        replace: Whether to replace an existing folder.

    Raises:
        InputError: the file cannot be read or converted, does not fit, or the folder exists.
        ganzoo.errors.PluginError: a converter is broken.
    """
    from ganzoo.arguments import require_text
    from ganzoo_zoo.apps.import_weights.converting import build_networks
    from ganzoo_zoo.apps.import_weights.reader import read_weights

    if map_file is not None and to is None:
        raise InputError("a map needs the architecture that it is for: add --to ARCHITECTURE")
    if to is not None and converter is not None:
        raise InputError("--to is for files without a converter: drop it, or --from")
    if licence is not None:
        require_text("a licence, such as mit", licence)
    path = user_path(file)
    folder = FOLDER / path.stem if out is None else user_path(out)
    _check_folder(folder, replace)
    weights = read_weights(path)
    if discriminator is not None:
        weights = _join(weights, read_weights(user_path(discriminator)))
    if to is None:
        entry, converted = _convert(weights, converter, settings or {})
    else:
        entry, converted = None, _convert_by_map(weights, to, map_file, settings or {})
    networks = build_networks(converted)
    origin = _describe_origin(path, entry, address, licence)
    _write(folder, networks, origin)
    about = (entry.name if entry else MAP_CONVERTER, origin)
    return _report(folder, about, converted, networks, weights)


def _check_folder(folder: Path, replace: bool) -> None:
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; choose another --out")
    if folder.exists() and any(folder.iterdir()):
        from ganzoo.runs.file_names import MANIFEST_FILE

        if not (folder / MANIFEST_FILE).is_file():
            raise InputError(f"{folder} is not empty, and no model; choose another --out")
        if not replace:
            raise InputError(f"{folder} already exists; choose another --out, or add --force")


def _join(weights: ForeignWeights, judge: ForeignWeights) -> ForeignWeights:
    """Return both files in one, the second under ``discriminator``."""
    from ganzoo.protocols.converter import ForeignWeights

    second = {f"discriminator.{name}": tensor for name, tensor in judge.tensors.items()}
    values = {f"discriminator.{name}": value for name, value in judge.values.items()}
    if taken := next((name for name in second if name in weights.tensors), None):
        raise InputError(f"the file has a tensor '{excerpt(taken)}' itself: drop --discriminator")
    return ForeignWeights({**weights.tensors, **second}, {**weights.values, **values})


def _convert(
    weights: ForeignWeights, name: str | None, options: Mapping[str, Any]
) -> tuple[Entry, Converted]:
    from ganzoo_zoo.apps.import_weights.converting import choose_converter, convert

    entry, converter = choose_converter(name, weights, options)
    return entry, convert(converter, weights)


def _convert_by_map(
    weights: ForeignWeights, to: str, map_file: str | Path | None, settings: Mapping[str, Any]
) -> Converted:
    from ganzoo_zoo.apps.import_weights import mapping

    target = mapping.find_target(to, settings)
    if map_file is not None:
        names = mapping.read_map(user_path(map_file), weights, target)
    else:
        names = mapping.find_same_names(weights, target)
    return mapping.convert_by_map(weights, target, names)


def _describe_origin(
    path: Path, entry: Entry | None, address: str | None, licence: str | None
) -> Origin:
    """Describe where a file comes from; a licence that is given is not the converter's usual one.

    Whether weights of a given licence may be passed on is the author's word alone.
    """
    import ganzoo
    from ganzoo.config import ConverterVersion, Origin
    from ganzoo.errors import escape_text
    from ganzoo.storage.files import sha256

    component = entry.load() if entry else None
    usual = component.licence if component else None
    package, version = (entry.package, entry.version) if entry else ("ganzoo", ganzoo.__version__)
    name = entry.name if entry else MAP_CONVERTER
    return Origin(
        file=excerpt(escape_text(path.name)),
        sha256=sha256(path),
        size=path.stat().st_size,
        address=address,
        program=component.program if component else MAP_PROGRAM,
        licence=licence or usual,
        may_pass_on=component.may_pass_on if component and licence in (None, usual) else None,
        converter=ConverterVersion(name=name, package=package, version=version),
        date=date.today().isoformat(),
    )


def _write(folder: Path, networks: Networks, origin: Origin) -> None:
    from ganzoo.config import ModelConfig
    from ganzoo.media.images import provenance, save_png
    from ganzoo.models.folder import name_import
    from ganzoo.models.model import Model
    from ganzoo.models.write import write_model
    from ganzoo.nn import fuse
    from ganzoo_zoo.apps.import_weights.picture import SEED, draw_picture

    config, architecture = networks.config, networks.architecture
    # The training lies behind it, also for networks that grow while they are trained.
    config = ModelConfig.of(config, networks.data, config.train.steps)
    architecture.advance(networks.generator, config.progress)
    generator = fuse(networks.generator).to(memory_format=architecture.memory_format)
    picture = draw_picture(Model(None, config, architecture, generator))
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="ganzoo-") as place:
        file = Path(place) / "samples.png"
        save_png(picture, file, provenance(name_import(config, origin), SEED))
        write_model(folder, config, generator, networks.discriminator, file, origin=origin)


def _report(
    folder: Path,
    about: tuple[str, Origin],
    converted: Converted,
    networks: Networks,
    weights: ForeignWeights,
) -> Imported:
    converter, origin = about
    judge = networks.discriminator
    return Imported(
        folder=folder,
        converter=converter,
        origin=origin,
        architecture=converted.architecture,
        options=dict(converted.options),
        shape=tuple(networks.data.shape),
        classes=networks.data.classes,
        generator_parameters=_count(networks.generator),
        discriminator_parameters=None if judge is None else _count(judge),
        ignored=tuple(weights.ignored()),
        notes=tuple(converted.notes),
        needs_source=not networks.architecture.takes_latents,
    )


def _count(network: Any) -> int:
    return sum(each.numel() for each in network.parameters())
