"""Penalties and schedules as a person names them: in commands, files, applications and Python."""

import json
import re
import shlex
from pathlib import Path

import pytest

import ganzoo
from ganzoo.cards.card import build_card
from ganzoo.cli.common import complete_names
from ganzoo.config import RunConfig
from ganzoo.errors import InputError
from ganzoo.registry import PENALTY
from ganzoo.resolve import resolve
from ganzoo.runs.reproduce import train_command
from tiny import TINY

CODE = """
from pydantic import Field
from ganzoo import Architecture, Loss, Penalty, Recipe
from ganzoo_zoo.families.mlp import MLP
from ganzoo_zoo.losses.non_saturating import NonSaturating

class Calm(Penalty):
    "Keeps the logits of reals near 0."

    paper = "Karras et al. 2018, arXiv:1710.10196"
    weight: float = Field(default=0.001, ge=0, description="Weight of the squared logit.")
    file: str = Field(default="none", description="A text.")

    def discriminator_terms(self, D, real, fake):
        return {"calm": self.weight * D.recall(real).square().mean()}

class Wide(Penalty):
    "Keeps fakes wide."

    def generator_terms(self, D, real, fake):
        return {"wide": -0.01 * fake.std(0).mean()}

class Net(MLP):
    "Has a recipe with a penalty and schedules."
    recipe = Recipe(
        loss="lsgan",
        steps=9,
        settings={
            "train.penalty": ["calm", "wide"],
            "penalty.calm.weight": "linear(4, 2)",
            "penalty.wide.interval": 3,
            "train.discriminator_lr": "cosine(1e-3, 1e-4, to=2k images)",
            "arch.hidden": [8],
        },
    )
    tuned_recipes = ()
    default_loss = "lsgan"

class Heavy(NonSaturating):
    "Has a number."
    weight: float = Field(default=1.0, ge=0, description="A weight.")
"""
POINTS = {
    "ganzoo.penalties": {"calm": "ganzoo_calm:Calm", "wide": "ganzoo_calm:Wide"},
    "ganzoo.architectures": {"calm-net": "ganzoo_calm:Net"},
    "ganzoo.losses": {"heavy": "ganzoo_calm:Heavy"},
}
SMALL = {"arch.hidden": (8,)}
OPTIONS = ["--set=arch.hidden=8", "--recipe=paper", "--batch-size=8", "--device=cpu"]
RATE = "cosine(0.0002, 5e-05)"
WEIGHT = "linear(1, 0)"


@pytest.fixture(autouse=True)
def _penalties(plugin):
    plugin("ganzoo-calm", CODE, POINTS)


@pytest.fixture
def trained():
    """A finished run with two penalties and two schedules."""
    return ganzoo.train(
        "mlp",
        "non-saturating",
        "ring",
        out="trained",
        penalty=("calm", "wide"),
        generator_lr="cosine(2e-4, 5e-5)",
        settings={**SMALL, "penalty.calm.weight": "linear(1, 0)", "penalty.wide.interval": 4},
        **TINY,
    )


def planned(ganzoo_cli, *arguments):
    """Return the configuration that a command would train."""
    result = ganzoo_cli("train", *arguments, "--dry-run")
    assert result.code == 0, result.err
    return json.loads(result.out)


def names(config):
    return [each["name"] for each in config.get("penalties", ())]


# Names and options ------------------------------------------------------------------------------


def test_a_run_holds_its_penalties_and_schedules_as_data(trained):
    stored = json.loads((trained.path / "config.json").read_text())
    assert names(stored) == ["calm", "wide"]
    assert stored["penalties"][0]["options"] == {"interval": 1, "weight": 1.0, "file": "none"}
    assert stored["schedules"] == {
        "train.generator_lr": {
            **{"curve": "cosine", "over": "run"},
            "points": [[0.0, 0.0002], [1.0, 0.00005]],
        },
        "penalty.calm.weight": {
            **{"curve": "linear", "over": "run"},
            "points": [[0.0, 1.0], [1.0, 0.0]],
        },
    }
    assert RunConfig.model_validate(stored) == trained.config()
    logged = [
        json.loads(line) for line in (trained.path / "metrics.jsonl").read_text().split("\n")[:-1]
    ]
    assert all("discriminator/calm" in row for row in logged)
    assert ["generator/wide" in row for row in logged] == [True, False]


