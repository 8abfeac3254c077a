"""Penalties in a training: when they are due, what they see and what they remember."""

import copy
from typing import ClassVar

import pytest
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import nn

from ganzoo import AdaptiveAugmentation, DataSpec, Penalty, Progress
from ganzoo.compute.seeding import make_rng
from ganzoo.errors import InputError
from ganzoo.testing.steps import PlainLoss, SmallNetworks, draw_samples, train_options
from ganzoo.training.assembly import assemble_trainer
from ganzoo.training.memory import LOSS, memory_of_augmentation, memory_of_penalty

DATA = DataSpec(shape=(3,))
LR, BETAS = 0.01, (0.3, 0.8)


class Slope(Penalty):
    """Half of the squared slope at the reals."""

    second_order = True
    weight: float = Field(default=1.0, description="Weight.")

    def discriminator_terms(self, D, real, fake):
        real = real.detach().requires_grad_()
        (slope,) = torch.autograd.grad(D(real).sum(), real, create_graph=True)
        return {"slope": self.weight / 2 * slope.square().sum(1).mean()}


class Size(Penalty):
    """The mean square of fakes."""

    def generator_terms(self, D, real, fake):
        return {"size": fake.square().mean()}


class Mean(Penalty):
    """Remembers the mean of the logits of reals, and pulls fakes' to it."""

    def state(self, data):
        state = nn.Module()
        state.register_buffer("mean", torch.zeros(()))
        state.register_buffer("updates", torch.zeros(()))
        return state

    def discriminator_terms(self, D, real, fake):
        D.observe(mean=D.recall(real).mean())
        return {"pull": (D.recall(fake) - D.state.mean).square().mean()}

    def remember(self, state, observed):
        state.mean.lerp_(observed["mean"], 0.5)
        state.updates.add_(1)


class Looks(Penalty):
    """Keeps what it is told."""

    seen: ClassVar[list] = []

    def discriminator_terms(self, D, real, fake):
        self.seen.append(("discriminator", D.progress, D.generated, D.generate(D.inputs), fake))
        return {"drift": D.recall(real).mean() * 0.0}

    def generator_terms(self, D, real, fake):
        self.seen.append(("generator", D.progress, D.generated, D.generate(D.inputs), fake))
        return {"size": fake.mean() * 0.0}


def trainer_of(penalties=None, loss=None, data=DATA, augmentations=None, networks=None, **options):
    given = {"discriminator_lr": LR, "generator_lr": LR, "betas": BETAS, **options}
    with torch.random.fork_rng():
        return assemble_trainer(
            networks or SmallNetworks(),
            loss or PlainLoss(),
            draw_samples(data),
            train_options().model_copy(update={"batch_size": 8, **given}),
            augmentations,
            penalties=penalties,
        )


def run(trainer, steps):
    with torch.random.fork_rng():
        for _ in range(steps):
            trainer.step()
    return trainer


def parameters(network):
    return [each.detach().clone() for each in network.parameters()]


def close(one, other, atol=1e-6):
    for mine, theirs in zip(parameters(one), parameters(other), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=atol)


def updated_by_hand(trainer, interval):
    """Do the discriminator's first update and that of the penalty, by torch's plain Adam."""
    discriminator = copy.deepcopy(trainer.state.discriminator)
    generator = copy.deepcopy(trainer.state.generator)
    share = interval / (interval + 1)
    betas = tuple(beta**share for beta in BETAS)
    optimizer = torch.optim.Adam(discriminator.parameters(), lr=LR * share, betas=betas)
    real = trainer.loader.batch(0, trainer.order)[0]
    latents = trainer.architecture.latents(8, make_rng(0, "latents", 0))
    fake = generator(latents).detach()
    terms = {"real": F.softplus(-discriminator(real)), "fake": F.softplus(discriminator(fake))}
    sum(term.mean() for term in terms.values()).backward()
    optimizer.step()
    optimizer.zero_grad()
    asked = real.clone().requires_grad_()
    (slope,) = torch.autograd.grad(discriminator(asked).sum(), asked, create_graph=True)
    (interval * 0.5 * slope.square().sum(1).mean()).backward()
    optimizer.step()
    return discriminator, slope.square().sum(1).mean().item() / 2


def test_a_lazy_penalty_has_an_update_of_its_own_times_the_interval():
    trainer = trainer_of({"slope": Slope(interval=4)})
    discriminator, term = updated_by_hand(trainer, 4)
    with torch.random.fork_rng():
        terms = trainer.step()
    close(trainer.state.discriminator, discriminator)
    # It is logged as the paper weights it, not times the interval.
    assert terms.discriminator["slope"].item() == pytest.approx(term, rel=1e-5)


