"""Numbers that change over a run: how they are written, what they are, and what they forbid."""

import json
import math
import shlex

import pytest
import torch

import crash
import ganzoo
from ganzoo.api.training import resume
from ganzoo.config import RunConfig
from ganzoo.errors import InputError
from ganzoo.protocols.progress import Progress
from ganzoo.protocols.schedule import Schedule
from ganzoo.registry import DATASET
from ganzoo.resolve import change_config, resolve
from ganzoo.runs.reproduce import train_command
from ganzoo.training.optimizers import ema_decay
from ganzoo.training.prepare import build_trainer
from tiny import TINY, Stopper

SETTINGS = {"arch.hidden": (8,), "data.image_size": 8}
LR = "train.generator_lr"
CRITIC = "train.n_critic"
DRIFT = """
from pydantic import Field
from ganzoo import Penalty

class Wander(Penalty):
    "Keeps logits near 0."
    weight: float = Field(default=1.0, ge=0, description="Weight.")
    power: int = Field(default=2, ge=1, description="Power.")

    def discriminator_terms(self, D, real, fake):
        return {"wander": self.weight * D.recall(real).abs().pow(self.power).mean()}

class Sure(Wander):
    "Looks at the length of the run."
    depends_on_steps = True
"""


@pytest.fixture
def wander(plugin):
    points = {"wander": "acme_wander:Wander", "sure": "acme_wander:Sure"}
    plugin("acme-wander", DRIFT, {"ganzoo.penalties": points})


def at(share, images=0):
    return Progress(step=int(1000 * share), steps=1000, images=images)


# How they are written ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("constant(3)", {0: 3, 0.5: 3, 1: 3}),
        ("linear(1, 3)", {0: 1, 0.5: 2, 1: 3}),
        ("linear(1, 3, from=0.5)", {0: 1, 0.5: 1, 0.75: 2, 1: 3}),
        ("linear(1, 3, from=20%, to=60%)", {0.2: 1, 0.4: 2, 0.6: 3, 1: 3}),
        ("cosine(1, 3)", {0: 1, 0.25: 2 - math.cos(math.pi / 4), 0.5: 2, 1: 3}),
        ("piecewise(0: 1, 0.5: 3, 1: 2)", {0: 1, 0.25: 2, 0.5: 3, 0.75: 2.5, 1: 2}),
        ("piecewise(0: 1, 0.5: 3, curve=cosine)", {0.25: 2, 1: 3}),
        ("half-life(8, 0.25)", {0: 8, 0.25: 4, 0.5: 2, 1: 0.5}),
        ("linear([0, 1], [1, 2])", {0: (0, 1), 0.5: (0.5, 1.5), 1: (1, 2)}),
        ("linear((0, 1), (1, 2))", {0.5: (0.5, 1.5)}),
    ],
)
def test_a_schedule_over_the_run(text, values):
    schedule = Schedule.parse(text)
    for share, value in values.items():
        assert schedule.at(at(share)) == pytest.approx(value), share


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("linear(1, 3, to=100 images)", {0: 1, 50: 2, 100: 3, 1000: 3}),
        ("cosine(2e-4, 5e-5, to=20M images)", {0: 2e-4, 10_000_000: 1.25e-4, 30_000_000: 5e-5}),
        ("linear(1, 3, from=1k images, to=3k images)", {0: 1, 2000: 2}),
        ("piecewise(0: 1, 200k images: 2)", {100_000: 1.5}),
        ("half-life(8, 100 images)", {0: 8, 100: 4, 300: 1}),
        ("half-life(8, 100 images, from=50 images)", {0: 8, 50: 8, 150: 4}),
    ],
)
def test_a_schedule_over_images(text, values):
    schedule = Schedule.parse(text)
    for images, value in values.items():
        assert schedule.at(at(0, images)) == pytest.approx(value), images


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("linear(1, 3, to=100 steps)", {0: 1, 50: 2, 100: 3, 1000: 3}),
        ("piecewise(0: 1, 2k steps: 3)", {1000: 2}),
        ("piecewise(0: 1, 25 steps: 1, 25 steps: 5)", {0: 1, 24: 1, 25: 5, 26: 5, 900: 5}),
        ("half-life(8, 100 steps, from=50 steps)", {0: 8, 50: 8, 150: 4}),
    ],
)
def test_a_schedule_over_steps(text, values):
    schedule = Schedule.parse(text)
    for step, value in values.items():
        assert schedule.at(Progress(step=step, steps=10, images=7)) == pytest.approx(value), step