def test_files_of_a_run_without_them_do_not_name_them():
    run = ganzoo.train("mlp", "non-saturating", "ring", out="run", settings=SMALL, **TINY)
    for path in (run.path / "config.json", run.model / "config.json"):
        assert not {"penalties", "schedules"} & json.loads(path.read_text()).keys()


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (["--penalty", "calm"], ["calm"]),
        (["--penalty", "wide", "--penalty", "calm"], ["wide", "calm"]),
        (["--penalty", "wide, calm"], ["wide", "calm"]),
        (["--penalty", "ganzoo-calm:calm"], ["calm"]),
        (["--set", "train.penalty=calm,wide"], ["calm", "wide"]),
        (["--set", "train.penalty="], []),
    ],
)
def test_penalties_are_named_in_several_ways(ganzoo_cli, given, found):
    assert names(planned(ganzoo_cli, "mlp", "--data=ring", *given)) == found


def test_an_option_is_set_by_the_name_with_or_without_its_package(ganzoo_cli):
    for owner in ("calm", "ganzoo-calm:calm"):
        given = ["--penalty=ganzoo-calm:calm", f"--set=penalty.{owner}.weight=linear(3, 1)"]
        config = planned(ganzoo_cli, "mlp", "--data=ring", *given)
        assert config["penalties"][0]["options"]["weight"] == 3.0
        assert list(config["schedules"]) == ["penalty.calm.weight"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--penalty=clam"], "no penalty is called 'clam'; did you mean 'calm'?"),
        (["--penalty=ganzoo:calm"], "no penalty is called 'ganzoo:calm'; did you mean 'calm'?"),
        (["--penalty=calm,calm"], "two penalties of this run are called the same: calm, calm"),
        (["--penalty=calm,"], "give penalties by name, not ''"),
        (
            ["--penalty=calm", "--set=penalty.calm.wieght=1"],
            "unknown option 'penalty.calm.wieght'; did you mean 'weight'?",
        ),
        (
            ["--penalty=calm", "--set=penalty.calm.weight=-1"],
            "option 'penalty.calm.weight': input should be greater than or equal to 0, got '-1'",
        ),
        (
            ["--penalty=calm", "--set=penalty.wide.interval=2"],
            "'penalty.wide.interval' is an option of no penalty of this run; write "
            "penalty.NAME.OPTION beside --penalty NAME",
        ),
        (
            ["--penalty=calm", "--set=train.penalty=wide"],
            "train.penalty is given twice: by its own option and by --set",
        ),
        (
            ["--penalty=calm", "--set=penalty.calm.weight=linear(1, -1)"],
            "option 'penalty.calm.weight': input should be greater than or equal to 0, got -1.0",
        ),
        (
            ["--penalty=calm", "--set=penalty.calm.interval=linear(1, 2)"],
            "penalty.calm.interval cannot follow a schedule: numbers of the loss, of",
        ),
        (
            ["--set=train.generator_lr=linear(1e-3, 0.1, to=20)"],
            "train.generator_lr: linear(1e-3, 0.1, to=20) is no schedule: a share of the run is "
            "from 0 to 1; write images, as in '20M images'",
        ),
        (
            ["--recipe=tuned", "--set=train.generator_lr=linear(1e-3, 1e-4)"],
            "train.generator_lr follows a schedule, and train.lr_decay=cosine another: add --set "
            "train.lr_decay=none",
        ),
        (["--r1-gamma=3"], "No such option: --r1-gamma; did you mean --penalty?"),
        (
            ["--grad-clip=3"],
            "No such option: --grad-clip; did you mean --set train.clip_norm=VALUE?",
        ),
    ],
)
def test_mistakes_are_named_in_a_line(refused, given, message):
    words = ["--data=ring", *([] if "--recipe=tuned" in given else ["--recipe=paper"]), *given]
    assert refused("train", "mlp", *words, "--dry-run").startswith(f"Error: {message}")
    assert not Path("runs").exists()


