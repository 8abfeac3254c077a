"""What is exported of a model: its generator under names, examples for it, and what it is."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from ganzoo import GeneratorInput, Model
from ganzoo.compute.seeding import make_rng
from ganzoo.models.generation import generate
from ganzoo.models.inputs import cycle_classes
from ganzoo.storage.json_files import to_json
from ganzoo_zoo.apps.export.formats import BATCH

SEED = 0
MOST = (1 << 31) - 1
"""Samples at once; torch 2.7 does not follow every network for a number without an end."""


class Network:
    """A model's averaged generator on the CPU, apart from the model's own."""

    def __init__(self, model: Model) -> None:
        self._model = model
        generator = copy.deepcopy(model.generator).cpu().eval().requires_grad_(False)
        translates = model.architecture.takes_images
        self._named = (_FromImages if translates else _FromLatents)(generator)
        self._given = "images" if translates else "latents"

    @property
    def architecture(self) -> str:
        """Name of the architecture."""
        return self._model.config.architecture.name

    @property
    def about(self) -> str:
        """What the model is, as its folder says it, but for the places of this machine."""
        config = self._model.config
        return to_json(
            config.model_dump(mode="json", exclude={"data": {"options"}, "trackers": ...})
        )

    def example(self, count: int) -> tuple[dict[str, Tensor], Tensor]:
        """Return inputs of a batch by their names, and the samples that the model makes of them."""
        inputs = self._inputs(count)
        # Drawn in larger blocks, all of which a file would hold.
        named = {self._given: inputs.given.clone()}
        if inputs.labels is not None:
            named["labels"] = inputs.labels
        return named, generate(self._named.generator, inputs, self._model.config.spec)

    def program(self, count: int) -> ExportedProgram:
        """Follow a batch of so many samples, and return what is computed, for any number of them.

        What stands in the way is raised as torch has it.
        """
        inputs, _ = self.example(count)
        sizes = {name: {0: Dim(BATCH, max=MOST)} for name in inputs}
        # Followed by running it: to read its code instead, as strict does, torch takes longer.
        program = torch.export.export(self._named, (), inputs, dynamic_shapes=sizes, strict=False)
        for module in program.graph_module.modules():
            for node in getattr(getattr(module, "graph", None), "nodes", ()):
                node.meta.pop("stack_trace", None)  # it names folders of this machine
        return program

    def _inputs(self, count: int) -> GeneratorInput:
        if not self._model.architecture.takes_images:
            return self._model.inputs.draw(count, SEED)
        spec = self._model.config.spec
        noise = torch.rand(count, *spec.shape, generator=make_rng(SEED, "export"))
        labels = cycle_classes(count, spec.classes or 1)
        return self._model.inputs.from_images(2 * noise - 1, labels)


class _FromLatents(nn.Module):
    """A generator whose inputs have names: those of this signature."""

    def __init__(self, generator: nn.Module) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        return GeneratorInput(latents, labels).through(self.generator)


class _FromImages(_FromLatents):
    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        return GeneratorInput(images, labels).through(self.generator)
