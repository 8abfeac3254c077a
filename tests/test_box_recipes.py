"""The recipes of the box: each is whole, and the published networks have their parameters."""

import re
import tomllib
from functools import cache
from pathlib import Path

import pytest
import yaml

from ganzoo import DataSpec, registry
from ganzoo.cli.named_files import read_title
from ganzoo.component import place_options
from ganzoo.config import TrainSettings
from ganzoo.models.size_check import build_on_meta
from ganzoo.recipes import find_recipe, find_recipe_name, gather_options, hash_recipe
from ganzoo.registry import ARCHITECTURE, AUGMENTATION, DATASET, LOSS, PENALTY, RECIPE
from ganzoo.resolve import resolve

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "plugins" / "ganzoo_zoo" / "recipes"
NAMES = sorted(entry.name for entry in registry.entries(RECIPE) if entry.package == "ganzoo")
recipe_of = cache(find_recipe)
COUNTED = [name for name in NAMES if recipe_of(name).parameters is not None]


@cache
def config_of(name):
    """Resolve a recipe; one without data on a folder, which nothing reads."""
    if recipe_of(name).data is None:
        return recipe_of(name).resolve(data="folder", settings={"data.path": "/photos"})
    return recipe_of(name).resolve()


def chosen(name):
    """Yield the prefix of options and the class of each component of a recipe."""
    recipe = recipe_of(name)
    yield "arch", registry.get(ARCHITECTURE, recipe.architecture)
    yield "loss", registry.get(LOSS, recipe.loss)
    if recipe.data is not None:
        yield "data", registry.get(DATASET, recipe.data)
    for word, kind in (("penalty", PENALTY), ("augment", AUGMENTATION)):
        for each in recipe.settings[f"train.{word}"]:
            yield f"{word}.{each}", registry.get(kind, each)


