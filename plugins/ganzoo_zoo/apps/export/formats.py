"""Export formats: writing a program to a file, and running the file.

Packages are imported on use: torch takes a second, and ONNX may not be installed.
"""

from __future__ import annotations

import importlib.util
import io
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from ganzoo.errors import InputError, did_you_mean
from ganzoo.requirement import install_command

if TYPE_CHECKING:
    from torch import Tensor
    from torch.export import ExportedProgram

ABOUT = "ganzoo.json"
"""Key of the file's metadata that hold the model's configuration."""
BATCH = "N"
"""Name of the batch dimension of all inputs and of the samples."""
SAMPLES = "samples"
"""Name of the output."""
OPSET = 18
"""The ONNX operator set that torch translates to directly."""
ONNX_LIMIT = (1 << 31) - (1 << 24)
"""The most bytes of weights in one ONNX file: protobuf's limit of 2 GiB less the graph."""

Runner = Callable[[Mapping[str, "Tensor"]], "Tensor"]
"""A function from inputs by name to samples."""


class Format(ABC):
    """A file format."""

    name: ClassVar[str]
    suffix: ClassVar[str]
    extra: ClassVar[str | None] = None
    """The extra of ganzoo that installs the required packages."""
    packages: ClassVar[tuple[str, ...]] = ()
    """The required packages."""

    def check(self) -> None:
        """Check that the required packages are installed.

        Raises:
            InputError: a package is missing.
        """
        if any(importlib.util.find_spec(package) is None for package in self.packages):
            raise InputError(
                f"format '{self.name}' needs packages that are not installed here: "
                f"{install_command(self.extra)}"
            )

    @abstractmethod
    def write(self, program: ExportedProgram, path: Path, about: str) -> None:
        """Write the program, its weights and a text about the model to one file.

        Raises:
            InputError: the program is too large for the format.
        """

    @abstractmethod
    def load(self, path: Path) -> Runner:
        """Load a file of this format as a function."""


class TorchExport(Format):
    """A torch.export program, which runs in torch."""

    name = "torch-export"
    suffix = ".pt2"

    def write(self, program: ExportedProgram, path: Path, about: str) -> None:
        """Write a ``.pt2`` file, with the text as an extra file in it."""
        import torch

        # Into memory first: torch ends the process if it cannot write to a file.
        file = io.BytesIO()
        torch.export.save(program, file, extra_files={ABOUT: about})
        path.write_bytes(file.getbuffer())

    def load(self, path: Path) -> Runner:
        """Load the file in torch. This unpickles, so this process must have written the file."""
        import torch

        with path.open("rb") as file:
            module = torch.export.load(file).module()
        return lambda inputs: module(**inputs)


class ONNX(Format):
    """Open Neural Network Exchange."""

    name = "onnx"
    suffix = ".onnx"
    extra = "onnx"
    packages = ("onnx", "onnxscript", "onnxruntime")

    def write(self, program: ExportedProgram, path: Path, about: str) -> None:
        """Write an ``.onnx`` file with all weights, and with the text in its metadata."""
        import onnx
        import torch

        size = sum(tensor.nbytes for tensor in program.state_dict.values())
        if size > ONNX_LIMIT:
            raise InputError(
                f"an ONNX file holds less than 2 GiB, and these weights are {size / 2**30:.1f} GiB;"
                f" choose --format {TorchExport.name}"
            )
        exported = torch.onnx.export(
            program,
            (),
            dynamo=True,
            dynamic_shapes={name: {0: BATCH} for name in program.graph_signature.user_inputs},
            output_names=[SAMPLES],
            opset_version=OPSET,
            verbose=False,
        )
        assert exported is not None  # with dynamo=True there is a program
        model = exported.model_proto
        onnx.helper.set_model_props(model, {ABOUT: about})
        path.write_bytes(model.SerializeToString())

    def load(self, path: Path) -> Runner:
        """Load the file in onnxruntime, on the CPU."""
        import onnxruntime
        import torch

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors
        session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )

        def run(inputs: Mapping[str, Tensor]) -> Tensor:
            given = {name: tensor.numpy() for name, tensor in inputs.items()}
            return torch.from_numpy(session.run([SAMPLES], given)[0])

        return run


FORMATS: dict[str, Format] = {each.name: each for each in (TorchExport(), ONNX())}
DEFAULT = TorchExport.name


def find_format(name: str) -> Format:
    """Return the format of a name.

    Raises:
        InputError: the format is unknown.
    """
    if name not in FORMATS:
        hint = did_you_mean(name, FORMATS) or f"; there are {' and '.join(FORMATS)}"
        raise InputError(f"there is no format '{name}'{hint}")
    return FORMATS[name]


def guess_format(path: Path) -> Format:
    """Return the format of a file's suffix.

    Raises:
        InputError: no format has this suffix.
    """
    for found in FORMATS.values():
        if found.suffix == path.suffix:
            return found
    ways = " or ".join(f"{each.suffix} ({each.name})" for each in FORMATS.values())
    raise InputError(f"{path}: the file needs the suffix {ways}")
