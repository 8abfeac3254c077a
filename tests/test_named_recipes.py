"""Recipes that an architecture gives names of their own."""

import pytest

from ganzoo.errors import InputError
from ganzoo.resolve import resolve
from ganzoo.runs.reproduce import train_command

CODE = """
from ganzoo import Recipe
from ganzoo_zoo.families.mlp import MLP

class Named(MLP):
    "Has recipes by names."
    recipe = Recipe(batch_size=16)
    named_recipes = {
        "small": Recipe(
            loss="wgan-gp",
            steps=7,
            settings={"arch.z_dim": 9, "train.penalty": ["r1"], "penalty.r1.gamma": 3.0},
        ),
        "points": Recipe(data="vectors", steps=5),
    }
"""


@pytest.fixture(autouse=True)
def named(plugin):
    plugin("acme-named", CODE, {"ganzoo.architectures": {"named": "acme_named:Named"}})


def test_a_named_recipe_gives_loss_options_and_penalties():
    config = resolve("named", data="digits", settings={"train.recipe": "small"})
    assert (config.loss.name, config.train.steps) == ("wgan-gp", 7)
    assert config.architecture.options["z_dim"] == 9
    assert config.penalties[0].options["gamma"] == 3.0


def test_what_a_person_sets_goes_before_a_named_recipe():
    settings = {"train.recipe": "small", "arch.z_dim": 4, "train.steps": 1}
    config = resolve("named", data="digits", settings=settings)
    assert (config.architecture.options["z_dim"], config.train.steps) == (4, 1)


@pytest.mark.parametrize(
    ("name", "loss", "said"),
    [
        ("smal", None, "'named' has no recipe 'smal'; did you mean 'small'?"),
        ("big", None, "'named' has no recipe 'big'; it has tuned, paper, small, points"),
        ("small", "hinge", "recipe 'small' of 'named' is for wgan-gp alone"),
        ("points", None, "recipe 'points' of 'named' is for vectors alone"),
    ],
)
def test_a_recipe_that_is_not_there_or_not_for_this_is_refused(name, loss, said):
    with pytest.raises(InputError) as error:
        resolve("named", loss, "digits", {"train.recipe": name})
    assert said in str(error.value)


def test_the_command_that_reproduces_a_run_names_its_recipe():
    config = resolve("named", data="digits", settings={"train.recipe": "small", "train.steps": 3})
    command = train_command(config)
    assert "--set train.recipe=small" in command
    assert "--steps 3" in command


def test_show_lists_named_recipes(ganzoo_cli):
    shown = ganzoo_cli("show", "named")
    assert "recipe small with wgan-gp" in shown.out
    assert "penalty.r1.gamma" in shown.out
