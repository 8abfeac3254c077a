"""The step, the loop, and going on where a run stopped."""

import json
import os
import shutil
import signal
import warnings

import numpy as np
import pytest
import torch
from torch import nn

import crash
import ganzoo
from ganzoo import registry
from ganzoo.api.training import resume
from ganzoo.compute.devices import HALF_TYPES
from ganzoo.compute.seeding import make_rng
from ganzoo.errors import Diverged, GanzooError, InputError, Interrupted
from ganzoo.media.images import save_png
from ganzoo.models.generation import generate
from ganzoo.protocols.architecture import GeneratorInput
from ganzoo.protocols.dataset import DataSpec, Samples
from ganzoo.protocols.discriminator import Discriminator
from ganzoo.protocols.progress import Progress
from ganzoo.resolve import resolve
from ganzoo.runs.machines import MACHINES_FILE
from ganzoo.storage.tensors import load_tensors
from ganzoo.training import checkpoint
from ganzoo.training.assembly import assemble_trainer
from ganzoo.training.batch_order import BalancedOrder
from ganzoo.training.inputs import count_columns, draw_picture_inputs, draw_step_inputs
from ganzoo.training.observer import Observer, SilentObserver
from ganzoo.training.prepare import build_trainer
from ganzoo.training.stopwatch import TIME_FILE
from ganzoo.training.trainer import frozen
from tiny import TINY, Stopper

SMALL = {"train.recipe": "paper", "arch.base_channels": 4, "arch.z_dim": 8, "data.image_size": 16}


def trainer_of(loss="wgan-gp", architecture="dcgan", data="digits", **options):
    settings = SMALL if architecture == "dcgan" else {"arch.hidden": (8, 8)}
    train = {f"train.{name}": value for name, value in {**TINY, **options}.items()}
    config = resolve(architecture, loss, data, {**settings, **train})
    samples = config.data.build(ganzoo.registry.DATASET).read()
    return build_trainer(config, samples)


def train_to(path, *, loss="wgan-gp", observer=None, **options):
    return ganzoo.train(
        "dcgan", loss, out=path, settings=SMALL, observer=observer, **{**TINY, **options}
    )


def copies(network):
    return {name: value.clone() for name, value in network.state_dict().items()}


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def content(run, but=()):
    """Every byte that a run leaves, but for its folder's name in pictures and what it measured."""
    found = {}
    for file in sorted(run.path.rglob("*")):
        name = file.relative_to(run.path).as_posix()
        if not file.is_file() or name in but or file.name in (TIME_FILE, MACHINES_FILE):
            continue
        if file.suffix == ".png":
            from PIL import Image

            found[name] = Image.open(file).tobytes()
        elif name in ("metrics.jsonl", "scores.jsonl"):
            found[name] = crash.unmeasured(file)
        else:
            found[name] = file.read_bytes()
    return found


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
        def on_step(self, step):
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
    killed = ganzoo.runs.folder.Run(tmp_path / "killed")
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
    # The picture of a last step is the model's, and those before show the run as it trains.
    last = "samples/00000004.png"
    assert content(longer, but=(last,)) == content(extended, but=(last,))


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
    observer.on_warning = warnings.append
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

        def on_step(self, step):
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
    assert [json.loads(row)["step"] for row in rows if "warning" not in row] == [2]


@pytest.mark.parametrize("ramp", [0.0, 0.2, 1.0])
def test_ema_averages_parameters_and_copies_buffers(ramp):
    usual = trainer_of().options
    images = usual.n_critic * usual.batch_size  # in a step
    trainer = trainer_of(ema_half_life=0.5 * images, ema_ramp=ramp)
    expected = None
    for step in range(4):
        trainer.step()
        now = {name: value.clone() for name, value in trainer.state.generator.named_parameters()}
        if step == 0:
            expected = now  # the average starts from the first update: there is nothing before it
        half_life = min(0.5, ramp * step) if ramp else 0.5  # in steps
        decay = 0.5 ** (1 / half_life) if half_life else 0.0
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
    together, alone = (
        generate(average, GeneratorInput(given), spec, stored=True)
        for given in (latents, latents[:1])
    )
    assert torch.equal(together[:1], alone)
    assert average.training, "and is left as it was"


