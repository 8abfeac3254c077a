"""The step, the loop, and going on where a run stopped."""

import json
import os
import shutil
import signal

import pytest
import torch

import ganzoo
from ganzoo import checkpoint
from ganzoo.api import resume
from ganzoo.config import resolve
from ganzoo.dataset import DataSpec, Samples
from ganzoo.errors import Diverged, GanzooError, InputError, Interrupted
from ganzoo.files import load_tensors
from ganzoo.model import generated
from ganzoo.training import Observer, Trainer, prepared
from tiny import TINY

SMALL = {"arch.base_channels": 4, "arch.z_dim": 8, "data.image_size": 16}


def trainer_of(loss="wgan-gp", architecture="dcgan", data="digits", **options):
    settings = SMALL if architecture == "dcgan" else {"arch.hidden": (8, 8)}
    train = {f"train.{name}": value for name, value in {**TINY, **options}.items()}
    config = resolve(architecture, loss, data, {**settings, **train})
    samples = config.data.build(ganzoo.registry.DATASET).read()
    return prepared(config, samples)


def train_to(path, *, loss="wgan-gp", observer=None, **options):
    return ganzoo.train(
        "dcgan", loss, out=path, settings=SMALL, observer=observer, **{**TINY, **options}
    )


def copies(network):
    return {name: value.clone() for name, value in network.state_dict().items()}


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def content(run, but=()):
    """Every byte that a run leaves, but for its folder's name in pictures and its speed."""
    found = {}
    for file in sorted(run.path.rglob("*")):
        name = file.relative_to(run.path).as_posix()
        if not file.is_file() or name in but:
            continue
        if file.suffix == ".png":
            from PIL import Image

            found[name] = Image.open(file).tobytes()
        elif name == "metrics.jsonl":
            rows = [json.loads(line) for line in file.read_text().splitlines()]
            found[name] = [{**row, "images_per_second": None} for row in rows]
        else:
            found[name] = file.read_bytes()
    return found


class Stopper(Observer):
    """Sends this process a signal after a step, as a person or a scheduler would."""

    def __init__(self, step, signum=signal.SIGINT):
        self.step = step
        self.signum = signum

    def stepped(self, step):
        if step == self.step:
            os.kill(os.getpid(), self.signum)


@pytest.mark.parametrize("loss", ["wgan-gp", "wgan", "non-saturating"])
@pytest.mark.parametrize("stop", [1, 3])
def test_an_interrupted_run_goes_on_to_the_same_bytes(tmp_path, loss, stop):
    whole = train_to(tmp_path / "whole", loss=loss, steps=5)
    with pytest.raises(Interrupted, match=f"after step {stop} of 5") as stopped:
        train_to(tmp_path / "halves", loss=loss, steps=5, observer=Stopper(stop))
    assert stopped.value.exit_code == 130
    halves = resume(tmp_path / "halves")
    ours, theirs = content(whole), content(halves)
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if ours[name] != theirs[name]] == []


def test_a_termination_request_saves_too(tmp_path):
    with pytest.raises(Interrupted) as stopped:
        train_to(tmp_path / "run", observer=Stopper(1, signal.SIGTERM))
    assert stopped.value.exit_code == 143
    assert checkpoint.steps(tmp_path / "run" / "checkpoints") == [1]


def test_a_second_interrupt_ends_at_once(tmp_path):
    class Impatient(Observer):
        def stepped(self, step):
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train_to(tmp_path / "run", observer=Impatient())


def test_signals_are_given_back(tmp_path):
    before = signal.getsignal(signal.SIGINT)
    train_to(tmp_path / "run", steps=1)
    assert signal.getsignal(signal.SIGINT) is before