@pytest.mark.parametrize("interval", [1, 2])
def test_a_term_that_the_loss_has_already_is_refused(plugin, refused, interval):
    code = CODE.replace('{"calm":', '{"real":')
    plugin("ganzoo-again", code, {"ganzoo.penalties": {"again": "ganzoo_again:Calm"}})
    given = ["--penalty=again", f"--set=penalty.again.interval={interval}", "--steps=1"]
    assert "the penalty 'again' names a term 'real', which the training has already" in refused(
        "train", "mlp", "--data=ring", "--loss=hinge", *OPTIONS, *given
    )


def test_what_is_installed_is_listed_and_completed(ganzoo_cli):
    listed = ganzoo_cli("list", "penalties").out
    assert re.search(
        r"^  calm +Keeps the logits of reals near 0 \[ganzoo-calm 1.0\]$", listed, re.M
    )
    assert "--penalty" in ganzoo_cli("train", "--help").out
    assert complete_names(PENALTY)("ca") == ["calm"]
    shown = ganzoo_cli("show", "calm").out
    assert shown.startswith("penalty calm, ganzoo-calm 1.0\n  Keeps the logits of reals near 0.\n")
    assert "  weight = 0.001  (float) Weight of the squared logit.\n" in shown


# A run that goes on -----------------------------------------------------------------------------


def test_a_run_is_resumed_with_the_same_alone(trained, ganzoo_cli, refused):
    before = (trained.path / "config.json").read_text()
    same = ["--penalty=calm", "--penalty=wide", f"--set=train.generator_lr={RATE}"]
    assert ganzoo_cli("train", "--resume", "trained", *same).code == 0
    assert (trained.path / "config.json").read_text() == before
    for given, difference in (
        ("--penalty=calm", "penalty.wide.interval: 4 -> None; penalty.wide.package: "),
        ("--set=penalty.calm.weight=1", f"penalty.calm.weight: {WEIGHT} -> 1.0; train a new run"),
        ("--set=train.generator_lr=0.0002", f"train.generator_lr: {RATE} -> 0.0002; train a new"),
    ):
        message = refused("train", "--resume", "trained", given)
        assert message.startswith("Error: the run was started under other options: ")
        assert difference in message or "train.penalty: calm,wide -> calm" in message


def test_a_run_whose_steps_cannot_grow_names_the_command_that_forks_it(
    trained, refused, ganzoo_cli
):
    message = refused("train", "--resume", "trained", "--steps=8")
    assert message == (
        "Error: the run was started under other options: train.steps: 4 -> 8, which its finished "
        "steps depend on\nto go on from there as a new run: ganzoo train --fork trained --steps 8"
    )
    command = shlex.split(message.rpartition(": ")[2])[1:]
    forked = ganzoo_cli(*command, "--out=forked")
    assert forked.code == 0, forked.err
    assert "ganzoo train --fork forked --steps 16" in forked.err
    config = json.loads(Path("forked/config.json").read_text())
    assert (config["train"]["steps"], config["fork"]["step"]) == (8, 4)
    assert "--fork" not in refused("train", "--resume", "trained", "--steps=2")


def test_a_fork_may_have_others(trained):
    fewer = ganzoo.train(fork=trained, out="fewer", steps=6, penalty=("wide",)).config()
    assert [each.name for each in fewer.penalties] == ["wide"]
    assert list(fewer.schedules) == ["train.generator_lr"]
    none = ganzoo.train(fork=trained, out="none", steps=6, penalty=(), generator_lr=3e-4).config()
    assert (none.penalties, none.schedules) == ((), {})
    assert none.train.generator_lr == 3e-4


def test_a_model_brings_the_schedules_of_its_loss_and_no_penalties(ganzoo_cli):
    settings = {**SMALL, "loss.weight": "linear(3, 1)", "penalty.calm.weight": 2}
    ganzoo.train("mlp", "heavy", "ring", out="first", settings=settings, penalty="calm", **TINY)
    config = planned(ganzoo_cli, "--init=first", *OPTIONS[1:])
    assert names(config) == []
    assert config["schedules"].keys() == {"loss.weight"}
    assert config["loss"]["options"]["weight"] == 3.0
    assert "schedules" not in planned(ganzoo_cli, "--init=first", "--set=loss.weight=2")