class Spy:
    """Stands for a loss, and records how it is called."""

    second_order = False
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
        assert all(p.requires_grad for p in D.network.parameters())
        self.latest = real, fake
        return self.loss.discriminator_loss(D, real, fake)

    def generator_loss(self, D, real, fake):
        self.calls.append("generator")
        assert fake.requires_grad
        assert not any(p.requires_grad for p in D.network.parameters())
        self.before = copies(D.network), [p.grad.clone() for p in D.network.parameters()]
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
    trainer.step()
    generator, discriminator = (
        optimizer.param_groups[0]
        for optimizer in (trainer.state.generator_optimizer, trainer.state.discriminator_optimizer)
    )
    assert (generator["lr"], discriminator["lr"]) == (0.25, 0.5)
    assert generator["betas"] == (0.0, 0.5)
    assert isinstance(trainer_of("wgan").state.generator_optimizer, torch.optim.RMSprop)


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

        def on_log(self, row):
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
    fakes = generate(
        trainer.state.generator_ema.module,
        GeneratorInput(torch.randn(5, 64)),
        trainer.samples.spec,
        stored=True,
    )
    assert fakes.shape == (5, 2)
    assert fakes.dtype == torch.float32


def test_a_small_discriminator_learns_to_tell_apart():
    """The whole step on a problem with a known answer: points at 1 against a generator at 0."""
    spec = DataSpec(shape=(1,))
    reals = Samples(spec, torch.full((64, 1), 1.0))
    config = resolve(
        "mlp",
        "lsgan",
        "gaussian",
        {"arch.hidden": (16,), "train.batch_size": 32, "train.recipe": "paper"},
    )
    architecture = config.architecture.build(ganzoo.registry.ARCHITECTURE)
    loss = config.loss.build(ganzoo.registry.LOSS)
    options = config.train.model_copy(update={"generator_lr": 2e-3, "discriminator_lr": 2e-3})
    trainer = assemble_trainer(architecture, loss, reals, options)
    for _ in range(400):
        trainer.step()
    fakes = generate(
        trainer.state.generator_ema.module, GeneratorInput(torch.randn(256, 64)), spec, stored=True
    )
    assert fakes.mean().item() == pytest.approx(1.0, abs=0.25)


def test_a_generator_of_nans_is_never_turned_into_a_picture():
    trainer = trainer_of()
    with torch.no_grad():
        next(trainer.state.generator.parameters()).fill_(float("nan"))
    with pytest.raises(GanzooError, match="not finite"):
        generate(
            trainer.state.generator,
            GeneratorInput(torch.randn(2, 8)),
            trainer.samples.spec,
            stored=True,
        )


# What a loss is given as D ----------------------------------------------------------------------


