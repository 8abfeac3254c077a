"""Make a model of another program's weights, without running code of their file."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ganzoo.cli.common import (
    ImageSize,
    Json,
    Settings,
    complete_names,
    gather_settings,
    print_json,
    print_line,
    print_table,
)
from ganzoo.cli.help import list_examples
from ganzoo.display.messages import note
from ganzoo.errors import InputError
from ganzoo.registry import ARCHITECTURE, CONVERTER

if TYPE_CHECKING:
    from ganzoo_zoo.apps.import_weights import Imported

MAX_SHOWN = 5
"""The most ignored tensors that the report names."""
app = typer.Typer(rich_markup_mode=None)
EXAMPLES = list_examples(
    ("A file that a converter recognises.", "import netG.pth"),
    ("Of which program it is, and where you got it.", "import FILE --from KIND --address URL"),
    (
        "What fits an architecture, and a map.",
        "import FILE --to dcgan --write-map m.json",
    ),
    ("By such a map.", "import FILE --to dcgan --map m.json"),
)


@app.command(epilog=EXAMPLES)
def import_file(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="Weights as .pth, .pt, .bin, .ckpt, .safetensors or .pkl."
        ),
    ],
    kind: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="KIND",
            help="A converter of 'ganzoo list converters'; by default the one that recognises the "
            "file.",
            autocompletion=complete_names(CONVERTER),
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The model's folder; by default imported/NAME."),
    ] = None,
    settings: Settings = None,
    to: Annotated[
        str | None,
        typer.Option(
            metavar="ARCHITECTURE",
            help="Without a converter: the architecture whose tensors these are. Set its options "
            "as arch.KEY, and data.image_size, data.image_channels and data.classes.",
            autocompletion=complete_names(ARCHITECTURE),
        ),
    ] = None,
    image_size: ImageSize = None,
    map_file: Annotated[
        Path | None,
        typer.Option("--map", metavar="FILE", help="With --to: our names for theirs, as JSON."),
    ] = None,
    write_map: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="With --to: report what fits, propose a map there, and stop."
        ),
    ] = None,
    discriminator: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Weights of the discriminator, if in another file."),
    ] = None,
    address: Annotated[
        str | None, typer.Option(metavar="URL", help="Where you got the file, for its origin.")
    ] = None,
    licence: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Licence of the weights, as the Hub names it: mit."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing model.")] = False,
    as_json: Json = False,
) -> None:
    """Make a model of another program's weights; no code of their file is run."""
    from ganzoo_zoo.apps.import_weights import import_weights

    given = gather_settings(settings, {}, image_size)
    if write_map is not None:
        if to is None or map_file is not None:
            raise InputError("--write-map needs --to ARCHITECTURE, and no --map")
        _propose(file, to, given, write_map, force, as_json)
        return
    done = import_weights(
        file,
        kind,
        out=out,
        settings=given,
        to=to,
        map_file=map_file,
        discriminator=discriminator,
        address=address,
        licence=licence,
        replace=force,
    )
    if as_json:
        origin = done.origin.model_dump(mode="json")
        print_json({**asdict(done), "folder": str(done.folder), "origin": origin})
        return
    print_line(str(done.folder))
    table = list(_describe(done))
    width = max(len(key) for key, _ in table)
    for key, text in table:
        note(f"{key:{width}}  {text}")


def _describe(done: Imported) -> Any:
    """Yield the lines of the report."""
    options = ", ".join(f"{name}={value}" for name, value in done.options.items())
    shape = " x ".join(map(str, done.shape))
    classes = f", {done.classes} classes" if done.classes else ""
    yield "converter", done.converter
    yield "model", f"{done.architecture} for images of {shape}{classes}"
    yield "options", options or "the defaults"
    judge = done.discriminator_parameters
    second = "no discriminator" if judge is None else f"{judge:,} in the discriminator"
    yield "parameters", f"{done.generator_parameters:,} in the generator, {second}"
    if done.ignored:
        more = f" and {len(done.ignored) - MAX_SHOWN} more" if len(done.ignored) > MAX_SHOWN else ""
        yield "not needed", ", ".join(done.ignored[:MAX_SHOWN]) + more
    yield from (("note", line) for line in done.notes)
    yield "licence", done.origin.terms
    path = shlex.quote(str(done.folder))
    yield "next", f"ganzoo sample {path}{' --source PATH' if done.needs_source else ''}"
    yield "", f"ganzoo train --init {path} --data PATH"


def _propose(
    file: Path, to: str, settings: dict[str, Any], out: Path, force: bool, as_json: bool
) -> None:
    from ganzoo.storage.files import write_text
    from ganzoo.storage.json_files import to_json
    from ganzoo.storage.paths import user_path
    from ganzoo_zoo.apps.import_weights import mapping
    from ganzoo_zoo.apps.import_weights.reader import read_weights

    if out.exists() and not force:
        raise InputError(f"{out} already exists; choose another --write-map, or add --force")
    weights, target = read_weights(user_path(file)), mapping.find_target(to, settings)
    names = mapping.propose_map(weights, target)
    write_text(out, to_json(names))
    misfits = list(mapping.find_misfits(weights, target, names))
    if as_json:
        print_json({"map": str(out), "names": names, "problems": misfits})
        return
    rows = [(theirs, str(weights.shape(theirs)), ours or "") for theirs, ours in names.items()]
    print_table(("tensor", "shape", f"in {to}"), rows)
    for misfit in misfits:
        note(misfit)
    left = sum(ours is None for ours in names.values())
    note(
        f"{out}: {len(names) - left} of {len(names)} tensors have a place; look at each, because "
        "equal shapes prove nothing"
    )
    paths = [shlex.quote(str(path)) for path in (file, out)]
    note(f"next: ganzoo import {paths[0]} --to {to} --map {paths[1]}")