def test_what_was_written_after_the_last_checkpoint_is_written_again(tmp_path):
    whole = train_to(tmp_path / "whole", steps=4, log_every=1)
    killed = ganzoo.run.Run(tmp_path / "killed")
    shutil.copytree(whole.path, killed.path)
    shutil.rmtree(killed.checkpoints / "00000004")
    shutil.rmtree(killed.model)
    with (killed.path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 5, "torn')
    resume(killed.path)
    assert content(whole) == content(killed)


def test_a_longer_run_begins_as_the_shorter_one(tmp_path):
    longer = train_to(tmp_path / "longer", steps=6)
    train_to(tmp_path / "extended", steps=4)
    extended = resume(tmp_path / "extended", {"train.steps": 6})
    assert content(longer) == content(extended)


def test_other_options_are_refused_with_the_difference(tmp_path):
    run = train_to(tmp_path / "run")
    for changes, difference in [
        ({"train.generator_lr": 0.5}, "train.generator_lr: 0.0001 -> 0.5"),
        ({"loss": "hinge"}, "loss.name: wgan-gp -> hinge"),
        ({"arch.z_dim": "9"}, "architecture.options.z_dim: 8 -> 9"),
    ]:
        with pytest.raises(InputError, match=difference):
            resume(run.path, changes)


def test_changed_data_are_refused(tmp_path):
    from PIL import Image

    folder = tmp_path / "images"
    folder.mkdir()
    for i in range(3):
        Image.new("L", (16, 16), 80 * i).save(folder / f"{i}.png")
    run = ganzoo.train(
        "mlp", data=str(folder), out=tmp_path / "run", settings={"arch.hidden": (8,)}, **TINY
    )
    Image.new("L", (16, 16), 255).save(folder / "0.png")
    with pytest.raises(InputError, match="have changed since it was started"):
        resume(run.path)


def damage(path):
    file = path / "generator.safetensors"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def test_a_damaged_newest_checkpoint_is_named_and_passed_over(tmp_path):
    whole = train_to(tmp_path / "whole")
    before = content(whole)
    damage(whole.checkpoints / "00000004")
    warnings = []
    observer = Observer()
    observer.warned = warnings.append
    resume(whole.path, observer=observer)
    assert len(warnings) == 1
    assert "00000004" in warnings[0]
    assert "generator.safetensors" in warnings[0]
    assert content(whole) == before


def test_no_whole_checkpoint_is_an_error_that_deletes_nothing(tmp_path):
    run = train_to(tmp_path / "run")
    for step in checkpoint.steps(run.checkpoints):
        damage(run.checkpoints / f"{step:08d}")
    before = content(run)
    with pytest.raises(InputError, match="none of the 2 checkpoints"):
        resume(run.path)
    assert content(run) == before


def test_the_newest_two_checkpoints_are_kept(tmp_path):
    run = train_to(tmp_path / "run", steps=5, checkpoint_every=1)
    assert checkpoint.steps(run.checkpoints) == [4, 5]
    assert sorted(path.name for path in run.checkpoints.iterdir()) == ["00000004", "00000005"]


def test_checkpoints_hold_every_tensor_and_no_pickle(tmp_path):
    run = train_to(tmp_path / "run")
    folder = run.checkpoints / "00000004"
    assert {path.suffix for path in folder.iterdir()} == {".safetensors", ".json"}
    trainer = trainer_of()
    trainer.step()
    for name, tensors in trainer.state.tensors().items():
        assert load_tensors(folder / f"{name}.safetensors").keys() == tensors.keys()


def test_the_configuration_is_written_before_the_first_step(tmp_path):
    class Looking(Observer):
        found = None

        def stepped(self, step):
            self.found = self.found or json.loads((tmp_path / "run/config.json").read_text())

    looking = Looking()
    train_to(tmp_path / "run", observer=looking)
    assert looking.found["train"]["steps"] == 4
    assert looking.found["architecture"]["options"]["base_channels"] == 4


def test_no_steps_leave_the_untrained_model(tmp_path):
    run = train_to(tmp_path / "run", steps=0)
    model = ganzoo.load(run)
    assert model.config.step == 0
    assert equal(copies(model.generator), copies(trainer_of().state.generator))


NAN_LOSS = """
import torch
from ganzoo import Loss

calls = []

class Nan(Loss):
    "Becomes NaN."
    def discriminator_loss(self, D, real, fake):
        calls.append(1)
        bad = float("nan") if len(calls) > 3 else 1.0
        return {"broken": bad * (D(fake).mean() - D(real).mean())}
    def generator_loss(self, D, real, fake):
        return {"adversarial": -D(fake).mean()}
"""


def test_divergence_ends_the_run_and_keeps_what_was_good(tmp_path, plugin):
    plugin("ganzoo-nan", NAN_LOSS, {"ganzoo.losses": {"nan": "ganzoo_nan:Nan"}})
    with pytest.raises(Diverged, match="diverged by step 4: broken of the discriminator is nan"):
        train_to(tmp_path / "run", loss="nan", steps=6)
    assert checkpoint.steps(tmp_path / "run" / "checkpoints") == [2]
    rows = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(row)["step"] for row in rows] == [2]