TEXTS = (
    "constant(0.0002)",
    "constant([0, 0.99])",
    "linear(1, 3)",
    "linear(1, 3, from=0.5)",
    "linear(1, 3, to=0.5)",
    "cosine(0.0002, 5e-05, to=20000000 images)",
    "cosine([0, 0.9], [0, 0.99], from=0.1, to=0.2)",
    "piecewise(0: 1, 0.5: 3, 1: 2)",
    "piecewise(0: 1, 0.5: 3, 1: 2, curve=cosine)",
    "piecewise(0 images: 1, 50 images: 3, 100 images: 2)",
    "half-life(8, 0.25)",
    "half-life(8, 100 images)",
    "half-life(8, 100 images, from=50 images)",
    "piecewise(0 steps: 0.004, 120 steps: 0.004, 120 steps: 0.001)",
    "cosine(1, 2, from=10 steps, to=800 steps)",
    "constant(0.0012345678912345)",
    "constant([0.1, 0.12345678912345678])",
)


@pytest.mark.parametrize("text", TEXTS)
def test_a_schedule_is_printed_as_it_is_read(text):
    schedule = Schedule.parse(text)
    assert str(schedule) == text
    assert Schedule.parse(str(schedule)) == schedule
    assert Schedule.model_validate(json.loads(schedule.model_dump_json())) == schedule


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("quadratic(1, 2)", "is no schedule; write linear(FROM, TO)"),
        ("linear(1)", "is not a schedule as ganzoo reads it"),
        ("linear(1, 2, 3)", "is not a schedule as ganzoo reads it"),
        ("linear(1, two)", "is not a schedule as ganzoo reads it"),
        ("linear(1, 2, until=0.5)", "is not a schedule as ganzoo reads it"),
        ("linear(1, 2, to=2)", "a share of the run is from 0 to 1; write images"),
        ("linear(1, 2, to=20k)", "is not a schedule as ganzoo reads it"),
        ("linear(1, 2, from=0.5, to=20k images)", "is not a schedule as ganzoo reads it"),
        ("linear(1, 2, from=10 images)", "is not a schedule as ganzoo reads it"),
        ("linear(1, 2, from=10 steps)", "is not a schedule as ganzoo reads it"),
        ("linear(1, 2, from=10 steps, to=20 images)", "is not a schedule as ganzoo reads it"),
        ("linear(1, 2, from=0.6, to=0.4)", "the places of a schedule must be in order"),
        ("linear(1, [2, 3])", "must hold equally many numbers"),
        ("half-life(0, 0.5)", "a value with a half-life must be above 0"),
        ("piecewise()", "is not a schedule as ganzoo reads it"),
    ],
)
def test_what_is_no_schedule_is_refused(text, why):
    with pytest.raises(InputError) as caught:
        Schedule.parse(text)
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"train.batch_size": "linear(8, 16)"}, "train.batch_size cannot follow a schedule"),
        ({"train.steps": "linear(8, 16)"}, "train.steps cannot follow a schedule"),
        ({"arch.hidden": "linear(8, 16)"}, "cannot follow a schedule"),
        ({LR: "linear(1e-3, -1)"}, "option 'train.generator_lr'"),
        ({CRITIC: "linear(1, 5)"}, "train.n_critic changes in jumps from one whole number"),
        ({CRITIC: "half-life(4, 10 steps)"}, "train.n_critic changes in jumps"),
        ({CRITIC: "piecewise(0: 1, 9 images: 1, 9 images: 2)"}, "train.n_critic changes in jumps"),
        ({CRITIC: "constant(2.5)"}, "train.n_critic changes in jumps from one whole number"),
        ({CRITIC: "piecewise(0: 1, 0.5: 1, 0.5: 2000)"}, "option 'train.n_critic': input should"),
        (
            {LR: "linear(1e-3, 1e-4)", "train.lr_decay": "cosine"},
            "train.generator_lr follows a schedule, and train.lr_decay=cosine another: add --set "
            "train.lr_decay=none",
        ),
        ({"penalty.wander.weight": "linear(1, 0)"}, "of no penalty of this run"),
        (
            {"train.penalty": "wander", "penalty.wander.power": "linear(1, 2)"},
            "penalty.wander.power cannot follow a schedule",
        ),
        (
            {"train.penalty": "wander", "penalty.wander.weight": "linear(1, -1)"},
            "option 'penalty.wander.weight'",
        ),
    ],
    ids=str,
)
@pytest.mark.usefixtures("wander")
def test_a_schedule_of_what_may_not_follow_it_is_refused(settings, why):
    with pytest.raises(InputError) as caught:
        resolve("mlp", None, "digits", {"train.recipe": "paper", **settings})
    assert why in str(caught.value)


