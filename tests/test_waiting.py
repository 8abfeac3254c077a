"""A step hands its work to the device and never waits for it.

Torch's meta device stands for a GPU: its tensors have no numbers, so that whatever reads one on
the host fails by itself. Copies to it are watched: the host waits for one that is not told to be
non-blocking.
"""

from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from ganzoo import Architecture, registry
from ganzoo.compute.seeding import make_rng
from ganzoo.resolve import resolve
from ganzoo.training import assembly, trainer
from ganzoo.training.prepare import build_trainer
from great_families import FAMILIES
from tiny import TINY

META = torch.device("meta")
SMALL = {
    "mlp": {"arch.hidden": (8, 8)},
    "dcgan": {"arch.base_channels": 4, "data.image_size": 16},
    "sngan": {"arch.base_channels": 4},
    "sngan-resnet": {"arch.base_channels": 4},
    "resnet": {"arch.base_channels": 4},
    "r3gan": {"arch.base_channels": 16},
    **{name: family.by_name() for name, family in FAMILIES.items()},
}
COPIES = {torch.ops.aten._to_copy, torch.ops.aten.copy_}


class FromTheHost(TorchFunctionMode):
    """Notes each tensor that is made on the device of numbers of the host."""

    def __init__(self, waited):
        super().__init__()
        self.waited = waited

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func in (torch.tensor, torch.as_tensor) and kwargs.get("device") == META:
            self.waited.append(func.__name__)
        return func(*args, **kwargs)


class Copies(TorchDispatchMode):
    """Notes each copy to the device for which the host waits."""

    def __init__(self):
        super().__init__()
        self.waited = []
        self.from_the_host = FromTheHost(self.waited)

    def __enter__(self):
        self.from_the_host.__enter__()
        return super().__enter__()

    def __exit__(self, *error):
        super().__exit__(*error)
        self.from_the_host.__exit__(*error)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        found = func(*args, **kwargs)
        packet = func.overloadpacket
        if packet in COPIES and found.device == META and not kwargs.get("non_blocking"):
            source = args[1] if packet is torch.ops.aten.copy_ else args[0]
            if source.device != META:
                self.waited.append(str(func))
        return found


LOSSES = [entry.name for entry in registry.entries(registry.LOSS)]


def trainer_of(architecture, loss=None, settings=None, **options):
    train = {f"train.{name}": value for name, value in {**TINY, **options}.items()}
    config = resolve(
        architecture, loss, "digits", {**SMALL[architecture], **train, **(settings or {})}
    )
    return build_trainer(config, config.data.build(registry.DATASET).read())


@pytest.fixture
def _on_meta(monkeypatch):
    def stand_in(seed, *place, device="cpu"):
        if torch.device(device) == META:
            return SimpleNamespace(device=META)
        return make_rng(seed, *place, device=device)

    def latents(self, count, rng):
        assert rng.device == META
        size = sum(part.size for part in self.latent_parts())
        return torch.randn(count, size, device=META)

    def autocast(device_type, *given, **named):
        return (
            nullcontext() if device_type == "meta" else real_autocast(device_type, *given, **named)
        )

    real_autocast = torch.autocast  # which does not know the device
    monkeypatch.setattr(torch, "autocast", autocast)
    monkeypatch.setattr(assembly, "resolve_device", lambda name: META)
    monkeypatch.setattr(trainer, "make_rng", stand_in)
    monkeypatch.setattr(Architecture, "latents", latents)


def waited_for(trainer, steps=2):
    trainer.step()  # the first makes the optimisers' state
    with Copies() as copies:
        for _ in range(steps):
            trainer.step()
    assert next(trainer.state.generator.parameters()).device == META
    return copies.waited


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
        tensor.unique,
        lambda: torch.where(tensor > 0),
    ]


def test_the_stand_in_finds_what_waits():
    for wait in read(torch.ones(3, device=META)):
        with pytest.raises((RuntimeError, NotImplementedError, TypeError)):
            wait()
    with Copies() as copies:
        torch.ones(3).to(META)
        torch.ones(3, device=META).copy_(torch.ones(3))
        torch.tensor([1.0], device=META)
    assert len(copies.waited) == 3
    with Copies() as copies:
        torch.ones(3).to(META, non_blocking=True)
        torch.ones(3, device=META).copy_(torch.zeros(3, device=META))
        torch.ones(3, device=META).to(torch.float64) * torch.tensor(2.0)
    assert copies.waited == []


@pytest.mark.usefixtures("_on_meta")
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("architecture", ["mlp", "dcgan"])
def test_no_loss_waits(architecture, loss):
    assert waited_for(trainer_of(architecture, loss)) == []


@pytest.mark.usefixtures("_on_meta")
@pytest.mark.parametrize("architecture", SMALL)
def test_no_architecture_waits(architecture):
    # More samples than an epoch has, as a new order must not be waited for either.
    size = 1000 if architecture == "mlp" else 8
    trainer = trainer_of(architecture, batch_size=size, precision="fp32")
    # So many that each lazy penalty is due once more.
    assert waited_for(trainer, steps=4 if architecture in FAMILIES else 3) == []


@pytest.mark.usefixtures("_on_meta")
def test_no_augmentation_waits():
    names = [entry.name for entry in registry.entries(registry.AUGMENTATION)]
    every = {"augment.ada.parts": "bgcfnc"}
    assert waited_for(trainer_of("dcgan", settings=every, augment=",".join(names))) == []


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("architecture", ["mlp", "dcgan"])
def test_no_loss_waits_for_a_gpu(architecture, loss):
    trainer = trainer_of(architecture, loss, batch_size=1000, device="cuda")
    trainer.step()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(3):
            trainer.step()
    finally:
        torch.cuda.set_sync_debug_mode("default")