class Judge(nn.Module):
    """Judges samples and their classes, and counts what it has judged in a buffer."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(2, 1)
        self.register_buffer("judged", torch.zeros(()))
        self.seen = []

    def forward(self, samples, labels=None):
        self.judged += len(samples)
        self.seen.append(labels)
        logits = self.linear(samples).flatten(0)
        return logits if labels is None else logits + labels


def test_labels_are_repeated_where_several_batches_are_judged_at_once():
    network, labels = Judge(), torch.tensor([0, 1, 2])
    D = Discriminator(network, labels)
    real, fake = torch.randn(3, 2), torch.randn(3, 2)
    together = D(torch.cat([real, fake]))
    torch.testing.assert_close(together, torch.cat([D(real), D(fake)]))
    assert network.seen[0].tolist() == [0, 1, 2, 0, 1, 2]
    assert Discriminator(network)(real).shape == (3,)
    assert network.seen[-1] is None


def test_other_parameters_leave_the_network_alone_and_let_gradients_through():
    network = Judge()
    D, samples = Discriminator(network, torch.tensor([0, 1])), torch.randn(2, 2)
    before = copies(network)
    moved = {name: value + 1 for name, value in D.detached_parameters().items()}
    scale = torch.ones((), requires_grad=True)
    elsewhere = D.at({name: scale * value for name, value in moved.items()})
    expected = samples.sum(1) + 1 + network.linear(samples).flatten(0) + torch.tensor([0, 1])
    logits = elsewhere(samples)
    torch.testing.assert_close(logits, expected)
    logits.sum().backward()
    assert scale.grad is not None
    assert all(parameter.grad is None for parameter in network.parameters())
    assert equal(before, copies(network)), "parameters and buffers"


def test_half_precision_of_a_discriminator_ends_at_its_logits():
    network = Judge()
    samples = torch.randn(2, 2)
    half = Discriminator(network, half=torch.bfloat16)(samples)
    whole = Discriminator(network)(samples)
    assert half.dtype == whole.dtype == torch.float32
    assert not torch.equal(half, whole)
    torch.testing.assert_close(half, whole, rtol=0.02, atol=0.02)
    functional = Discriminator(network, half=torch.bfloat16).at({})(samples)
    assert torch.equal(functional, whole), "its gradient may be differentiated"
    penalised = Discriminator(network, half=torch.bfloat16)(samples.clone().requires_grad_())
    assert torch.equal(penalised, whole)
    with frozen(network.parameters()):
        learning = Discriminator(network, half=torch.bfloat16)(samples.clone().requires_grad_())
    assert torch.equal(learning, half), "what is differentiated is the generator's loss"


# Orders and rates -------------------------------------------------------------------------------


def test_a_balanced_order_holds_as_many_of_each_class_and_whole_epochs():
    labels = torch.tensor([1, 0, 1, 1, 0, 1, 1, 0, 1])  # three of class 0 and six of class 1
    order = BalancedOrder(labels, 4, seed=0)
    batches = [order(batch) for batch in range(6)]
    for indices in batches:
        assert labels[indices].tolist() == [0, 0, 1, 1], "class after class"
    zeros = torch.cat([indices[:2] for indices in batches]).tolist()
    ones = torch.cat([indices[2:] for indices in batches]).tolist()
    for epoch in range(4):
        assert sorted(zeros[3 * epoch : 3 * epoch + 3]) == [1, 4, 7]
    for epoch in range(2):
        assert sorted(ones[6 * epoch : 6 * epoch + 6]) == [0, 2, 3, 5, 6, 8]
    assert zeros[:3] != zeros[3:6] or zeros[3:6] != zeros[6:9], "shuffled anew"
    again = BalancedOrder(labels, 4, seed=0)
    assert again(5).equal(batches[5]), "a function of seed and number"
    assert any(not BalancedOrder(labels, 4, seed=1)(i).equal(batches[i]) for i in range(6))


@pytest.mark.parametrize(
    ("decay", "begin", "shares"),
    [
        ("none", 0.0, [1, 1, 1, 1]),
        ("linear", 0.0, [1, 0.75, 0.5, 0.25]),
        ("linear", 0.5, [1, 1, 1, 0.5]),
        ("cosine", 0.0, [1, (1 + 0.5**0.5) / 2, 0.5, (1 - 0.5**0.5) / 2]),
        ("cosine", 0.5, [1, 1, 1, 0.5]),
    ],
)
def test_both_learning_rates_fall_as_they_are_told_to(decay, begin, shares):
    trainer = trainer_of(
        "lsgan",
        "mlp",
        steps=4,
        lr_decay=decay,
        lr_decay_from=begin,
        generator_lr=0.25,
        discriminator_lr=0.5,
    )
    state, found = trainer.state, []
    for _ in shares:
        trainer.step()
        found.append(
            [
                optimizer.param_groups[0]["lr"]
                for optimizer in (state.generator_optimizer, state.discriminator_optimizer)
            ]
        )
    assert [rates[0] for rates in found] == pytest.approx([0.25 * share for share in shares])
    assert [rates[1] for rates in found] == pytest.approx([0.5 * share for share in shares])


@pytest.mark.parametrize("decay", ["linear", "cosine"])
def test_a_run_whose_rates_fall_ends_at_the_step_that_it_was_started_with(tmp_path, decay):
    run = train_to(tmp_path / "run", lr_decay=decay)
    with pytest.raises(InputError, match=r"train\.steps: 4 -> 6"):
        resume(run.path, {"train.steps": 6})


def test_a_run_whose_rates_fall_goes_on_to_the_same_bytes(tmp_path):
    whole = train_to(tmp_path / "whole", lr_decay="linear", steps=5)
    with pytest.raises(Interrupted):
        train_to(tmp_path / "halves", lr_decay="linear", steps=5, observer=Stopper(3))
    assert content(whole) == content(resume(tmp_path / "halves"))


# Classes ----------------------------------------------------------------------------------------

CLASSES = """
import torch
from pydantic import Field
from torch import nn
from ganzoo import Architecture, Dataset, DataSpec, Samples
from ganzoo.errors import InputError

