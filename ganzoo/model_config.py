"""What a model is, as its folder says."""

from __future__ import annotations

from pydantic import Field

from ganzoo.config import RunConfig
from ganzoo.dataset import DataSpec


class ModelConfig(RunConfig):
    """The run that made a model, what its samples are, and how long it was trained."""

    spec: DataSpec
    step: int = Field(ge=0, lt=2**63, description="Generator updates done.")

    @classmethod
    def of(cls, config: RunConfig, spec: DataSpec, step: int) -> ModelConfig:
        """Describe the model that a run has at a step."""
        return cls(**dict(config), spec=spec, step=step)
