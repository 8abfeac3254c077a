"""The arithmetic of a run: half precision, its scaled losses, TF32, and kernels that are sound."""

import json
import shutil

import pytest
import torch
from torch import nn

import ganzoo
from ganzoo.api.training import resume
from ganzoo.compute import devices
from ganzoo.compute.devices import arithmetic
from ganzoo.compute.loss_scale import LossScale
from ganzoo.errors import InputError
from ganzoo.protocols.tracker import METRICS_FILE
from ganzoo.resolve import resolve
from ganzoo.storage.json_files import read_json
from ganzoo.storage.tensors import load_tensors
from ganzoo.training import checkpoint
from ganzoo.training.prepare import build_trainer
from tiny import TINY

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
MLP = {"arch.hidden": (8, 8)}


def trainer_of(architecture="mlp", **options):
    settings = MLP if architecture == "mlp" else {"arch.base_channels": 4, "data.image_size": 16}
    train = {f"train.{name}": value for name, value in {**TINY, **options}.items()}
    config = resolve(architecture, "non-saturating", "digits", {**settings, **train})
    return build_trainer(config, config.data.build(ganzoo.registry.DATASET).read())


def switches():
    backends = torch.backends
    return (
        backends.mkldnn.enabled,
        backends.cuda.matmul.allow_tf32,
        backends.cudnn.allow_tf32,
    )


# Kernels ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("half", "sound", "used"),
    [
        (None, False, True),
        (torch.bfloat16, True, True),
        (torch.bfloat16, False, False),
        (torch.float16, True, False),
    ],
)
def test_half_precision_on_a_cpu_uses_kernels_that_are_sound_and_quick(
    half, sound, used, monkeypatch
):
    monkeypatch.setattr(devices, "is_bf16_safe", lambda: sound)
    before = switches()
    with arithmetic(CPU, half, tf32=not before[1]):
        assert torch.backends.mkldnn.enabled == used
        assert switches()[1:] == before[1:], "those are a GPU's"
    assert switches() == before


@pytest.mark.parametrize("tf32", [False, True])
def test_a_gpu_computes_in_tf32_if_it_may(tf32):
    before = switches()
    found = []

    def fail():
        with arithmetic(CUDA, torch.bfloat16, tf32=tf32):
            found.append(switches())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert found == [(before[0], tf32, tf32)]
    assert switches() == before


@pytest.fixture
def _fresh():
    devices.is_bf16_safe.cache_clear()
    yield
    devices.is_bf16_safe.cache_clear()


@pytest.mark.usefixtures("_fresh")
@pytest.mark.parametrize(
    ("program", "sound"),
    [("", True), ("import os; os.kill(os.getpid(), 4)", False), ("raise SystemExit(1)", False)],
    ids=["comes to its end", "illegal instruction", "fails"],
)
def test_a_processor_is_tried_once_in_a_process_of_its_own(program, sound, monkeypatch):
    monkeypatch.setattr(devices, "BF16_PROBE", program)
    assert devices.is_bf16_safe() is sound
    # What was found is kept, for other processes as well.
    devices.is_bf16_safe.cache_clear()
    monkeypatch.setattr(devices, "BF16_PROBE", "raise SystemExit(not 'another')" if sound else "")
    assert devices.is_bf16_safe() is sound
    # Another machine, or another torch, is tried anew.
    devices.is_bf16_safe.cache_clear()
    monkeypatch.setattr(devices, "processor_name", lambda: "another")
    monkeypatch.setattr(devices, "BF16_PROBE", "raise SystemExit(1)" if sound else "")
    assert devices.is_bf16_safe() is not sound


def test_what_is_tried_is_a_program_that_runs():
    exec(compile(devices.BF16_PROBE, "BF16", "exec"), {})


# The optimisers' memory -------------------------------------------------------------------------


def test_moments_that_were_restored_lie_in_memory_as_their_parameters(tmp_path):
    trainer, other = trainer_of("dcgan"), trainer_of("dcgan", seed=1)
    trainer.step()
    checkpoint.save(tmp_path, trainer.state)
    checkpoint.restore_newest(tmp_path, other.state, pytest.fail)
    found = other.state.generator_optimizer.state
    assert any(each.dim() == 4 and not each.is_contiguous() for each in found)
    for parameter, state in found.items():
        for name in ("exp_avg", "exp_avg_sq"):
            assert state[name].stride() == parameter.stride()


