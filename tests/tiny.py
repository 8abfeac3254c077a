"""A run that takes a moment, what stops it or changes its model, and what a command gave."""

import os
import signal
from dataclasses import dataclass

from ganzoo.models.folder import write_manifest
from ganzoo.training.observer import Observer

TINY = {
    # The rates of tuned recipes fall, so that steps cannot change on resume.
    "recipe": "paper",
    "steps": 4,
    "batch_size": 8,
    "log_every": 2,
    "sample_every": 2,
    "checkpoint_every": 2,
    "device": "cpu",
}


@dataclass
class Result:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str


def sealed(folder):
    """List a model's files anew, so that a change of them gets past their hashes."""
    write_manifest(folder)
    return folder


class Stopper(Observer):
    """Sends this process a signal after a step, as a person or a scheduler would."""

    def __init__(self, step, signum=signal.SIGINT):
        self.step = step
        self.signum = signum

    def on_step(self, step):
        if step == self.step:
            os.kill(os.getpid(), self.signum)