class Labelled(nn.Module):
    def __init__(self, size, out, classes, *ending):
        super().__init__()
        self.classes = nn.Embedding(classes, size)
        self.network = nn.Sequential(nn.Flatten(), nn.Linear(size, out), *ending)
    def forward(self, given, labels):
        return self.network(given.flatten(1) + self.classes(labels))

class Conditional(Architecture):
    "Adds an embedding of the class."
    def takes_labels(self, data):
        return True
    def generator(self, data):
        ending = nn.Tanh(), nn.Unflatten(1, data.shape)
        return Labelled(self.width(data), data.size, data.classes, *ending)
    def discriminator(self, data, *, independent_samples=False):
        return Labelled(data.size, 1, data.classes, nn.Flatten(0))
    def latents(self, count, rng):
        return torch.randn(count, 4, generator=rng, device=rng.device)
    def width(self, data):
        return 4

class Remembering(nn.Module):
    def __init__(self, data):
        super().__init__()
        self.register_buffer("kept", torch.zeros(data.classes, *data.shape))
    def forward(self, fakes, labels):
        fresh = torch.rand(len(fakes), *[1] * (fakes.dim() - 1)) < 0.5
        shown = torch.where(fresh, fakes, self.kept[labels])
        self.kept[labels] = fakes
        return shown

class Translating(Conditional):
    "Turns each class into another."
    takes_images = True
    name: str = Field(default="cycle", description="Name of its term.")
    def width(self, data):
        return data.size
    def generator_terms(self, generator, inputs, real, fake):
        back = generator(fake, inputs.source_labels)
        return {self.name: (back - inputs.given).abs().mean()}
    def history(self, data):
        return Remembering(data)

