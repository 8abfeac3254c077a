"""Recording a run for its report during training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ganzoo import TrackedRun
from ganzoo.compute.machine import describe_machine
from ganzoo.errors import GanzooError, InputError
from ganzoo.evaluation.nearest import even_indices
from ganzoo.runs.folder import Run
from ganzoo.storage.files import flush, remove_leftovers, write_text
from ganzoo.storage.json_files import append_line, drop_lines_after, to_json
from ganzoo.training.checkpoint import STEP_FOLDER
from ganzoo_zoo.apps.report import report
from ganzoo_zoo.apps.report.logits import compute_logits
from ganzoo_zoo.apps.report.surface import compute_surface, has_surface
from ganzoo_zoo.apps.report.tracker_files import NAMES, TrackerFiles

if TYPE_CHECKING:
    from torch import nn

    from ganzoo.protocols.dataset import Samples

JUDGED = 64
"""Number of training samples, and of samples of each picture, whose mean logits are recorded."""


class ReportedRun(TrackedRun):
    """A run that is recorded for its report.

    Args:
        folder: The run's folder.
        neighbours: See :func:`ganzoo_zoo.apps.report.report`.
        step: Number of finished steps; records of later steps are dropped.
    """

    def __init__(self, folder: Path, neighbours: int, step: int) -> None:
        self.folder = folder
        self.neighbours = neighbours
        self.files = TrackerFiles(folder)
        self.files.surfaces.mkdir(parents=True, exist_ok=True)
        for path in (self.files.path, self.files.surfaces):
            remove_leftovers(path)
        for path in (self.files.logits, self.files.warnings):
            drop_lines_after(path, step)
        for path in self.files.surfaces.glob("*.png"):
            if STEP_FOLDER.fullmatch(path.stem) and int(path.stem) > step:
                path.unlink()
        self._machine_written = False

    def discriminator(
        self, step: int, discriminator: nn.Module, fake: Samples, real: Samples
    ) -> None:
        """Record the machine and the mean logits; for points also their surface."""
        if not self._machine_written:
            device = next(discriminator.parameters()).device
            write_text(self.files.machine, to_json(_describe_machine(device)))
            self._machine_written = True
        try:
            self._record(step, discriminator, fake, real)
        except GanzooError:
            return  # the run diverges and reports it itself; a report is still written

    def _record(self, step: int, discriminator: nn.Module, fake: Samples, real: Samples) -> None:
        conditional = fake.labels is not None
        row: dict[str, Any] = {"step": step}
        for name, samples in zip(NAMES, (real, fake), strict=True):
            some = samples.subset(even_indices(len(samples), JUDGED))
            logits = compute_logits(discriminator, some, conditional=conditional)
            row[name] = logits.mean().item()
        drop_lines_after(self.files.logits, step - 1)  # a resumed run may repeat the step
        append_line(self.files.logits, row)
        if has_surface(real.spec, conditional=conditional):
            texts = {"Description": f"The discriminator's logits over the plane, step {step}"}
            compute_surface(discriminator, real.spec).save(self.files.surface_path(step), texts)

    def warning(self, step: int, message: str) -> None:
        """Record warnings, such as of divergence, which the run's own files do not hold."""
        # A run that went back and is killed before its next checkpoint says the same again. What it
        # says last counts, so that warnings stand in the order of a run that was not killed.
        self.files.drop_warning(message)
        append_line(self.files.warnings, {"step": step, "message": message})

    def flush(self) -> None:
        """Have the records written to the disk."""
        for path in (self.files.logits, self.files.warnings, self.files.path):
            if path.exists():
                flush(path)

    def close(self) -> None:
        """Write the report."""
        run = Run(self.folder)
        try:
            run.config()
        except InputError:
            return  # nothing was trained here
        report(run, neighbours=self.neighbours)


def _describe_machine(device: torch.device) -> dict[str, Any]:
    machine = describe_machine(device)
    found = {name: getattr(machine, name) for name in ("system", "processor", "cores", "threads")}
    return {**found, "device": machine.device_name if device.type == "cuda" else device.type}