def test_ema_averages_parameters_and_copies_buffers():
    trainer = trainer_of(ema_decay=0.25)
    expected = None
    for step in range(4):
        trainer.step()
        now = {name: value.clone() for name, value in trainer.state.generator.named_parameters()}
        if step == 0:
            expected = now  # the average starts from the first update: there is nothing before it
        decay = min(0.25, (1 + step) / (10 + step))
        expected = {name: torch.lerp(now[name], expected[name], decay) for name in now}
    average = trainer.state.generator_ema.module
    for name, parameter in average.named_parameters():
        torch.testing.assert_close(parameter.detach(), expected[name].detach())
    buffers = dict(trainer.state.generator.named_buffers())
    assert buffers
    for name, buffer in average.named_buffers():
        assert torch.equal(buffer, buffers[name]), name


def test_the_averaged_generator_is_judged_by_its_running_statistics():
    trainer = trainer_of()
    trainer.step()
    average, spec = trainer.state.generator_ema.module, trainer.samples.spec
    latents = torch.randn(6, 8)
    together, alone = generated(average, latents, spec), generated(average, latents[:1], spec)
    assert torch.equal(together[:1], alone)
    assert average.training, "and is left as it was"


class Spy:
    """Stands for a loss, and records how it is called."""

    independent_samples = True

    def __init__(self, loss):
        self.loss = loss
        self.calls = []

    def check_discriminator(self, discriminator, data):
        self.discriminator = discriminator

    def constrain(self, discriminator):
        self.calls.append("constrain")

    def discriminator_loss(self, D, real, fake):
        self.calls.append("discriminator")
        assert not fake.requires_grad
        assert all(p.requires_grad for p in D.parameters())
        self.latest = real, fake
        return self.loss.discriminator_loss(D, real, fake)

    def generator_loss(self, D, real, fake):
        self.calls.append("generator")
        assert fake.requires_grad
        assert not any(p.requires_grad for p in D.parameters())
        self.before = copies(D), [p.grad.clone() for p in D.parameters()]
        assert torch.equal(real, self.latest[0])
        assert not torch.equal(fake, self.latest[1]), "drawn anew"
        return self.loss.generator_loss(D, real, fake)


def spied(n_critic=3):
    trainer = trainer_of(n_critic=n_critic)
    spy = Spy(trainer.loss)
    trainer.loss = spy
    return trainer, spy


def test_a_step_is_n_critic_updates_and_one_of_the_generator():
    trainer, spy = spied(n_critic=3)
    trainer.step()
    assert spy.calls == ["discriminator", "constrain"] * 3 + ["generator"]


def test_the_generator_step_leaves_the_discriminator_alone():
    trainer, spy = spied()
    trainer.step()
    discriminator = trainer.state.discriminator
    weights, gradients = spy.before
    assert equal(weights, copies(discriminator)), "weights and buffers"
    for parameter, gradient in zip(discriminator.parameters(), gradients, strict=True):
        assert torch.equal(parameter.grad, gradient)
        assert parameter.requires_grad


def test_learning_rates_and_betas_are_each_networks_own():
    trainer = trainer_of(generator_lr=0.25, discriminator_lr=0.5, betas=(0, 0.5))
    generator, discriminator = (
        optimizer.param_groups[0]
        for optimizer in (trainer.state.generator_optimizer, trainer.state.discriminator_optimizer)
    )
    assert (generator["lr"], discriminator["lr"]) == (0.25, 0.5)
    assert generator["betas"] == (0.0, 0.5)
    assert isinstance(trainer_of("wgan").state.generator_optimizer, torch.optim.RMSprop)


READS = ("item", "tolist", "cpu", "numpy", "__bool__", "__float__", "__int__", "__index__")