def test_each_file_is_an_entry_point_and_each_entry_point_a_file():
    points = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    assert sorted(points["ganzoo.recipes"]) == NAMES
    assert sorted(path.stem for path in FOLDER.iterdir()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_is_whole(name):
    """It gives every option, so that another default changes no recipe."""
    recipe = recipe_of(name)
    wanted = {f"train.{option}" for option in TrainSettings.model_fields}
    wanted -= {"train.seed", "train.device"}
    for prefix, component in chosen(name):
        options = component.model_fields.keys() - place_options(component)
        wanted |= {f"{prefix}.{option}" for option in options}
    given = set(recipe.settings)
    if recipe.data is None:
        own = {each for each in given if each.startswith("data.")}
        assert {"data.image_size", "data.flip"} <= own
        given -= own
    assert given == wanted


@pytest.mark.parametrize("name", NAMES)
def test_nothing_but_a_recipe_decides_its_run(name):
    found = {key: _bare(value) for key, value in gather_options(config_of(name)).items()}
    settings = recipe_of(name).settings
    assert {key: found[key] for key in settings} == settings
    places = {
        f"{prefix}.{option}"
        for prefix, component in chosen(name)
        for option in place_options(component)
    }
    for key in found.keys() - settings.keys() - places - {"train.seed", "train.device"}:
        assert recipe_of(name).data is None
        assert key.startswith("data.")


def _bare(value):
    """Return names without their package."""
    names = isinstance(value, list) and all(isinstance(each, str) for each in value)
    return [each.rpartition("ganzoo:")[2] for each in value] if names else value


@pytest.mark.parametrize("name", NAMES)
def test_its_title_and_paper_are_fit_to_be_shown(name):
    text = (FOLDER / f"{name}.yaml").read_text()
    recipe = recipe_of(name)
    assert read_title(FOLDER / f"{name}.yaml") == yaml.safe_load(text)["title"] == recipe.title
    assert 10 < len(recipe.title) <= 90
    assert not recipe.title.endswith(".")
    if recipe.reported or recipe.parameters is not None:
        assert re.search(r"arXiv:\d{4}\.\d{5}", recipe.paper)
    if recipe.settings["train.recipe"] in ("tuned", "tiny"):
        assert recipe.paper is None
    else:
        assert recipe.paper is not None


MNIST = {"data.image_size": 32}
HALF = {**MNIST, "train.precision": "bf16"}
COMMANDS = {
    "digits-mlp": ("mlp", "r3gan", "digits", {}),
    "digits-dcgan": ("dcgan", None, "digits", {}),
    "ring-mlp": ("mlp", "r3gan", "ring", {}),
    "mnist-dcgan": ("dcgan", None, "mnist", {**MNIST, "train.steps": 8000}),
    "mnist-acgan": ("acgan", None, "mnist", {**HALF, "train.steps": 4000}),
    "mnist-infogan": ("infogan", None, "mnist", HALF),
    "mnist-sagan": ("sagan", None, "mnist", {**HALF, "train.steps": 5000}),
    "mnist-pix2pix": ("pix2pix", None, "mnist", {**MNIST, "arch.source_of": "edges"}),
    "cifar10-biggan": (
        *("biggan", None, "cifar10"),
        {
            **{"train.recipe": "tiny", "arch.base_channels": 16},
            **{"train.precision": "bf16", "train.steps": 15000},
        },
    ),
}
"""The command that each recipe of our own came from: architecture, loss, data and options."""


@pytest.mark.parametrize("name", COMMANDS)
def test_a_recipe_is_the_run_of_its_command(name):
    assert hash_recipe(config_of(name)) == hash_recipe(resolve(*COMMANDS[name]))


@pytest.mark.parametrize("name", [name for name in NAMES if recipe_of(name).paper is not None])
def test_a_published_configuration_is_the_architectures_recipe(name):
    """Beside the recipe that it names, it has only what belongs to its data."""
    recipe, config = recipe_of(name), config_of(name)
    given = {"train.recipe": recipe.settings["train.recipe"], "data.path": "/photos"}
    data = recipe.data or "folder"
    if recipe.data is not None:
        del given["data.path"]
    base = resolve(recipe.architecture, recipe.loss, data, given)
    found = {key.replace(".options.", ".") for key in base.changes(config)}
    allowed = {
        *("data.image_size", "data.flip", "data.pairs", "train.steps"),
        *("architecture.conditional", "architecture.blocks"),
    }
    if recipe.architecture == "r3gan":  # whose paper has a table of them
        allowed |= {f"architecture.{each}" for each in ("base_channels", "growth", "group_size")}
        allowed |= {f"train.{each}" for each in ("batch_size", "ema_half_life", "betas")}
        allowed |= {"train.generator_lr", "train.discriminator_lr", "loss.gamma"}
        allowed |= {"augment.ada.probability"}
    assert found <= allowed


@pytest.mark.parametrize("name", COUNTED)
def test_published_networks_have_their_parameters(name):
    known, config = recipe_of(name).parameters, config_of(name)
    architecture = config.architecture.build(ARCHITECTURE)
    sources = architecture.takes_sources and not architecture.makes_sources
    data = architecture.complete(
        DataSpec(shape=known.shape, classes=known.classes, source=known.shape if sources else None)
    )
    independent = config.needs_independent_samples()
    for word, build in (
        ("generator", lambda: architecture.generator(data)),
        (
            "discriminator",
            lambda: architecture.discriminator(data, independent_samples=independent),
        ),
    ):
        wanted = getattr(known, word)
        if wanted is not None:
            network = build_on_meta(build)
            count = sum(each.numel() for each in network.parameters() if each.requires_grad)
            assert round(count / known.rounded_to) * known.rounded_to == wanted, (word, count)


def test_most_families_have_a_published_configuration():
    families = {recipe_of(name).architecture for name in COUNTED}
    assert {"stylegan2", "biggan", "r3gan", "sngan", "sngan-resnet", "resnet", "progan"} < families
    assert {"pix2pix", "srgan", "esrgan", "fastgan", "sagan"} < families


def test_a_run_of_other_options_of_its_data_is_of_no_recipe(tmp_path):
    """A recipe without data still says how large images are."""
    recipe = recipe_of("few256-fastgan")
    assert recipe.data is None
    own, other = (
        recipe.resolve(data=tmp_path, settings=given) for given in ({}, {"data.image_size": 512})
    )
    assert find_recipe_name(own) == "few256-fastgan"
    assert find_recipe_name(other) is None