def test_the_optimiser_is_corrected_for_further_updates():
    trainer = run(trainer_of({"slope": Slope(interval=4), "size": Size(interval=2)}), 1)
    for optimizer, share in (
        (trainer.state.discriminator_optimizer, 4 / 5),
        (trainer.state.generator_optimizer, 2 / 3),
    ):
        (group,) = optimizer.param_groups
        assert group["lr"] == pytest.approx(LR * share)
        assert group["betas"] == pytest.approx([beta**share for beta in BETAS])


def updates_of(optimizer):
    return {int(state["step"]) for state in optimizer.state.values()}


def test_a_lazy_penalty_is_due_by_the_updates_of_its_network():
    trainer = trainer_of({"slope": Slope(interval=3), "size": Size(interval=3)}, n_critic=2)
    found = []
    for _ in range(4):
        with torch.random.fork_rng():
            terms = trainer.step()
        found.append(("slope" in terms.discriminator, "size" in terms.generator))
    # Of the discriminator's updates 0 and 1, 2 and 3, 4 and 5, 6 and 7, due are 0, 3 and 6.
    assert found == [(True, True), (True, False), (False, False), (True, True)]
    # A bias that a slope does not depend on has no gradient there, and stays.
    assert updates_of(trainer.state.discriminator_optimizer) == {8, 8 + 3}
    assert updates_of(trainer.state.generator_optimizer) == {4 + 2}


def test_a_penalty_of_every_update_is_part_of_the_losss():
    class Whole(PlainLoss):
        def discriminator_loss(self, D, real, fake):
            return {
                **super().discriminator_loss(D, real, fake),
                **Slope().discriminator_terms(D, real, fake),
            }

    trainer = run(trainer_of({"slope": Slope()}), 3)
    whole = run(trainer_of(loss=Whole()), 3)
    close(trainer.state.discriminator, whole.state.discriminator)
    close(trainer.state.generator, whole.state.generator)
    assert updates_of(trainer.state.discriminator_optimizer) == {3}


@pytest.mark.parametrize("interval", [1, 2])
@pytest.mark.parametrize("parts", [2, 8])
def test_a_batch_in_parts_is_the_step_of_the_whole_batch(parts, interval):
    penalties = {
        "slope": Slope(interval=interval),
        "size": Size(interval=interval),
        "mean": Mean(interval=interval),
    }
    whole = run(trainer_of(penalties), 4)
    accumulated = run(trainer_of(penalties, accumulate=parts), 4)
    for name in ("generator", "discriminator"):
        close(getattr(accumulated.state, name), getattr(whole.state, name), atol=2e-6)
    memories = (each.state.memories[memory_of_penalty("mean")] for each in (accumulated, whole))
    mine, theirs = memories
    torch.testing.assert_close(mine.mean, theirs.mean)
    assert mine.updates == theirs.updates == 4 / interval
    terms = [each.recent_terms for each in (accumulated, whole)]
    assert terms[0].keys() == terms[1].keys()
    for name, value in terms[0].items():
        torch.testing.assert_close(value, terms[1][name], rtol=1e-4, atol=1e-6)


def test_a_penalty_sees_the_moment_and_what_the_fakes_are_made_from():
    Looks.seen.clear()
    run(trainer_of({"looks": Looks()}, n_critic=2), 2)
    words = [word for word, *_ in Looks.seen]
    assert words == ["discriminator", "discriminator", "generator"] * 2
    assert [progress for _, progress, *_ in Looks.seen] == [
        Progress(step, 3, 8 * updates, updates, 8)
        for step in range(2)
        for updates in (2 * step, 2 * step + 1, 2 * step + 2)
    ]
    for word, _, generated, made, fake in Looks.seen:
        assert torch.allclose(made["samples"], fake)
        assert torch.equal(generated["samples"], fake)
        assert made["samples"].requires_grad == fake.requires_grad == (word == "generator")


def test_recall_judges_nothing_again():
    trainer = trainer_of({"mean": Mean()})
    calls = []
    trainer.state.discriminator.register_forward_hook(lambda *given: calls.append(len(calls)))
    run(trainer, 1)
    # Reals and fakes in the discriminator's turn, fakes in the generator's.
    assert len(calls) == 3


class Loud(AdaptiveAugmentation):
    """Adds how many logits it was shown."""

    def state(self, data):
        state = nn.Module()
        state.register_buffer("count", torch.zeros(()))
        return state

    def augment(self, samples, state):
        return samples + 0.01 * state.count

    def observe(self, state, logits, progress):
        state.count.add_(len(logits))

    def fits(self, data):
        return True