def test_adam_moves_parameters_as_its_formula_does():
    trainer = trainer_of("dcgan", generator_lr=0.01, betas=(0.5, 0.9))
    before = [each.clone() for each in trainer.state.generator.parameters()]
    trainer.step()
    for old, new in zip(before, trainer.state.generator.parameters(), strict=True):
        first = new.grad / (new.grad.abs() + 1e-8)  # its moments are corrected for their beginning
        torch.testing.assert_close(new, old - 0.01 * first, rtol=1e-5, atol=1e-6)


# Scaled losses ----------------------------------------------------------------------------------


def one_weight(value=1.0):
    weight = nn.Parameter(torch.tensor([value]))
    return weight, torch.optim.Adam([weight], lr=0.5, fused=True)


def test_a_scaled_loss_updates_as_it_would_without_a_scale():
    scale = LossScale(CPU)
    (weight, optimizer), (plain, other) = one_weight(), one_weight()
    loss = scale((3 * weight).sum())
    assert loss.item() == 3 * 2**16
    loss.backward()
    scale.step(optimizer)
    (3 * plain).sum().backward()
    other.step()
    assert torch.equal(weight, plain)
    assert weight.grad.item() == 3, "not scaled any more"


def test_an_update_that_overflows_is_left_out_and_halves_the_scale():
    scale = LossScale(CPU)
    weight, optimizer = one_weight()
    scale((float("inf") * weight).sum()).backward()
    scale.step(optimizer)
    assert weight.item() == 1
    assert scale.get_extra_state().tolist() == [2**15, 0]
    optimizer.zero_grad()
    scale((3 * weight).sum()).backward()
    scale.step(optimizer)
    assert weight.item() == pytest.approx(0.5)
    assert scale.get_extra_state().tolist() == [2**15, 1]


def test_the_state_of_a_scale_is_that_of_a_module():
    scale, other = LossScale(CPU), LossScale(CPU)
    scale.set_extra_state(torch.tensor([8.0, 1999.0], dtype=torch.float64))
    other.load_state_dict(scale.state_dict())
    weight, optimizer = one_weight()
    assert other(weight.sum()).item() == 8
    other(weight.sum()).backward()
    other.step(optimizer)
    assert other.get_extra_state().tolist() == [16, 0], "after 2,000 updates without an overflow"


def test_fp16_trains_and_goes_on_exactly(tmp_path):
    options = {**TINY, "steps": 6, "checkpoint_every": 2, "log_every": 1, "precision": "fp16"}
    whole = ganzoo.train("mlp", data="digits", out=tmp_path / "whole", settings=MLP, **options)
    shutil.copytree(whole.path, tmp_path / "part")
    shutil.rmtree(tmp_path / "part" / "checkpoints" / "00000006")
    resume(tmp_path / "part")
    folders = [run / "checkpoints" / "00000006" for run in (whole.path, tmp_path / "part")]
    assert read_json(folders[0] / "manifest.json") == read_json(folders[1] / "manifest.json")
    scales = load_tensors(folders[0] / "generator_scale.safetensors")["_extra_state"].tolist()
    assert scales[1] >= 1
    weights = load_tensors(folders[0] / "generator.safetensors")
    assert {value.dtype for value in weights.values()} == {torch.float32}


def test_an_overflow_is_no_divergence(tmp_path, monkeypatch):
    scaled = LossScale.forward
    monkeypatch.setattr(LossScale, "forward", lambda self, loss: scaled(self, loss) * 1e38)
    options = {**TINY, "steps": 2, "log_every": 1, "precision": "fp16"}
    run = ganzoo.train("mlp", data="digits", out=tmp_path / "run", settings=MLP, **options)
    rows = [json.loads(line) for line in (run.path / METRICS_FILE).read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 2]
    assert not any("gradient_norm" in name for row in rows for name in row)
    scales = load_tensors(run.checkpoints / "00000002" / "generator_scale.safetensors")
    assert scales["_extra_state"].tolist() == [2**14, 0]


def test_fp16_needs_an_optimiser_that_can_leave_an_update_out():
    with pytest.raises(InputError, match=r"fp16 skips updates .* choose bf16, or train\.opt"):
        trainer_of(precision="fp16", optimizer="rmsprop")
