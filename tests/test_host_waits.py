"""A step hands its work to the device and never waits for it.

Torch's meta device stands for a GPU (``gpu/stand_in.py``), and the trainings are those of
``gpu/cases.py``: every architecture, loss, penalty, augmentation and training option.
"""

from dataclasses import replace

import pytest
import torch

from ganzoo.config import TrainSettings
from ganzoo.training import batches
from gpu import cases, stand_in
from gpu.stand_in import META, Waits, meta_as_device

CASES = dict(cases.every_case())
STEPS = 2
"""Steps of a training; lazy penalties are due in the first, and networks grow in the second."""


def waited_for(case, steps=STEPS):
    """Return what the host waits for in the first steps of a training on the stand-in."""
    with meta_as_device():
        trainer = case.trainer()
        with Waits() as waits:
            for _ in range(steps):
                trainer.step()
    assert next(trainer.state.generator.parameters()).device == META
    return waits.noted


def read(tensor):
    return [
        tensor.sum().item,
        tensor.tolist,
        tensor.cpu,
        tensor.numpy,
        tensor.nonzero,
        lambda: bool(tensor.sum() > 0),
        lambda: float(tensor.sum()),
        lambda: tensor[tensor > 0],
        lambda: tensor.masked_select(tensor > 0),
        lambda: torch.equal(tensor, tensor),
        lambda: torch.allclose(tensor, tensor),
        lambda: tensor.repeat_interleave((tensor > 0).long()),
        lambda: torch.nn.functional.one_hot(tensor.long()),
        tensor.unique,
        lambda: torch.where(tensor > 0),
    ]


def test_the_stand_in_fails_where_the_host_reads():
    for wait in read(torch.ones(3, device=META)):
        with pytest.raises((RuntimeError, NotImplementedError, TypeError)):
            wait()


SILENT = {
    "a copy": lambda t: torch.ones(3).to(META),
    "a copy into a tensor": lambda t: t.copy_(torch.ones(3)),
    "a tensor of numbers": lambda t: torch.tensor([1.0], device=META),
    "a tensor like another": lambda t: t.new_tensor([1.0]),
    "a list as an index": lambda t: t[[0, 2]],
    "an index of the host": lambda t: t[torch.tensor([0, 2])],
    "a mask that takes numbers": lambda t: t.__setitem__(t > 0, torch.ones(2, device=META)),
    "a matrix that may have no inverse": lambda t: torch.linalg.inv(torch.outer(t, t)),
    "eigenvalues": lambda t: torch.linalg.eigvalsh(torch.outer(t, t)),
}


@pytest.mark.parametrize("name", SILENT)
def test_the_stand_in_notes_what_waits_in_silence(name):
    tensor = torch.ones(3, device=META)
    with Waits() as waits:
        SILENT[name](tensor)
    assert len(waits.noted) == 1


PROMPT = {
    "a copy that is not waited for": lambda t: torch.ones(3).to(META, non_blocking=True),
    "a copy on the device": lambda t: t.copy_(torch.zeros(3, device=META)),
    "another type": lambda t: t.to(torch.float64) * torch.tensor(2.0),
    "an index on the device": lambda t: t[torch.zeros(2, dtype=torch.long, device=META)],
    "a mask that takes one number": lambda t: t.__setitem__(t > 0, 1.0),
    "a slice": lambda t: t[1:],
    "numbers by a generator": lambda t: t.normal_(generator=stand_in.Generator()),
    "work of the host": lambda t: torch.ones(3)[torch.ones(3) > 0].tolist(),
}


@pytest.mark.parametrize("name", PROMPT)
def test_the_stand_in_notes_nothing_else(name):
    tensor = torch.ones(3, device=META)
    with Waits() as waits:
        PROMPT[name](tensor)
    assert waits.noted == []


@pytest.mark.parametrize("name", CASES)
def test_no_step_waits(name):
    assert waited_for(CASES[name]) == []


@pytest.mark.parametrize("penalty", cases.PENALTIES)
def test_no_penalty_waits(penalty):
    with meta_as_device():
        case = cases.find_host(penalty)
    assert waited_for(case) == []


@pytest.mark.parametrize("labelled", [False, True])
def test_samples_that_are_read_ahead_are_not_waited_for(labelled, monkeypatch):
    monkeypatch.setattr(batches, "_fits", lambda *given: False)
    case = replace(cases.WGAN_GP, settings={"arch.conditional": labelled})
    assert waited_for(case) == []


def test_every_training_option_has_its_cases():
    assert cases.OPTIONS.keys() | cases.OF_THE_LOOP == TrainSettings.model_fields.keys()
    assert not cases.OPTIONS.keys() & cases.OF_THE_LOOP


@pytest.mark.gpu
@pytest.mark.parametrize("name", [*CASES, *cases.PENALTIES])
def test_no_step_waits_for_a_gpu(name):
    case = CASES.get(name) or cases.find_host(name, device="cuda")
    trainer = case.trainer(device="cuda")
    for _ in range(STEPS):  # what is compiled, tuned and allocated once
        trainer.step()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(STEPS + 1):
            trainer.step()
    finally:
        torch.cuda.set_sync_debug_mode("default")
