"""Compiled networks: what they compute, what is never compiled, and what a compiler says."""

import pytest
import torch

import ganzoo
from ganzoo.compute import compiling
from ganzoo.compute.compiling import compile_network
from ganzoo.errors import GanzooError, InputError
from ganzoo.resolve import resolve
from ganzoo.training import preconditions
from ganzoo.training import trainer as step
from ganzoo.training.prepare import build_trainer
from tiny import TINY

SMALL = {
    "mlp": {"arch.hidden": (8, 8)},
    "dcgan": {"arch.base_channels": 4, "data.image_size": 16},
}


def trainer_of(architecture="mlp", loss=None, **options):
    train = {f"train.{name}": value for name, value in {**TINY, **options}.items()}
    config = resolve(architecture, loss, "digits", {**SMALL[architecture], **train})
    return build_trainer(config, config.data.build(ganzoo.registry.DATASET).read())


@pytest.fixture
def traced(monkeypatch):
    """Traces networks as the compiler does, without its slow last stage; notes whose."""
    found = []

    def trace(network, *, cuda_graphs):
        found.append((network, cuda_graphs))
        return torch.compile(network, backend="aot_eager")

    monkeypatch.setattr(step, "compile_network", trace)
    yield found
    torch.compiler.reset()


@pytest.mark.parametrize(
    ("architecture", "loss", "options"),
    [
        ("mlp", "non-saturating", {}),
        ("mlp", "wgan-gp", {"n_critic": 2}),
        ("mlp", "unrolled", {}),
        ("dcgan", "hinge", {"reuse_fakes": True}),
    ],
)
def test_a_compiled_training_is_the_same(architecture, loss, options, traced):
    plain = trainer_of(architecture, loss, **options)
    fast = trainer_of(architecture, loss, compile=True, **options)
    assert traced == [(fast.state.generator, False), (fast.state.discriminator, False)]
    for _ in range(3):
        expected, found = plain.step(), fast.step()
    for network in ("generator", "discriminator"):
        for name, value in getattr(expected, network).items():
            torch.testing.assert_close(getattr(found, network)[name], value, rtol=1e-4, atol=1e-5)
        weights = (getattr(each.state, network).state_dict() for each in (plain, fast))
        ours, theirs = ({**each} for each in weights)
        assert ours.keys() == theirs.keys(), "names are those of the networks"
        for name, value in ours.items():
            torch.testing.assert_close(theirs[name], value, rtol=1e-2, atol=1e-3)


def test_half_precision_and_a_penalty_go_with_it(traced):
    trainer = trainer_of("mlp", "wgan-gp", compile=True, precision="bf16")
    for _ in range(2):
        terms = trainer.step()
    assert all(value.isfinite() for value in terms.discriminator.values())


def test_a_network_is_compiled_for_the_machine():
    torch.manual_seed(0)
    network, given = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Tanh()), torch.randn(4, 3)
    fast = compile_network(network)
    torch.testing.assert_close(fast(given), network(given))
    assert fast(given).requires_grad


def test_what_cannot_be_differentiated_twice_is_said(traced):
    trainer = trainer_of("mlp", compile=True)

    class Twice(type(trainer.loss)):
        """Penalises in the wrong place."""

        def generator_loss(self, D, real, fake):
            (slope,) = torch.autograd.grad(D(fake).sum(), fake, create_graph=True)
            return {"slope": slope.square().sum()}

    trainer.loss = Twice()
    with pytest.raises(InputError, match=r"outside the discriminator's own update, .*--compile"):
        trainer.step()


def test_a_compiler_that_fails_is_a_line(monkeypatch):
    def fail(graph, inputs):
        raise OSError("no C++ compiler\nlines of more")

    monkeypatch.setattr(
        step, "compile_network", lambda network, cuda_graphs: torch.compile(network, backend=fail)
    )
    trainer = trainer_of("mlp", compile=True)
    with pytest.raises(GanzooError) as caught:
        trainer.step()
    message = str(caught.value)
    assert message.startswith("the networks cannot be compiled here: ")
    assert "no C++ compiler" in message
    assert message.endswith("; drop --compile")
    assert "\n" not in message
    torch.compiler.reset()


def test_other_errors_pass_through():
    with pytest.raises(RuntimeError, match="of its own"), compiling.explain_compile_errors():
        raise RuntimeError("of its own")


@pytest.mark.parametrize("options", [{}, {"compile": True}])
def test_graphs_are_those_of_a_gpu(options):
    with pytest.raises(InputError, match=r"train\.cuda_graphs .* --compile"):
        trainer_of("mlp", cuda_graphs=True, **options)


def test_graphs_of_a_step_begin_with_it(monkeypatch):
    began = []
    monkeypatch.setattr(preconditions, "check_options", lambda setup: None)
    monkeypatch.setattr(step, "begin_graphs", lambda: began.append(True))
    monkeypatch.setattr(step, "compile_network", lambda network, cuda_graphs: network)
    trainer = trainer_of("mlp", compile=True, cuda_graphs=True)
    trainer.step()
    trainer.step()
    assert len(began) == 2


@pytest.mark.gpu
@pytest.mark.parametrize("loss", ["non-saturating", "wgan-gp"])
def test_graphs_train_as_without(loss):
    trainers = [
        trainer_of("dcgan", loss, device="cuda", tf32=False, **options)
        for options in ({}, {"compile": True, "cuda_graphs": True})
    ]
    for _ in range(4):
        plain, fast = (trainer.step() for trainer in trainers)
    for name, value in plain.discriminator.items():
        torch.testing.assert_close(fast.discriminator[name], value, rtol=1e-2, atol=1e-3)