# In a training ----------------------------------------------------------------------------------


def trainer_of(**settings):
    given = {"train.recipe": "paper", "train.device": "cpu", "train.batch_size": 8, **SETTINGS}
    config = resolve("mlp", "hinge", "digits", {**given, **settings})
    return build_trainer(config, config.data.build(DATASET).read())


def groups_after(trainer, steps):
    with torch.random.fork_rng():
        for _ in range(steps):
            trainer.step()
            state = trainer.state
            yield (
                state.generator_optimizer.param_groups[0],
                state.discriminator_optimizer.param_groups[0],
                trainer,
            )


def test_the_optimisers_follow_step_by_step():
    trainer = trainer_of(
        **{
            "train.steps": 10,
            LR: "cosine(1e-3, 1e-4)",
            "train.discriminator_lr": "linear(1e-3, 0.5e-3, to=40 images)",
            "train.betas": "linear([0, 0.9], [0.5, 0.99], to=0.5)",
            "train.eps": "half-life(1e-6, 0.1)",
        }
    )
    for step, (of_g, of_d, _) in enumerate(groups_after(trainer, 10)):
        share = step / 10
        falling = (1 + math.cos(math.pi * share)) / 2
        assert of_g["lr"] == pytest.approx(1e-4 + 9e-4 * falling)
        assert of_d["lr"] == pytest.approx(1e-3 - 0.5e-3 * min(1, 8 * step / 40))
        done = min(1, 2 * share)
        assert of_g["betas"] == pytest.approx((0.5 * done, 0.9 + 0.09 * done))
        assert of_d["eps"] == pytest.approx(1e-6 / 2**step)


@pytest.mark.usefixtures("wander")
def test_an_option_of_a_penalty_follows():
    given = {"train.penalty": "wander", "train.steps": 4}
    plain = trainer_of(**given)
    changing = trainer_of(**given, **{"penalty.wander.weight": "linear(2, 0, from=25%)"})
    found = []
    for one, other in zip(groups_after(plain, 2), groups_after(changing, 2), strict=True):
        wanders = [each[2].recent_terms["discriminator/wander"].item() for each in (other, one)]
        found.append(wanders[0] / wanders[1])
    # Other weights than the plain run's make another discriminator from the second step on.
    assert found[0] == pytest.approx(2)
    parts = [changing.parts_now().penalties["wander"].weight]
    for _ in groups_after(changing, 2):
        parts.append(changing.parts_now().penalties["wander"].weight)
    assert parts == pytest.approx([4 / 3, 2 / 3, 0])


@pytest.mark.usefixtures("wander")
def test_a_configuration_with_a_schedule_survives_json():
    given = {"train.penalty": "wander", "penalty.wander.weight": "linear(2, 1)"}
    given |= {"train.recipe": "paper"}
    config = resolve("mlp", "hinge", "digits", {**given, LR: "cosine(2e-4, 5e-5)"})
    stored = json.loads(json.dumps(config.model_dump(mode="json"), allow_nan=False))
    assert stored["train"]["generator_lr"] == 2e-4
    assert stored["schedules"][LR] == {
        "curve": "cosine",
        "over": "run",
        "points": [[0.0, 2e-4], [1.0, 5e-5]],
    }
    assert RunConfig.model_validate(stored) == config
    plain = resolve("mlp", "hinge", "digits").model_dump(mode="json")
    assert not {"schedules", "penalties"} & plain.keys()


@pytest.mark.usefixtures("wander")
def test_changes_name_schedules_and_penalties():
    given = {"train.recipe": "paper", LR: "cosine(2e-4, 5e-5)"}
    config = resolve("mlp", "hinge", "digits", given)
    changed = change_config(
        config, {}, {LR: 1e-4, "train.penalty": "wander", "train.clip_norm": "linear(1, 2)"}
    )
    assert config.changes(changed) == {
        LR: ("cosine(0.0002, 5e-05)", 1e-4),
        "train.penalty": (None, "wander"),
        "train.clip_norm": (0.0, "linear(1, 2)"),
    }
    heavier = change_config(changed, {}, {"penalty.wander.weight": 3.0})
    assert changed.changes(heavier) == {"penalty.wander.weight": (1.0, 3.0)}
    assert heavier.schedules == changed.schedules


