"""Paths as options: a run that goes on elsewhere must find what it read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

AbsolutePath = Annotated[str, AfterValidator(lambda path: str(Path(path).expanduser().resolve()))]
