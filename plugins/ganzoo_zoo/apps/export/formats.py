"""The formats: how a program is written to a file, and how the file is run.

What they need is imported when it is used: torch takes a second, and ONNX may not be installed.
"""

from __future__ import annotations

import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from ganzoo.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from torch import Tensor
    from torch.export import ExportedProgram

ABOUT = "ganzoo.json"
"""Key of the text within a file that says what it is."""
BATCH = "N"
"""Name of the first dimension of all inputs and of the samples."""
SAMPLES = "samples"
"""Name of the output."""
OPSET = 18
"""Of the operators of ONNX, those that torch has translations to; to others it would convert."""
ONNX_LIMIT = (1 << 31) - (1 << 24)
"""Bytes of numbers in one ONNX file: protobuf ends at 2 GiB, and the graph takes its part."""

Runner = Callable[[Mapping[str, "Tensor"]], "Tensor"]
"""From inputs by their names to samples."""


class Format(ABC):
    """A kind of file."""

    name: ClassVar[str]
    suffix: ClassVar[str]
    extra: ClassVar[str | None] = None
    """The extra of ganzoo that installs its packages."""
    packages: ClassVar[tuple[str, ...]] = ()

    def check(self) -> None:
        """Refuse where a package is missing.

        Raises:
            InputError: one is.
        """
        if any(importlib.util.find_spec(package) is None for package in self.packages):
            raise InputError(
                f"format '{self.name}' needs packages that are not installed here: "
                f"pip install 'ganzoo[{self.extra}]'"
            )

    @abstractmethod
    def write(self, program: ExportedProgram, path: Path, about: str) -> None:
        """Write one file that holds the program, its weights, and a text that says what it is.

        Raises:
            InputError: the program is larger than the format can hold.
        """

    @abstractmethod
    def load(self, path: Path) -> Runner:
        """Return the function that a file of this format is."""


class TorchExport(Format):
    """A program of torch.export, for torch alone."""

    name = "torch-export"
    suffix = ".pt2"

    def write(self, program: ExportedProgram, path: Path, about: str) -> None:
        """Write a ``.pt2``, in which the text is an extra file."""
        import torch

        with path.open("wb") as file:
            torch.export.save(program, file, extra_files={ABOUT: about})

    def load(self, path: Path) -> Runner:
        """Read the file by torch, which unpickles: it must be one of this process."""
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
        """Write an ``.onnx`` with all weights inside, in whose metadata the text stands."""
        import onnx
        import torch

        size = sum(tensor.nbytes for tensor in program.state_dict.values())
        if size > ONNX_LIMIT:
            raise InputError(
                f"an ONNX file holds less than 2 GiB, and these weights are {size / 2**30:.1f} GiB;"
                f" choose --format {TorchExport.name}"
            )
        model = torch.onnx.export(
            program,
            (),
            dynamo=True,
            dynamic_shapes={name: {0: BATCH} for name in program.graph_signature.user_inputs},
            output_names=[SAMPLES],
            opset_version=OPSET,
            verbose=False,
        ).model_proto
        onnx.helper.set_model_props(model, {ABOUT: about})
        path.write_bytes(model.SerializeToString())

    def load(self, path: Path) -> Runner:
        """Give the file to onnxruntime, on the CPU."""
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
        InputError: there is none.
    """
    if name not in FORMATS:
        hint = did_you_mean(name, FORMATS) or f"; there are {' and '.join(FORMATS)}"
        raise InputError(f"no format is called '{name}'{hint}")
    return FORMATS[name]
