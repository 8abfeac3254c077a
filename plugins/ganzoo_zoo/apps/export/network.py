"""The network to export: a generator with named inputs, examples, and the model's configuration."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from ganzoo import GeneratorInput
from ganzoo.compute.seeding import make_rng
from ganzoo.models.generation import generate
from ganzoo.models.inputs import cycle_classes
from ganzoo.models.model import Model
from ganzoo.storage.json_files import to_json
from ganzoo_zoo.apps.export.formats import BATCH

SEED = 0
MOST = (1 << 31) - 1
"""The largest batch size; torch 2.7 cannot trace every network for an unbounded one."""


class Network:
    """A copy, on the CPU, of the network that a model draws by: its averaged generator (EMA)."""

    def __init__(self, model: Model) -> None:
        self._model = model
        generator = copy.deepcopy(model.sampler).cpu().eval().requires_grad_(False)
        if model.architecture.takes_latents:
            self._named, self._given = _FromLatents(generator), "latents"
        else:
            self._named, self._given = _FromImages(generator), "images"

    @property
    def architecture(self) -> str:
        """Name of the architecture."""
        return self._model.config.architecture.name

    @property
    def about(self) -> str:
        """The configuration of the model as JSON, without paths of this machine."""
        config = self._model.config
        return to_json(
            config.model_dump(mode="json", exclude={"data": {"options"}, "trackers": True})
        )

    def example(self, count: int) -> tuple[dict[str, Tensor], Tensor]:
        """Return the inputs of a batch by name, and the model's samples for them."""
        inputs = self._inputs(count)
        # Inputs are views of larger blocks, which the file would contain.
        named = {self._given: inputs.given.clone()}
        if inputs.labels is not None:
            named["labels"] = inputs.labels
        return named, generate(self._named.generator, inputs, self._model.config.spec)

    def program(self, count: int) -> ExportedProgram:
        """Trace a batch of samples, and return a program for any batch size.

        Errors of torch are raised unchanged.
        """
        inputs, _ = self.example(count)
        sizes = {name: {0: Dim(BATCH, max=MOST)} for name in inputs}
        # Non-strict mode traces by running the network, which is faster.
        program = torch.export.export(self._named, (), inputs, dynamic_shapes=sizes, strict=False)
        for module in program.graph_module.modules():
            for node in getattr(getattr(module, "graph", None), "nodes", ()):
                node.meta.pop("stack_trace", None)  # contains paths of this machine
        return program

    def _inputs(self, count: int) -> GeneratorInput:
        inputs = self._model.inputs
        if self._model.architecture.takes_latents:
            return inputs.draw(count, SEED)
        noise = torch.rand(count, *inputs.source_shape, generator=make_rng(SEED, "export"))
        classes = self._model.config.spec.classes or 1
        labels = cycle_classes(count, classes) if self._model.conditional else None
        return inputs.from_images(2 * noise - 1, labels)


class _FromLatents(nn.Module):
    """A generator with the input names of this signature."""

    def __init__(self, generator: nn.Module) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        return GeneratorInput(latents, labels).through(self.generator)


class _FromImages(_FromLatents):
    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        return GeneratorInput(images, labels).through(self.generator)