# Recipes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({}, ["calm", "wide"]),
        ({"train.penalty": "calm"}, ["calm"]),
        ({"train.penalty": ()}, []),
    ],
)
def test_penalties_of_a_recipe_are_replaced_with_their_options(given, found):
    config = resolve("calm-net", data="ring", settings=given)
    assert [each.name for each in config.penalties] == found
    assert ("penalty.calm.weight" in config.schedules) == ("calm" in found)


@pytest.mark.parametrize("owner", ["calm", "ganzoo-calm:calm"])
def test_a_number_takes_the_place_of_a_schedule(owner, trained):
    given = {"train.penalty": "ganzoo-calm:calm", f"penalty.{owner}.weight": 7}
    config = resolve("calm-net", data="ring", settings=given)
    assert config.penalties[0].options["weight"] == 7.0
    assert "penalty.calm.weight" not in config.schedules
    forked = ganzoo.train(fork=trained, out="forked", steps=5, settings=given).config()
    assert forked.penalties[0].options["weight"] == 7.0
    assert "penalty.calm.weight" not in forked.schedules


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"train.penalty": "wide"},
        {"train.penalty": ()},
        {"penalty.calm.weight": 0.001, "penalty.wide.interval": 1},
        {"penalty.calm.weight": "half-life(2, 20%)", "train.eps": "constant(1e-6)"},
        {"train.discriminator_lr": 1e-3, "train.generator_lr": "linear(1e-4, 1e-5, from=10%)"},
        {"train.betas": "piecewise(0: [0.5, 0.9], 1k images: [0, 0.99], curve=cosine)"},
        {"arch.hidden": (256, 256), "train.accumulate": 2, "train.clip_norm": 1.0},
        {"train.penalty": "ganzoo-calm:calm", "penalty.calm.weight": 4},
    ],
)
def test_what_trains_it_again_gives_the_same(ganzoo_cli, settings):
    config = resolve("calm-net", data="ring", settings=settings)
    command = shlex.split(train_command(config, whole=True).replace("\\\n", " "))
    assert planned(ganzoo_cli, *command[2:]) == config.model_dump(mode="json")


def test_what_trains_a_run_with_a_schedule_of_its_loss_again_gives_the_same(ganzoo_cli, trained):
    config = resolve("mlp", "heavy", "ring", {"loss.weight": "linear(1, 2)"})
    command = shlex.split(train_command(config, whole=True).replace("\\\n", " "))
    assert planned(ganzoo_cli, *command[2:]) == config.model_dump(mode="json")
    forked = ganzoo.train(
        fork=trained,
        out="forked",
        steps=6,
        settings={"penalty.calm.weight": 0.001, "penalty.wide.interval": 1},
    ).config()
    command = shlex.split(train_command(forked, whole=True).replace("\\\n", " "))
    wanted = forked.model_dump(mode="json") | {"data_fingerprint": None}
    assert planned(ganzoo_cli, *command[2:]) == wanted


# Where it is shown ------------------------------------------------------------------------------


def test_show_and_the_card_write_schedules_as_text(trained, ganzoo_cli):
    shown = ganzoo_cli("show", "trained").out
    assert f"  penalty calm (ganzoo-calm 1.0): interval=1, weight={WEIGHT}, file=none\n" in shown
    assert "  penalty wide (ganzoo-calm 1.0): interval=4\n" in shown
    assert f"generator_lr={RATE}, discriminator_lr=0.0002, " in shown
    config = json.loads(ganzoo_cli("show", "trained", "--json").out)["config"]
    assert config["schedules"]["penalty.calm.weight"]["points"] == [[0.0, 1.0], [1.0, 0.0]]
    card = build_card(ganzoo.load(trained).config)
    assert "The penalties `calm`, `wide` were added to the loss." in card
    assert "### Penalty `calm`" in card
    assert f"| `weight` | `{WEIGHT}` | Weight of the squared logit. |" in card
    assert f"| `generator_lr` | `{RATE}` |" in card
    assert "Karras et al. 2018" in card


