"""Exporting a trained generator as one file that needs no ganzoo: torch.export or ONNX."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganzoo.errors import GanzooError, InputError, first_line
from ganzoo.storage.paths import user_path
from ganzoo_zoo.apps.export.formats import BATCH, SAMPLES, Format, find_format, guess_format

if TYPE_CHECKING:
    from torch import Tensor

    from ganzoo.models.model import Model
    from ganzoo.runs.folder import Run
    from ganzoo_zoo.apps.export.network import Network

TOLERANCE = 1e-4
"""Largest allowed difference between samples of the file and of the model, relative to the largest
absolute value or 1, whichever is greater."""
EXAMPLES = 2
"""Batch size for tracing; with 1, torch would treat the batch size as a constant."""
BATCHES = (1, 5)
"""Batch sizes for checking the file."""


@dataclass(frozen=True)
class ExportedFile:
    """An exported file and the result of its check."""

    format: str
    file: Path
    inputs: dict[str, dict[str, Any]]
    """Type and shape of each input by name; ``N`` is any number of samples."""
    outputs: dict[str, dict[str, Any]]
    largest_difference: float
    """Largest difference between its samples and the model's; see :data:`TOLERANCE`."""
    tolerance: float = TOLERANCE


def export(
    model: Model | Run | str | Path | None,
    path: str | Path,
    format: str | None = None,
    *,
    replace: bool = False,
) -> ExportedFile:
    """Write a model's averaged generator (EMA) as one file atomically, and check the file.

    The program maps ``latents`` ``(N, z_dim)`` to ``samples``: images ``(N, C, H, W)`` in
    ``[-1, 1]``, or vectors ``(N, D)``. With a conditional model it also takes integer ``labels``
    ``(N,)``, and with a translating model ``images`` ``(N, C, H, W)`` instead of latents.

    Args:
        model: A model, or anything that :func:`ganzoo.load` accepts.
        path: The file, with the suffix of its format.
        format: ``torch-export`` or ``onnx``; if None, the one of the path's suffix.
        replace: Whether to overwrite an existing file.

    Raises:
        InputError: the format is unknown, a required package is missing, the path does not fit the
            format, or the network is too large for it.
        ganzoo.errors.GanzooError: the network cannot be exported, or the file does not reproduce
            the model's samples. No file is written.
    """
    path = user_path(path)
    chosen = guess_format(path) if format is None else find_format(format)
    chosen.check()
    _check_path(path, chosen, replace)
    from ganzoo.compute.seeding import preserve_rng_state
    from ganzoo.models.model import Model, load
    from ganzoo.storage.files import atomic_path
    from ganzoo_zoo.apps.export.network import Network

    network = Network(model if isinstance(model, Model) else load(model))
    # Warnings of torch and onnxscript are about their own code.
    ignoring = warnings.catch_warnings(action="ignore")
    with preserve_rng_state(), ignoring, _explain_errors(network, chosen):
        program = network.program(EXAMPLES)
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as beside:
            chosen.write(program, beside, network.about)
            difference = _difference(network, chosen, beside)
            if not difference <= TOLERANCE:  # also catches NaN
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
    """Turn errors of torch and of ONNX into one line about what cannot be exported."""
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
    """Check the path before anything is read or computed."""
    if path.suffix != chosen.suffix:
        raise InputError(f"--out {path}: the format {chosen.name} needs the suffix {chosen.suffix}")
    if path.is_dir():
        raise InputError(f"{path} is a folder; choose another --out")
    if path.exists() and not replace:
        raise InputError(f"{path} already exists; choose another --out, or add --force")


def _difference(network: Network, chosen: Format, file: Path) -> float:
    """Return the largest difference of the file's samples; infinite if their shape is wrong."""
    import torch

    run = chosen.load(file)
    differences = []
    for count in BATCHES:
        inputs, expected = network.example(count)
        found = run(inputs)
        if found.shape != expected.shape:
            return float("inf")
        differences.append((found - expected).abs().max() / expected.abs().max().clamp(min=1))
    return torch.stack(differences).max().item()  # NaN if any of them is NaN


def _describe_tensors(tensors: dict[str, Tensor]) -> dict[str, dict[str, Any]]:
    return {
        name: {
            "dtype": str(tensor.dtype).removeprefix("torch."),
            "shape": [BATCH, *tensor.shape[1:]],
        }
        for name, tensor in tensors.items()
    }