class Grey(Dataset):
    "Dark images of class 0, lighter ones of each class after it."
    classes: int | None = Field(default=2, description="How many.")
    missing: bool = Field(default=False, description="Leave the last class out.")
    def read(self):
        count = self.classes or 2
        labels = torch.arange(12) % (count - self.missing)
        stored = (labels * 255 // count + torch.arange(12) % 3).byte()
        return Samples(
            DataSpec(shape=(1, 4, 4), classes=self.classes),
            stored.reshape(12, 1, 1, 1).expand(12, 1, 4, 4).clone(),
            labels if self.classes else None,
        )
"""


@pytest.fixture
def classes(plugin):
    plugin(
        "ganzoo-classes",
        CLASSES,
        {
            "ganzoo.architectures": {
                "conditional": "ganzoo_classes:Conditional",
                "translating": "ganzoo_classes:Translating",
            },
            "ganzoo.datasets": {"grey": "ganzoo_classes:Grey"},
        },
    )


def of_classes(architecture, settings=None, **options):
    train = {f"train.{name}": value for name, value in {**TINY, **options}.items()}
    config = resolve(architecture, "lsgan", "grey", {**(settings or {}), **train})
    return build_trainer(config, config.data.build(ganzoo.registry.DATASET).read())


def watched(trainer):
    """Record what the two networks are given."""
    calls = {"generator": [], "discriminator": []}
    for name, found in calls.items():
        network = getattr(trainer.state, name)
        network.register_forward_pre_hook(lambda _, given, found=found: found.append(given))
    return calls


@pytest.mark.usefixtures("classes")
def test_fakes_and_reals_of_a_conditional_architecture_are_of_the_same_classes():
    trainer = of_classes("conditional")
    calls = watched(trainer)
    trainer.step()
    indices = trainer.order(0)
    wanted = trainer.samples.labels[indices]
    assert [labels.tolist() for _, labels in calls["generator"]] == 2 * [wanted.tolist()]
    # Reals and fakes in the discriminator's turn, and fakes in the generator's.
    assert [labels.tolist() for _, labels in calls["discriminator"]] == 3 * [wanted.tolist()]
    reals = calls["discriminator"][0][0]
    assert torch.equal(reals, trainer.samples.batch(indices))


@pytest.mark.usefixtures("classes")
@pytest.mark.parametrize("count", [2, 4])
def test_a_translating_architecture_starts_from_images_of_other_classes(count):
    trainer = of_classes("translating", {"data.classes": count})
    for _ in range(4):
        calls = watched(trainer)
        trainer.step()
        sources, labels = calls["generator"][0]
        levels = trainer.samples.stored[:, 0, 0, 0]
        pixels = ((sources[:, 0, 0, 0] + 1) * 127.5).round().byte()
        found = [int(trainer.samples.labels[levels == pixel][0]) for pixel in pixels]
        assert sorted(found) == sorted(labels.tolist()), "as many of each class"
        assert all(mine != theirs for mine, theirs in zip(found, labels.tolist(), strict=True))


@pytest.mark.usefixtures("classes")
def test_sources_of_every_other_class_have_their_turn():
    trainer = of_classes("translating", {"data.classes": 4})
    turns = set()
    for _ in range(20):
        step = trainer.state.step
        batch = trainer.loader.batch(step, trainer.order)
        inputs = draw_step_inputs(trainer.setup, batch, Progress(step=step), torch.Generator())
        turns |= set(zip(inputs.source_labels.tolist(), batch.labels.tolist(), strict=True))
        trainer.state.step += 1
    assert len(turns) == 4 * 3


@pytest.mark.usefixtures("classes")
def test_a_picture_of_a_translation_shows_the_sources_above_what_they_became(tmp_path):
    from PIL import Image

    run = ganzoo.train("translating", "lsgan", "grey", out=tmp_path / "run", **{**TINY, "steps": 1})
    trainer = of_classes("translating")
    inputs = draw_picture_inputs(trainer.setup, trainer.loader)
    assert not torch.any(inputs.labels == inputs.source_labels)
    with Image.open(run.samples / "00000001.png") as opened:
        picture = torch.from_numpy(np.array(opened.convert("L")))
    # Images of 4 x 4 are shown 16 times as large, with 2 pixels around each.
    rows = [picture[2 + 66 * i :][:64:16] for i in range(picture.shape[0] // 66)]
    shown = [row[:, 2 + 66 * i :][:, :64:16] for row in rows for i in range(8)]
    assert len(shown) == 2 * len(inputs.given)
    levels = ((inputs.given[:, 0] + 1) * 127.5).round().byte()
    for i, source in enumerate(levels):
        line, column = divmod(i, 8)
        above, below = (shown[8 * (2 * line + k) + column] for k in range(2))
        assert torch.equal(above, source)
        assert not torch.equal(below, source)


@pytest.mark.usefixtures("classes")
@pytest.mark.parametrize(("count", "columns"), [(3, 9), (10, 10), (12, 12), (70, 8)])
def test_a_picture_of_a_conditional_run_has_columns_of_each_class(count, columns, tmp_path):
    from PIL import Image

    settings = {"data.classes": count}
    trainer = of_classes("conditional", settings)
    labels = draw_picture_inputs(trainer.setup, trainer.loader).labels
    assert count_columns(trainer.setup) == columns
    assert len(labels) == 64 // columns * columns, "the last row is full"
    if count <= 64:
        rows = labels.reshape(-1, columns)
        assert torch.equal(rows[0], torch.arange(columns) % count)
        assert torch.equal(rows, rows[:1].expand_as(rows))
    run = ganzoo.train(
        "conditional", "lsgan", "grey", settings=settings, out=tmp_path / "run", **TINY
    )
    with Image.open(next(run.samples.glob("*.png"))) as picture:
        assert picture.width == 2 + 66 * columns


@pytest.mark.usefixtures("classes")
def test_a_history_is_saved_and_a_resumed_run_goes_on_to_the_same_bytes(tmp_path):
    def train(path, observer=None):
        return ganzoo.train(
            "translating", "lsgan", "grey", out=path, observer=observer, **{**TINY, "steps": 5}
        )

    whole = train(tmp_path / "whole")
    with pytest.raises(Interrupted):
        train(tmp_path / "halves", Stopper(3))
    kept = load_tensors(tmp_path / "halves" / "checkpoints" / "00000003" / "history.safetensors")
    assert kept["kept"].any()
    assert content(whole) == content(resume(tmp_path / "halves"))
    assert not list((whole.path / "model").glob("*history*")), "no part of the model"


@pytest.mark.usefixtures("classes")
def test_the_terms_of_an_architecture_are_added_and_logged(tmp_path):
    run = ganzoo.train("translating", "lsgan", "grey", out=tmp_path / "run", **TINY)
    row = json.loads((run.path / "metrics.jsonl").read_text().splitlines()[-1])
    assert {"generator/adversarial", "generator/cycle"} <= row.keys()


@pytest.mark.usefixtures("classes")
def test_terms_of_one_name_are_refused():
    trainer = of_classes("translating", {"arch.name": "adversarial"})
    with pytest.raises(InputError, match="both name a term 'adversarial'; rename one"):
        trainer.step()


@pytest.mark.usefixtures("classes")
@pytest.mark.parametrize(
    ("architecture", "settings", "batch_size", "message"),
    [
        ("conditional", {"data.classes": None}, 8, "these data have no labels; give data with"),
        ("translating", {"data.classes": None}, 8, "these data have no labels; give data with"),
        ("translating", {"data.classes": 1}, 8, "translates between classes, and these data have"),
        (
            "translating",
            {"data.classes": 3, "data.missing": True},
            9,
            "there are no samples of class 2 to translate from or to",
        ),
        (
            "translating",
            {"data.classes": 3},
            8,
            "train.batch_size must be a multiple of the 3 classes",
        ),
    ],
)
def test_data_whose_classes_do_not_fit_are_refused(architecture, settings, batch_size, message):
    with pytest.raises(InputError) as caught:
        of_classes(architecture, settings, batch_size=batch_size)
    assert message in str(caught.value)


@pytest.mark.usefixtures("classes")
def test_a_conditional_architecture_takes_a_batch_of_any_size():
    of_classes("conditional", {"data.classes": 3}, batch_size=7).step()


# One batch of fakes for both updates --------------------------------------------------------------


def test_by_default_the_generator_draws_anew():
    assert not resolve("dcgan", None, None).train.reuse_fakes


def test_fakes_are_used_again_by_the_generator_with_their_graph():
    class Again(Spy):
        def generator_loss(self, D, real, fake):
            self.calls.append("generator")
            assert fake.requires_grad
            assert not any(p.requires_grad for p in D.network.parameters())
            assert torch.equal(real, self.latest[0])
            assert torch.equal(fake, self.latest[1])
            return self.loss.generator_loss(D, real, fake)

    trainer, anew = (trainer_of(n_critic=3, reuse_fakes=reuse) for reuse in (True, False))
    trainer.loss = Again(trainer.loss)
    passes = []
    trainer.state.generator.register_forward_hook(lambda *_: passes.append(torch.is_grad_enabled()))
    trainer.step()
    anew.step()
    assert trainer.loss.calls == ["discriminator", "constrain"] * 3 + ["generator"]
    assert passes == [False, False, True], "a pass less, and a graph of the last alone"
    # The discriminator has seen the same, and the generator has not.
    assert equal(copies(trainer.state.discriminator), copies(anew.state.discriminator))
    assert not equal(copies(trainer.state.generator), copies(anew.state.generator))


def test_a_step_with_one_batch_of_fakes_is_that_of_a_loop_by_hand():
    trainer, by_hand = (trainer_of("non-saturating", reuse_fakes=True) for _ in range(2))
    trainer.step()
    state, softplus = by_hand.state, nn.functional.softplus
    G, D = state.generator, state.discriminator
    real = by_hand.loader.batch(0, by_hand.order).real
    rng = make_rng(by_hand.options.seed, "latents", 0)
    fake = G(by_hand.architecture.latents(len(real), rng))
    of_reals, of_fakes = (D(each)["logits"] for each in (real, fake.detach()))
    (softplus(-of_reals).mean() + softplus(of_fakes).mean()).backward()
    state.discriminator_optimizer.step()
    softplus(-D(fake)["logits"]).mean().backward()
    state.generator_optimizer.step()
    for mine, theirs in ((trainer.state.generator, G), (trainer.state.discriminator, D)):
        for name, value in mine.state_dict().items():
            torch.testing.assert_close(value, theirs.state_dict()[name])


@pytest.mark.parametrize("options", [{"n_critic": 2}, {"loss": "non-saturating"}])
def test_a_run_with_one_batch_of_fakes_goes_on_to_the_same_bytes(tmp_path, options):
    options = {"steps": 5, "reuse_fakes": True, **options}
    whole = train_to(tmp_path / "whole", **options)
    with pytest.raises(Interrupted):
        train_to(tmp_path / "halves", **options, observer=Stopper(3))
    assert content(whole) == content(resume(tmp_path / "halves"))


@pytest.mark.usefixtures("classes")
@pytest.mark.parametrize("architecture", ["conditional", "translating"])
def test_labels_sources_and_histories_go_with_fakes_that_are_used_again(architecture):
    trainer = of_classes(architecture, n_critic=2, reuse_fakes=True)
    trainer.step()
    calls, made = watched(trainer), []
    trainer.state.generator.register_forward_hook(lambda *told: made.append(told[-1]))
    trainer.step()
    batches = [trainer.loader.batch(2 + i, trainer.order) for i in range(2)]
    real, wanted, _ = zip(*batches, strict=True)
    assert [labels.tolist() for _, labels in calls["generator"][:2]] == [w.tolist() for w in wanted]
    # Reals and fakes twice in the discriminator's turn, and fakes in the generator's.
    assert len(calls["discriminator"]) == 5
    *_, (reals, _), (shown, _), (fakes, labels) = calls["discriminator"]
    assert torch.equal(reals, real[1])
    assert torch.equal(labels, wanted[1])
    assert torch.equal(fakes, made[1]), "never earlier ones, which have no graph"
    if architecture == "conditional":
        assert torch.equal(shown, made[1])
        assert len(made) == 2
    else:
        assert not torch.equal(shown, made[1]), "some are of the history"
        (back, sources) = calls["generator"][2]
        assert torch.equal(back, made[1]), "the term of its own is of the same fakes"
        assert not torch.any(sources == wanted[1])


@pytest.mark.parametrize(
    ("loss", "options"),
    [
        ("unrolled", {"n_critic": 1}),
        ("r3gan", {"n_critic": 2}),
        ("wgan", {"n_critic": 2}),
        ("non-saturating", {"augment": ("color", "translation", "cutout")}),
        ("non-saturating", {"precision": "bf16"}),
    ],
)
def test_fakes_are_used_again_under_any_loss_augmentation_and_precision(loss, options):
    trainer = trainer_of(loss, reuse_fakes=True, **options)
    before = copies(trainer.state.generator)
    for _ in range(2):
        terms = trainer.step()
    assert all(
        value.isfinite() for value in (*terms.generator.values(), *terms.discriminator.values())
    )
    assert not equal(before, copies(trainer.state.generator))


# Precision and recipes --------------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["non-saturating", "wgan-gp"])
def test_bf16_trains_to_finite_weights_of_fp32(loss):
    trainer, whole = trainer_of(loss, precision="bf16"), trainer_of(loss)
    for _ in range(3):
        terms = trainer.step()
        whole.step()
    assert all(
        value.isfinite() for value in (*terms.generator.values(), *terms.discriminator.values())
    )
    for tensors in trainer.state.tensors().values():
        for value in tensors.values():
            assert value.dtype in (torch.float32, torch.int64)
            assert value.isfinite().all()
    assert not equal(copies(trainer.state.generator), copies(whole.state.generator))


PENALISED = {"wgan-gp": "gradient_penalty", "r3gan": "r1"}


@pytest.mark.parametrize(("name", "term"), PENALISED.items())
@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_a_penalty_and_its_gradient_are_those_of_full_precision(name, term, precision):
    loss = registry.find(registry.LOSS, name).load()()
    network = nn.Sequential(nn.Linear(2, 64), nn.LeakyReLU(0.2), nn.Linear(64, 1), nn.Flatten(0))
    real, fake = torch.randn(2, 256, 2)
    gradients = {}
    for half in (None, HALF_TYPES[precision]):
        D = Discriminator(network, half=half)
        torch.manual_seed(0)
        terms = loss.discriminator_loss(D, real, fake)
        gradients[half] = torch.autograd.grad(
            terms[term], list(network.parameters()), retain_graph=True, allow_unused=True
        )
        rest = sum(value for other, value in terms.items() if other != term)
        gradients[half, "rest"] = torch.autograd.grad(rest, list(network.parameters()))
    for mine, exact in zip(gradients[HALF_TYPES[precision]], gradients[None], strict=True):
        assert (mine is None) == (exact is None)
        assert mine is None or torch.equal(mine, exact)
    if name == "wgan-gp":
        halves = [gradients[half, "rest"][0].flatten() for half in (HALF_TYPES[precision], None)]
        assert 0.99 < torch.cosine_similarity(*halves, dim=0) < 1, "the rest is of half precision"


RECIPE = """
from ganzoo import Recipe
from ganzoo_zoo.families.mlp import MLP

class Mine(MLP):
    "Is trained in its own way."
    default_loss = "lsgan"
    tuned_recipes = ()
    recipe = Recipe(generator_lr=0.125, n_critic=2, batch_size=5)
"""


def test_an_architecture_trains_its_own_loss_by_its_own_recipe(plugin):
    plugin("ganzoo-mine", RECIPE, {"ganzoo.architectures": {"mine": "ganzoo_mine:Mine"}})
    own = resolve("mine", None, "digits").train
    assert (own.generator_lr, own.n_critic, own.batch_size) == (0.125, 2, 5)
    named = resolve("mine", "lsgan", "digits", {"train.n_critic": 3}).train
    assert (named.generator_lr, named.n_critic) == (0.125, 3)
    other = resolve("mine", "hinge", "digits").train
    assert (
        other.generator_lr
        == ganzoo.registry.get(ganzoo.registry.LOSS, "hinge").recipe.generator_lr
        != 0.125
    )


# Warnings ------------------------------------------------------------------------------------


@pytest.fixture
def torn(tmp_path):
    """A folder of eight images, and two files that are none; one is named to mislead."""
    folder = tmp_path / "torn"
    folder.mkdir()
    for number in range(8):
        pixels = torch.full((1, 16, 16), 30 * number, dtype=torch.uint8)
        save_png(pixels, folder / f"{number}.png", {})
    for name in ("a.png", "b\x1b[31m.png"):
        (folder / name).write_text("no image")
    return folder


def test_without_an_observer_warnings_are_python_s_and_point_to_the_call(torn, tmp_path):
    out = tmp_path / "run"
    always = {"category": ganzoo.GanzooWarning, "action": "always"}
    with warnings.catch_warnings(record=True, **always) as warned:
        ganzoo.train("mlp", data=torn, out=out, **{**TINY, "steps": 2})
        ganzoo.resume(out, {"train.steps": 3})
        ganzoo.open_dataset(torn)
    said = [str(warning.message) for warning in warned]
    assert said.count("2 of 10 images cannot be read") == 3
    assert sum(message.startswith("skipped a.png: ") for message in said) == 3
    assert all(message.isprintable() for message in said)
    assert {warning.filename for warning in warned} == {__file__}
    lines = [int(warning.lineno) for warning in warned if str(warning.message) == said[0]]
    assert [line - lines[0] for line in lines] == [0, 1, 2]


def test_an_observer_that_does_not_override_warnings_lets_them_be_seen(torn, tmp_path):
    class Counter(Observer):
        steps = 0

        def on_step(self, step):
            self.steps = step

    with pytest.warns(ganzoo.GanzooWarning, match="2 of 10 images cannot be read"):
        ganzoo.train("mlp", data=torn, out=tmp_path / "run", observer=Counter(), **TINY)


def test_an_observer_of_its_own_gets_them_instead(torn, tmp_path):
    class Listener(Observer):
        def __init__(self):
            self.said = []

        def on_warning(self, message):
            self.said.append(message)

    listener = Listener()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ganzoo.train("mlp", data=torn, out=tmp_path / "run", observer=listener, **TINY)
    assert listener.said[0] == "2 of 10 images cannot be read"


def test_the_other_processes_say_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        SilentObserver().on_warning("said by the first process")


def test_a_run_lists_the_images_that_it_could_not_read(torn, tmp_path):
    run = ganzoo.train("mlp", data=torn, out=tmp_path / "run", **{**TINY, "steps": 2})
    path = run.path / "skipped.txt"
    listed = path.read_text()
    assert [line.partition(":")[0] for line in listed.splitlines()] == [
        "a.png",
        "b\\x1b[31m.png",
    ]
    path.unlink()
    ganzoo.resume(run, {"train.steps": 3})
    assert path.read_text() == listed
    whole = ganzoo.train("mlp", data="ring", out=tmp_path / "whole", **TINY)
    assert not (whole.path / "skipped.txt").exists()