# Longer runs, forks and the command -------------------------------------------------------------


def train(out, observer=None, **settings):
    return ganzoo.train(
        "mlp",
        "hinge",
        "digits",
        out=out,
        settings={**SETTINGS, **settings},
        observer=observer,
        **TINY,
    )


@pytest.mark.parametrize(
    "settings",
    [
        {LR: "cosine(2e-4, 5e-5)"},
        {"train.penalty": "wander", "penalty.wander.weight": "linear(1, 0)"},
        {"train.penalty": "sure"},
    ],
    ids=str,
)
@pytest.mark.usefixtures("wander")
def test_a_run_that_depends_on_its_length_is_not_made_longer_but_forked(settings):
    run = train("run", **settings)
    with pytest.raises(InputError) as caught:
        resume("run", {"train.steps": 6})
    assert "train.steps: 4 -> 6, which its finished steps depend on" in str(caught.value)
    assert "ganzoo train --fork run --steps 6" in str(caught.value)
    forked = ganzoo.train(fork=run, out="forked", steps=6)
    assert forked.config().schedules == run.config().schedules
    assert (forked.path / "checkpoints" / "00000006").is_dir()


@pytest.mark.usefixtures("wander")
def test_a_schedule_over_images_lets_a_run_become_longer():
    longer = ganzoo.train(
        "mlp",
        "hinge",
        "digits",
        out="longer",
        settings={**SETTINGS, LR: "linear(2e-4, 1e-4, to=40 images)"},
        **{**TINY, "steps": 6},
    )
    train("run", **{LR: "linear(2e-4, 1e-4, to=40 images)"})
    extended = resume("run", {"train.steps": 6})
    ends = [f"checkpoints/00000006/{name}.safetensors" for name in ("generator", "discriminator")]
    one, other = crash.content(longer.path), crash.content(extended.path)
    assert [one[name] for name in ends] == [other[name] for name in ends]


@pytest.mark.usefixtures("wander")
def test_a_run_under_schedules_is_resumed_to_the_same_bytes():
    settings = {
        LR: "cosine(2e-3, 5e-5)",
        "train.penalty": "wander",
        "penalty.wander.weight": "half-life(1, 20%)",
        "train.ema_half_life": "linear(0, 100)",
    }
    whole = train("whole", **settings)
    with pytest.raises(ganzoo.errors.Interrupted):
        train("stopped", Stopper(3), **settings)
    stopped = resume("stopped")
    assert crash.difference(crash.content(whole.path), crash.content(stopped.path)) == []


# Discriminator updates of a step ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "updates"),
    [
        ("constant(3)", [3] * 10),
        ("piecewise(0: 4, 3 steps: 4, 3 steps: 1)", [4] * 3 + [1] * 7),
        ("piecewise(0: 1, 35%: 1, 35%: 2, 80%: 2, 0.8: 5)", [1] * 4 + [2] * 4 + [5] * 2),
        # One that is changed and changed back within a step.
        ("piecewise(2 steps: 1, 2 steps: 3, 4 steps: 3, 4 steps: 1)", [1] * 3 + [3] + [1] * 6),
        ("piecewise(0: 2, 50 steps: 2, 50 steps: 1)", [2] * 10),
    ],
)
def test_updates_are_counted_as_they_are_done(text, updates):
    trainer = trainer_of(**{"train.steps": 10, "train.batch_size": 4, CRITIC: text})
    setup, seen = trainer.setup, []
    trainer.on_update = seen.append
    done, total = [], 0
    for step in range(10):
        assert setup.progress_at(step).updates == total
        assert setup.progress_at(step).images == 4 * total
        trainer.step()
        done.append(sum(each.network == "discriminator" for each in seen))
        total += done[-1]
        seen.clear()
    assert done == updates
    assert setup.progress_at(10).updates == sum(updates)


def test_the_average_forgets_by_the_images_that_were_shown():
    options = resolve("mlp", "hinge", "ring", {"train.ema_half_life": 1e9}).train
    options = options.model_copy(update={"n_critic": 2, "batch_size": 4, "ema_ramp": 0.5})
    now = Progress(step=10, images=400)
    assert ema_decay(options, now) == pytest.approx(0.5 ** (2 * 4 / (0.5 * 400)))