def test_an_adaptive_augmentation_is_shown_the_logits_of_every_whole_batch():
    trainer = trainer_of(augmentations={"loud": Loud()}, n_critic=2, accumulate=4)
    run(trainer, 3)
    assert trainer.state.memories[memory_of_augmentation("loud")].count == 3 * 2 * 8


class Begins(Size):
    """Has no term before some step."""

    def generator_terms(self, D, real, fake):
        return super().generator_terms(D, real, fake) if D.progress.step >= 2 else {}


@pytest.mark.parametrize("interval", [1, 2])
def test_a_penalty_may_have_no_term_yet(interval):
    plain = run(trainer_of(), 2)
    trainer = trainer_of({"begins": Begins(interval=interval)})
    trainer = run(trainer, 2)
    if interval == 1:
        close(trainer.state.generator, plain.state.generator, atol=0)
    assert updates_of(trainer.state.generator_optimizer) == {2}
    assert "generator/size" not in trainer.recent_terms
    run(trainer, 1)
    assert "generator/size" in trainer.recent_terms


class Remembering(PlainLoss):
    """Remembers, as a penalty may."""

    def state(self, data):
        return Mean().state(data)

    def generator_loss(self, D, real, fake):
        logits = D(fake)
        D.observe(mean=logits.mean())
        return {"adversarial": F.softplus(D.state.mean - logits).mean()}

    def remember(self, state, observed):
        state.mean.lerp_(observed["mean"], 0.5)


def test_the_memory_of_a_loss_is_part_of_checkpoints_and_of_no_network():
    trainer = run(trainer_of(loss=Remembering()), 2)
    assert trainer.state.memories[LOSS].mean != 0
    files = trainer.state.tensors()
    assert set(files[LOSS]) == {"mean", "updates"}
    assert not any(
        "mean" in name for word in ("generator", "discriminator") for name in files[word]
    )


# What is refused --------------------------------------------------------------------------------


class Needy(Size):
    """Needs what small networks give if they are asked."""

    needs_generator_parts = ("w",)


class NeedyOfD(Size):
    """Needs what small networks give if they are asked."""

    needs_discriminator_parts = ("features", "classes")


class ForImages(Size):
    """Serves images."""

    def fits(self, data):
        return data.is_image


class OfTheBatch(Size):
    """Looks at its batch as a whole."""

    needs_whole_batch = True


class LossOfTheBatch(PlainLoss):
    """Looks at its batch as a whole."""

    needs_whole_batch = True


class SecondAdversary(Penalty):
    """Has a term of the loss's name."""

    def generator_terms(self, D, real, fake):
        return {"adversarial": fake.mean()}


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        (
            {"penalties": {"own": Needy()}},
            "the penalty 'own' needs 'w' of the generator of 'SmallNetworks', and it gives none; "
            "choose another architecture",
        ),
        (
            {
                "penalties": {"own": NeedyOfD()},
                "networks": SmallNetworks(discriminator_gives=("features",)),
                "data": DataSpec(shape=(3,), classes=2),
            },
            "the penalty 'own' needs 'classes' of the discriminator of 'SmallNetworks', and it "
            "gives features; choose another architecture",
        ),
        (
            {"penalties": {"own": ForImages()}},
            "the penalty 'own' does not fit these samples, vectors of 3; drop it",
        ),
        (
            {"penalties": {"own": OfTheBatch()}, "accumulate": 2},
            "the penalty 'own' looks at its batch as a whole: drop train.accumulate",
        ),
        (
            {"loss": LossOfTheBatch(), "accumulate": 2},
            "the loss looks at its batch as a whole: drop train.accumulate",
        ),
        (
            {"accumulate": 3},
            "train.batch_size must be a multiple of the 3 parts of train.accumulate; it is 8",
        ),
        (
            {"accumulate": 2, "reuse_fakes": True},
            "train.reuse_fakes keeps what train.accumulate is to save: choose one of them",
        ),
        (
            {"clip_norm": 1.0, "precision": "fp16"},
            "train.clip_norm cannot clip the scaled gradients of fp16; choose bf16",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_does_not_fit_is_refused_before_the_first_step(given, wrong):
    with pytest.raises(InputError) as caught:
        trainer_of(**given)
    assert str(caught.value) == wrong


def test_two_terms_of_one_name_are_refused():
    with pytest.raises(InputError, match=r"^the penalty 'own' names a term 'adversarial', which"):
        run(trainer_of({"own": SecondAdversary()}), 1)
