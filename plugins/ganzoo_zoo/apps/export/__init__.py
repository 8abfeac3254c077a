"""A trained generator as one file that needs no ganzoo: a torch.export program, or ONNX."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganzoo.errors import GanzooError, InputError, first_line
from ganzoo_zoo.apps.export.formats import BATCH, DEFAULT, SAMPLES, Format, find_format

if TYPE_CHECKING:
    from torch import Tensor

    from ganzoo.models.model import Model
    from ganzoo.runs.folder import Run
    from ganzoo_zoo.apps.export.network import Network

TOLERANCE = 1e-4
"""How far samples of a file may be from the model's, where a white pixel is 1.

Of vectors whose largest number is above 1, the part of that number.
"""
EXAMPLES = 2
"""Samples in the batch that is followed; of one, torch would take the size for a constant."""
BATCHES = (1, 5)
"""Samples in the batches that a file is tried with."""


@dataclass(frozen=True)
class ExportedFile:
    """A file that was written, and how it was found to be."""

    format: str
    file: Path
    inputs: dict[str, dict[str, Any]]
    """Type and shape of each input by its name; ``N`` is any number of samples."""
    outputs: dict[str, dict[str, Any]]
    largest_difference: float
    """Between its samples and the model's, as the tolerance counts."""
    tolerance: float = TOLERANCE


def export(
    model: Model | Run | str | Path | None,
    path: str | Path,
    format: str = DEFAULT,
    *,
    replace: bool = False,
) -> ExportedFile:
    """Write a model's averaged generator as one file, whole or not at all, and try the file.

    It maps ``latents`` ``(N, z_dim)`` to ``samples``: images ``(N, C, H, W)`` in ``[-1, 1]``, or
    vectors ``(N, D)``. That of a conditional model takes ``labels`` ``(N,)`` too, whole numbers,
    and one that translates takes ``images`` ``(N, C, H, W)`` in place of latents.

    Args:
        model: What :func:`ganzoo.load` takes, or what it gave.
        path: The file, with the ending of its format.
        format: One of ``ganzoo_zoo.apps.export.formats.FORMATS``.
        replace: Whether a file that is there may be replaced.

    Raises:
        InputError: there is no such format, a package that it needs is missing, the path does not
            suit it, or the network is larger than the format can hold.
        ganzoo.errors.GanzooError: the network cannot be exported, or the file was found to give
            other samples than the model; nothing is left of it.
    """
    path = Path(path)
    chosen = find_format(format)
    chosen.check()
    _check_path(path, chosen, replace)
    from ganzoo.compute.seeding import preserve_rng_state
    from ganzoo.models.model import Model, load
    from ganzoo.storage.files import atomic_path
    from ganzoo_zoo.apps.export.network import Network

    network = Network(model if isinstance(model, Model) else load(model))
    # What torch and onnxscript warn of is their own code, about which nobody here can do anything.
    ignoring = warnings.catch_warnings(action="ignore")
    with preserve_rng_state(), ignoring, _explain_errors(network, chosen):
        program = network.program(EXAMPLES)
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as beside:
            chosen.write(program, beside, network.about)
            difference = _difference(network, chosen, beside)
            if not difference <= TOLERANCE:  # nor is it if it is not a number
                raise GanzooError(
                    f"the {chosen.name} file does not give the model's samples: they differ by "
                    f"{difference:.1e}, and {TOLERANCE:.0e} is allowed; {path} was not written"
                )
    inputs, samples = network.example(EXAMPLES)
    return ExportedFile(
        chosen.name,
        path,
        _describe_tensors(inputs),
        _describe_tensors({SAMPLES: samples}),
        difference,
    )


@contextmanager
def _explain_errors(network: Network, chosen: Format) -> Iterator[None]:
    """Say in a line what stands in the way: what cannot be followed, or the format has not."""
    try:
        yield
    except (GanzooError, OSError):
        raise
    except Exception as error:
        raise GanzooError(
            f"the generator of {network.architecture} cannot be exported as {chosen.name}: "
            f"{type(error).__name__}: {first_line(error)}"
        ) from error


def _check_path(path: Path, chosen: Format, replace: bool) -> None:
    """Refuse a path before anything is read or computed for it."""
    if path.suffix != chosen.suffix:
        raise InputError(f"--out {path}: the format {chosen.name} is written to a {chosen.suffix}")
    if path.is_dir():
        raise InputError(f"{path} is a folder; choose another --out")
    if path.exists() and not replace:
        raise InputError(f"{path} is there already; choose another --out, or add --force")


def _difference(network: Network, chosen: Format, file: Path) -> float:
    """Return how far a file's samples are from the model's; infinite if they are misshapen."""
    import torch

    run = chosen.load(file)
    differences = []
    for count in BATCHES:
        inputs, expected = network.example(count)
        found = run(inputs)
        if found.shape != expected.shape:
            return float("inf")
        differences.append((found - expected).abs().max() / expected.abs().max().clamp(min=1))
    return torch.stack(differences).max().item()  # which is not a number if one of them is none


def _describe_tensors(tensors: dict[str, Tensor]) -> dict[str, dict[str, Any]]:
    return {
        name: {
            "dtype": str(tensor.dtype).removeprefix("torch."),
            "shape": [BATCH, *tensor.shape[1:]],
        }
        for name, tensor in tensors.items()
    }