def test_metrics_and_scores_count_the_images_that_were_shown():
    settings = {CRITIC: "piecewise(0: 3, 2 steps: 3, 2 steps: 1)", "train.eval_every": 2}
    settings |= {"train.eval_samples": 100}
    run = train("run", **settings)
    rows = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    seen = {row["step"]: row["images_seen"] for row in rows if "images_seen" in row}
    assert seen == {2: 6 * 8, 4: 8 * 8}
    scores = [json.loads(line) for line in (run.path / "scores.jsonl").read_text().splitlines()]
    assert {row["step"]: row["images_seen"] for row in scores} == seen


@pytest.mark.parametrize("stop", [1, 3])
def test_a_run_whose_critic_changes_is_resumed_to_the_same_bytes(stop):
    settings = {
        CRITIC: "piecewise(0: 3, 2 steps: 3, 2 steps: 1)",
        "train.penalty": "r1",
        "penalty.r1.interval": 2,
        LR: "linear(2e-4, 1e-4, to=40 images)",
        "train.reuse_fakes": True,
    }
    whole = train("whole", **settings)
    with pytest.raises(ganzoo.errors.Interrupted):
        train("stopped", Stopper(stop), **settings)
    stopped = resume("stopped")
    assert crash.difference(crash.content(whole.path), crash.content(stopped.path)) == []
    longer = resume("stopped", {"train.steps": 5})
    assert longer.config().train.steps == 5, "its jumps do not depend on its length"


def test_a_strangers_schedule_that_cannot_be_counted_is_one_line():
    run = train("run", **{CRITIC: "piecewise(0: 3, 2 steps: 3, 2 steps: 1)"})
    path = run.path / "config.json"
    tree = json.loads(path.read_text())
    for points in ([[0, 3], [2, 1]], [[0, 3], [2, 3], [2, -1]], [[0, 1.5]]):
        tree["schedules"][CRITIC]["points"] = points
        path.write_text(json.dumps(tree))
        with pytest.raises(InputError, match="is not a run's configuration"):
            run.config()


def test_the_command_says_the_jumps(ganzoo_cli):
    given = {**SETTINGS, CRITIC: "piecewise(0 steps: 3, 2 steps: 3, 2 steps: 1)"}
    given |= {LR: "piecewise(0: 1e-3, 2 steps: 1e-3, 2 steps: 0.00012345678912345)"}
    config = resolve("mlp", "hinge", "digits", given)
    assert config.train.lr_decay == "cosine", "the rate also falls"
    _, *words = shlex.split(train_command(config).replace("\\\n", " "))
    result = ganzoo_cli(*words, "--dry-run")
    assert result.code == 0, result
    assert json.loads(result.out) == config.model_dump(mode="json")


@pytest.mark.usefixtures("wander")
def test_the_command_says_penalties_and_schedules(ganzoo_cli):
    given = {
        **SETTINGS,
        "train.recipe": "paper",
        LR: "cosine(2e-4, 5e-5)",
        "train.betas": "linear([0, 0.9], [0, 0.99], to=20k images)",
        "train.penalty": "wander",
        "penalty.wander.weight": "linear(2, 1)",
        "penalty.wander.interval": 4,
    }
    config = resolve("mlp", "hinge", "digits", given)
    _, *words = shlex.split(train_command(config).replace("\\\n", " "))
    result = ganzoo_cli(*words, "--dry-run")
    assert result.code == 0, result
    assert json.loads(result.out) == config.model_dump(mode="json")


@pytest.mark.usefixtures("wander")
def test_a_fork_may_have_another_loss_and_penalty(ganzoo_cli):
    train("run", **{"train.penalty": "wander"})
    forked = ganzoo.train(
        fork="run", out="forked", loss="wgan", settings={"train.penalty": "sure"}, steps=6
    )
    config = forked.config()
    assert (config.loss.name, [each.name for each in config.penalties]) == ("wgan", ["sure"])
    lines = [json.loads(line) for line in (forked.path / "metrics.jsonl").read_text().splitlines()]
    assert "discriminator/wander" in lines[-1]
    shown = ganzoo_cli("train", "--fork", "run", "--steps", "6", "--penalty", "sure", "--dry-run")
    assert [each["name"] for each in json.loads(shown.out)["penalties"]] == ["sure"]