def test_a_step_never_waits_for_the_device(monkeypatch):
    trainer = trainer_of()
    trainer.step()
    reads = []
    for name in READS:
        original = getattr(torch.Tensor, name)

        def counted(self, *args, _name=name, _original=original, **kwargs):
            reads.append(_name)
            return _original(self, *args, **kwargs)

        monkeypatch.setattr(torch.Tensor, name, counted)
    assert bool(torch.ones(())), "the counting works"
    assert reads == ["__bool__"]
    reads.clear()
    # torch's own averaging looks at its counter of updates, which lies on the CPU.
    monkeypatch.setattr(trainer.state.generator_ema, "update_parameters", lambda network: None)
    for optimizer in (trainer.state.generator_optimizer, trainer.state.discriminator_optimizer):
        monkeypatch.setattr(optimizer, "step", lambda: None)
    trainer.step()
    assert reads == []


def test_training_leaves_the_callers_randomness_alone(tmp_path):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    train_to(tmp_path / "run", steps=1)
    assert torch.equal(before, torch.get_rng_state())


def test_the_callers_randomness_does_not_matter(tmp_path):
    torch.manual_seed(1)
    one = train_to(tmp_path / "one", steps=2)
    torch.manual_seed(2)
    other = train_to(tmp_path / "other", steps=2)
    assert content(one) == content(other)


def test_another_seed_is_another_run(tmp_path):
    runs = [train_to(tmp_path / str(seed), steps=1, seed=seed) for seed in (0, 1)]
    first, second = (load_tensors(run.model / "model.safetensors") for run in runs)
    assert not equal(first, second)


def test_judging_never_changes_training(tmp_path, tiny_run):
    class Judge(Observer):
        judged = 0

        def logged(self, row):
            ganzoo.evaluate(tiny_run.model, ["fid", "is"], samples=32, real_samples=32)
            self.judged += 1

    judge = Judge()
    with_judging = train_to(tmp_path / "with", observer=judge)
    without = train_to(tmp_path / "without")
    assert judge.judged == 2
    assert content(with_judging) == content(without)


@pytest.mark.parametrize(
    "loss", ganzoo.registry.entries(ganzoo.registry.LOSS), ids=lambda e: e.name
)
@pytest.mark.parametrize("architecture", ["mlp", "dcgan"])
def test_every_architecture_trains_with_every_loss(architecture, loss):
    trainer = trainer_of(loss.name, architecture)
    before = copies(trainer.state.generator)
    for _ in range(2):
        terms = trainer.step()
    values = [*terms.generator.values(), *terms.discriminator.values()]
    assert all(value.isfinite() for value in values)
    assert not equal(before, copies(trainer.state.generator))


def test_mlp_trains_on_points():
    trainer = trainer_of("wgan-gp", "mlp", "ring")
    trainer.step()
    fakes = generated(trainer.state.generator_ema.module, torch.randn(5, 64), trainer.samples.spec)
    assert fakes.shape == (5, 2)
    assert fakes.dtype == torch.float32


def test_a_small_discriminator_learns_to_tell_apart():
    """The whole step on a problem with a known answer: points at 1 against a generator at 0."""
    spec = DataSpec(shape=(1,))
    reals = Samples(spec, torch.full((64, 1), 1.0))
    config = resolve("mlp", "lsgan", "gaussian", {"arch.hidden": (16,), "train.batch_size": 32})
    architecture = config.architecture.build(ganzoo.registry.ARCHITECTURE)
    loss = config.loss.build(ganzoo.registry.LOSS)
    options = config.train.model_copy(update={"generator_lr": 2e-3, "discriminator_lr": 2e-3})
    trainer = Trainer(architecture, loss, reals, options)
    for _ in range(400):
        trainer.step()
    fakes = generated(trainer.state.generator_ema.module, torch.randn(256, 64), spec)
    assert fakes.mean().item() == pytest.approx(1.0, abs=0.25)


def test_a_generator_of_nans_is_never_turned_into_a_picture():
    trainer = trainer_of()
    with torch.no_grad():
        next(trainer.state.generator.parameters()).fill_(float("nan"))
    with pytest.raises(GanzooError, match="not finite"):
        generated(trainer.state.generator, torch.randn(2, 8), trainer.samples.spec)