def test_the_report_names_penalties_and_schedules(trained):
    from ganzoo_zoo.apps.report import report

    page = Path(report(trained).file).read_text()
    assert "Penalties" in page
    assert "calm, wide" in page
    assert WEIGHT in page
    assert RATE in page


def test_sweeps_vary_penalties_and_schedules(ganzoo_cli):
    arguments = [
        *("--loss", "hinge", "--data", "ring", "--steps", "2", "--print", "--out", "runs/all"),
        *("--set", f"train.generator_lr=2e-4,{RATE}", "--set", "train.lr_decay=none"),
        *("--set", "train.penalty=calm", "--set", "train.penalty=calm,wide"),
        *("--set", "penalty.calm.weight=1,2"),
    ]
    result = ganzoo_cli("sweep", "mlp", *arguments)
    assert result.code == 0, result.err
    commands = [shlex.split(line) for line in result.out.splitlines()]
    assert len(commands) == 8
    found = [planned(ganzoo_cli, *command[2:]) for command in commands]
    assert {tuple(names(config)) for config in found} == {("calm",), ("calm", "wide")}
    assert {str(config.get("schedules", {}).keys()) for config in found} == {
        "dict_keys([])",
        "dict_keys(['train.generator_lr'])",
    }
    assert {config["penalties"][0]["options"]["weight"] for config in found} == {1.0, 2.0}
    assert len({command[-1] for command in commands}) == 8


def test_a_sweep_names_a_wrong_penalty(refused):
    message = refused("sweep", "mlp", "--set=train.penalty=clam", "--print")
    assert "no penalty is called 'clam'; did you mean 'calm'?" in message
    message = refused("sweep", "mlp", "--set=penalty.weight=1", "--print")
    assert "'penalty.weight' is an option of no penalty of this run" in message


def test_bench_takes_penalties(refused, monkeypatch):
    def show(*names, settings, **others):
        raise InputError(f"measured: {settings}")

    monkeypatch.setattr("ganzoo_zoo.apps.bench.bench", show)
    given = ["--penalty=calm", "--set=penalty.calm.interval=4"]
    message = refused("bench", "mlp", *given)
    wanted = {"penalty.calm.interval": "4", "train.penalty": ("calm",)}
    assert message == f"Error: measured: {wanted}"


def test_the_page_sets_numbers_of_penalties_and_no_texts():
    from ganzoo_zoo.apps.watch.web.choices import placeholders, resolve_choices

    numbers = {"train.penalty": "calm", "penalty.calm.weight": "linear(1, 0)"}
    config = resolve_choices("mlp", None, "ring", numbers)
    assert [each.name for each in config.penalties] == ["calm"]
    with pytest.raises(InputError, match=r"'penalty\.calm\.file' may name a file"):
        resolve_choices("mlp", None, "ring", {**numbers, "penalty.calm.file": "/etc/passwd"})
    rates = {"train.generator_lr": "linear(1e-3, 1e-4)", "train.lr_decay": "none"}
    shown = placeholders(resolve("mlp", None, "ring", rates))
    assert shown["train.generator_lr"] == "linear(0.001, 0.0001)"


def test_a_loss_shows_what_it_was_tuned_with_beside_its_paper(ganzoo_cli):
    shown = ganzoo_cli("show", "wgan-gp").out
    assert "  recipe tuned with dcgan on images: steps=16000, " in shown
    assert "  recipe tuned with mlp on points: steps=5000, " in shown
    assert shown.index("recipe tuned") < shown.index("  recipe paper: generator_lr=0.0001, ")
    assert "tests/benchmarks/recipes.jsonl" in shown
    assert "Gulrajani et al. 2017, arXiv:1704.00028, algorithm 1" in shown
    tuned = json.loads(ganzoo_cli("show", "wgan-gp", "--json").out)["tuned_recipes"]
    assert {each["architecture"] for each in tuned} == {"dcgan", "mlp", "progan"}
    assert {each["loss"] for each in tuned} == {"wgan-gp"}
