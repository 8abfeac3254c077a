"""What is shown of an update before it is done, and that nobody's looking changes a run."""

import pytest
import torch

from ganzoo.registry import DATASET
from ganzoo.resolve import resolve
from ganzoo.training.prepare import build_trainer

STEPS = 3


def trainer_of(loss="non-saturating", architecture="mlp", data="ring", **settings):
    small = {
        "mlp": {"arch.hidden": (8, 8), "arch.z_dim": 2},
        "dcgan": {"arch.base_channels": 4, "arch.z_dim": 8, "data.image_size": 16},
        "sngan": {"arch.base_channels": 4, "arch.z_dim": 8},
    }[architecture]
    given = {"train.batch_size": 8, "train.device": "cpu", "train.steps": STEPS, **settings}
    config = resolve(architecture, loss, data, {**small, **given})
    return build_trainer(config, config.data.build(DATASET).read())


def look_at_everything(seen):
    def on_update(update):
        torch.manual_seed(0)  # what a careless onlooker does
        torch.rand(5)
        seen.append(
            {
                "which": (update.step, update.network, update.update),
                "fake": update.fake.clone(),
                "real": update.real.clone(),
                "terms": {name: each.clone() for name, each in update.terms.items()},
                "real_logits": update.judge(update.real),
                "fake_logits": update.judge(update.fake),
                "towards": update.fake_gradients(),
                "norm": update.gradient_norm(),
            }
        )

    return on_update


def train(trainer, on_update=None):
    trainer.on_update = on_update
    terms = [trainer.step() for _ in range(STEPS)]
    state = trainer.state
    optimizers = [state.generator_optimizer, state.discriminator_optimizer]
    found = {
        f"{name} {key}": value
        for name in ("generator", "discriminator", "generator_ema")
        for key, value in getattr(state, name).state_dict().items()
    }
    for number, optimizer in enumerate(optimizers):
        for index, slots in optimizer.state_dict()["state"].items():
            found |= {f"{number} {index} {key}": value for key, value in slots.items()}
    for number, each in enumerate(terms):
        for network, values in vars(each).items():
            found |= {f"{number} {network} {name}": value for name, value in values.items()}
    return found, torch.get_rng_state()


@pytest.mark.parametrize(
    ("loss", "settings"),
    [
        ("non-saturating", {}),
        ("non-saturating", {"train.n_critic": 3}),
        ("non-saturating", {"train.reuse_fakes": True}),
        ("non-saturating", {"train.accumulate": 2, "train.clip_norm": 0.1}),
        ("non-saturating", {"train.penalty": "r1", "penalty.r1.interval": 2}),
        ("wgan-gp", {"train.n_critic": 1}),
        ("wgan-gp", {"train.n_critic": 3, "train.reuse_fakes": True}),
        ("r3gan", {"train.n_critic": 1}),
        ("r3gan", {"train.n_critic": 3}),
        ("unrolled", {"loss.unrolled_steps": 2}),
        ("unrolled", {"loss.unrolled_steps": 2, "train.n_critic": 3}),
        # Batch norm, spectral norm, and samples that random changes pass through.
        ("non-saturating", {"architecture": "dcgan", "data": "digits"}),
        (
            "hinge",
            {
                "architecture": "sngan",
                "data": "digits",
                "train.augment": "ada",
                "train.n_critic": 2,
            },
        ),
        (
            "non-saturating",
            {"architecture": "dcgan", "data": "digits", "train.reuse_fakes": True},
        ),
    ],
)
def test_a_watched_run_is_the_same_to_the_byte(loss, settings):
    settings = dict(settings)
    where = {name: settings.pop(name) for name in ("architecture", "data") if name in settings}
    seen = []
    trainer = trainer_of(loss, **where, **settings)
    watched, watched_rng = train(trainer, look_at_everything(seen))
    alone, rng = train(trainer_of(loss, **where, **settings))
    assert watched.keys() == alone.keys()
    assert [name for name in alone if not torch.equal(alone[name], watched[name])] == []
    assert torch.equal(rng, watched_rng)
    n_critic = trainer.options.n_critic
    turn = [("discriminator", i) for i in range(n_critic)] + [("generator", 0)]
    assert [each["which"] for each in seen] == [
        (step, *which) for step in range(1, STEPS + 1) for which in turn
    ], "the main update of each network, and no lazy one"
    for each in seen:
        assert each["fake"].shape == each["real"].shape == each["towards"].shape
        assert each["fake_logits"].shape == each["real_logits"].shape == (8,)
        assert all(value.isfinite().all() for value in (each["towards"], each["norm"]))
        assert each["towards"].abs().sum() > 0


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize(
    ("loss", "architecture"), [("non-saturating", "mlp"), ("r3gan", "mlp"), ("hinge", "dcgan")]
)
def test_fakes_are_told_where_the_generator_is_told_to_move_them(loss, architecture, parts):
    data = "ring" if architecture == "mlp" else "digits"
    trainer = trainer_of(loss, architecture, data, **{"train.accumulate": parts})
    arrived, seen = [], []
    inner = type(trainer.loss).generator_loss

    class Told(type(trainer.loss)):
        def generator_loss(self, D, real, fake):
            if not fake.is_leaf:  # in training, and not when the gradient is asked for
                fake.register_hook(arrived.append)
            return inner(self, D, real, fake)

    trainer.loss = Told(**trainer.loss.model_dump())
    trainer.on_update = look_at_everything(seen)
    trainer.step()
    torch.testing.assert_close(seen[-1]["towards"], -torch.cat(arrived), rtol=1e-4, atol=1e-7)


def test_the_numbers_are_those_of_the_update():
    trainer, seen, kept = trainer_of(), [], {}
    look = look_at_everything(seen)

    def on_update(update):
        look(update)
        network = getattr(trainer.state, update.network)
        kept[update.network] = [each.clone() for each in network.parameters()]
        if update.network == "generator":
            with torch.no_grad():
                found = trainer.state.discriminator(update.fake)["logits"]
            assert torch.equal(update.judge(update.fake), found)
            made = update.inputs.outputs(trainer.state.generator)["samples"]
            assert torch.equal(update.fake, made), "with the latents that are shown"

    trainer.on_update = on_update
    terms = trainer.step()
    of_discriminator, of_generator = seen
    assert of_discriminator["terms"] == terms.discriminator
    assert of_generator["terms"] == terms.generator
    for each, name in ((of_discriminator, "discriminator"), (of_generator, "generator")):
        network = getattr(trainer.state, name)
        norm = torch.nn.utils.get_total_norm([p.grad for p in network.parameters()])
        if name == "generator":
            assert torch.equal(each["norm"], norm)
        before, after = kept[name], list(network.parameters())
        assert any(not torch.equal(one, other) for one, other in zip(before, after, strict=True))


@pytest.mark.parametrize("architecture", ["acgan", "infogan"])
def test_a_discriminator_with_classes_or_more_to_say_is_asked_for_logits(architecture):
    seen = []
    settings = {"arch.base_channels": 4, "train.batch_size": 10, "train.device": "cpu"}
    config = resolve(architecture, None, "digits", settings)
    trainer = build_trainer(config, config.data.build(DATASET).read())
    trainer.on_update = look_at_everything(seen)
    trainer.step()
    assert [each["fake_logits"].shape for each in seen] == [(10,)] * len(seen)
    assert seen[-1]["towards"].abs().sum() > 0
