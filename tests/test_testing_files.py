"""The conformance kit against broken models and recipes: each check catches what it claims to.

Every broken one differs from a sound one in the fault that its name tells.
"""

import contextlib
import json
import shutil
import unittest
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml
from safetensors.torch import load_file, save_file

import ganzoo
from ganzoo import registry
from ganzoo.config import RunConfig
from ganzoo.errors import InputError
from ganzoo.media.images import load_png, save_png
from ganzoo.models.folder import ModelFolder
from ganzoo.models.named import NamedFolder
from ganzoo.publishing.package import package_model
from ganzoo.recipes import make_recipe, write_recipe
from ganzoo.resolve import resolve
from ganzoo.testing import (
    ConformanceError,
    conformance_tests,
    model,
    model_checks,
    recipe,
    recipe_checks,
)
from tiny import sealed

MODEL = "acme-digits"


class Kill(NamedTuple):
    """A check, what breaks a sound one, and a part of what the check must say."""

    check: Callable
    spoil: Callable[[Path], object]
    message: str


def judged(model):
    return ganzoo.evaluate(model, ["fid"], samples=60, repeats=2, device="cpu")


@pytest.fixture(scope="module")
def packaged(tiny_run, tmp_path_factory):
    """The folder of a sound model; to be read, not changed."""
    folder = tmp_path_factory.mktemp("packaged") / MODEL
    package_model(tiny_run, folder, MODEL, judged, licence="mit")
    return folder


@pytest.fixture
def folder(packaged, tmp_path):
    return shutil.copytree(packaged, tmp_path / MODEL)


# Models ------------------------------------------------------------------------------------------


def edits(name, change):
    """Return a change of a JSON file, behind which the folder is whole again."""

    def spoil(folder):
        tree = json.loads((folder / name).read_text())
        change(tree)
        (folder / name).write_text(json.dumps(tree))
        sealed(folder)

    return spoil


def replaces(name, old, new):
    def spoil(folder):
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new))
        sealed(folder)

    return spoil


def lacks_a_file(name):
    def spoil(folder):
        (folder / name).unlink()
        sealed(folder)

    return spoil


def has_a_file_too_many(folder):
    (folder / "notes.txt").write_text("of no use")


def has_other_weights(folder):
    path = folder / "model.safetensors"
    weights = load_file(path)
    name = next(name for name, each in weights.items() if each.dim() == 4)
    save_file({**weights, name: -weights[name]}, path)
    sealed(folder)


def has_another_picture(folder, change=lambda picture: 255 - picture):
    picture, texts = load_png(folder / "samples.png")
    texts.pop("XML:com.adobe.xmp", None)
    save_png(change(picture), folder / "samples.png", texts)
    sealed(folder)


def has_a_picture_without_layout(folder):
    picture, _ = load_png(folder / "samples.png")
    save_png(picture, folder / "samples.png", {})
    sealed(folder)


def has_a_picture_a_level_brighter(folder):
    has_another_picture(folder, lambda picture: picture.clamp(max=254) + 1)


def is_tracked(tree):
    tree["trackers"] = [{"name": "tensorboard", "package": "ganzoo", "version": "1", "options": {}}]


MODEL_KILLS = [
    Kill(model.check_files, lacks_a_file("samples.png"), "must list samples.png"),
    Kill(model.check_files, lacks_a_file("README.md"), "must list README.md"),
    Kill(model.check_files, has_a_file_too_many, "does not list notes.txt"),
    Kill(model.check_loads, edits("config.json", is_tracked), "no path, URL or tracker"),
    Kill(model.check_picture, has_other_weights, "a pixel differs by"),
    Kill(model.check_picture, has_another_picture, "a pixel differs by"),
    Kill(model.check_picture, lacks_a_file("samples.json"), "must be a samples.json"),
    Kill(
        model.check_picture,
        edits("samples.json", lambda tree: tree.update(seed=1)),
        "must be the samples of the seed 1",
    ),
    Kill(
        model.check_picture,
        edits("samples.json", lambda tree: tree.update(count=8)),
        "and 8 samples of the seed 0 make",
    ),
    Kill(
        model.check_hash,
        edits("samples.json", lambda tree: tree.update(sha256="0" * 64)),
        "is not that of the samples in samples.png",
    ),
    Kill(model.check_hash, has_a_picture_a_level_brighter, "is not that of the samples"),
    Kill(model.check_hash, has_a_picture_without_layout, "does not say the layout"),
    Kill(model.check_card, replaces("README.md", "license: mit\n", ""), "must name a licence"),
    Kill(
        model.check_card,
        replaces("README.md", f'ganzoo.load("{MODEL}")', 'ganzoo.load("runs/digits")'),
        "must load the model by its name",
    ),
    Kill(model.check_scores, lacks_a_file("scores.json"), "there must be scores"),
    Kill(
        model.check_scores,
        edits("scores.json", lambda rows: rows[0].update(value=rows[0]["value"] / 2)),
        "is stated: evaluate what is shipped",
    ),
    Kill(
        model.check_scores,
        edits("scores.json", lambda rows: rows[0].update(step=3)),
        "the model is of another one",
    ),
]


@pytest.mark.parametrize("check", model_checks, ids=lambda check: check.__name__)
def test_a_sound_model_passes(folder, check):
    check(ModelFolder(folder, MODEL))


def test_every_check_of_models_is_killed():
    assert {kill.check for kill in MODEL_KILLS} == set(model_checks)


@pytest.mark.parametrize("kill", MODEL_KILLS, ids=lambda kill: kill.check.__name__)
def test_a_broken_model_is_caught(folder, kill):
    kill.spoil(folder)
    with pytest.raises(ConformanceError, match=kill.message):
        kill.check(ModelFolder(folder, MODEL))
    for check in model_checks[:-1]:  # none breaks on what another one is to catch
        with contextlib.suppress(ConformanceError, InputError):
            check(ModelFolder(folder, MODEL))


def test_a_picture_of_another_machine_may_differ_by_a_level(folder):
    has_a_picture_a_level_brighter(folder)
    model.check_picture(ModelFolder(folder, MODEL))


def test_a_model_of_points_is_known_by_its_plot(tmp_path):
    settings = {"data.samples": 50, "arch.hidden": (4,), "arch.z_dim": 2}
    run = ganzoo.train("mlp", "wgan-gp", "ring", out="run", steps=1, settings=settings)
    folder = package_model(run, tmp_path / "points", "points", lambda model: ()).folder
    for check in model_checks[:4]:
        check(ModelFolder(folder, "points"))
    has_another_picture(folder)
    with pytest.raises(ConformanceError, match="must be the plot of the samples of the seed 0"):
        model.check_picture(ModelFolder(folder, "points"))


def test_scores_are_not_checked_where_the_data_are_not(folder):
    mnist = {"name": "mnist", "options": {}}
    edits("config.json", lambda tree: tree["data"].update(mnist))(folder)
    with pytest.raises(unittest.SkipTest, match="to download it, give --data mnist"):
        model.check_scores(ModelFolder(folder, MODEL))


def test_a_package_depends_on_those_of_its_models_components(plugin, packaged, tmp_path):
    code = "from ganzoo_zoo.families.dcgan import DCGAN\nclass Mine(DCGAN):\n    'Mine.'\n"
    plugin("acme-nets", code, {"ganzoo.architectures": {"mine": "acme_nets:Mine"}})
    site = plugin("acme-gans", "", {"ganzoo.models": {MODEL: "acme_files"}})
    files = shutil.copytree(packaged, site / "acme_files" / MODEL)
    (entry,) = [each for each in registry.entries(registry.MODEL) if each.package == "acme-gans"]
    model.check_loads(NamedFolder(entry))
    other = {"name": "mine", "package": "acme-nets", "version": "1.0"}
    edits("config.json", lambda tree: tree["architecture"].update(other))(files)
    with pytest.raises(ConformanceError, match="acme-gans must depend on acme-nets, which provide"):
        model.check_loads(NamedFolder(entry))
    (metadata,) = site.glob("*.dist-info/METADATA")
    metadata.write_text(f"{metadata.read_text()}Requires-Dist: acme-nets>=1\n")
    model.check_loads(NamedFolder(entry))


# Recipes -----------------------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path):
    """A sound recipe."""
    config = resolve("mlp", "hinge", "ring", {"train.penalty": "r1", "arch.hidden": "8, 8"})
    tree = yaml.safe_load(write_recipe(make_recipe(config, "An MLP on a ring")))
    tree["parameters"] = {"shape": [2], "generator": 8 * 3 + 8 * 9 + 2 * 9}
    path = tmp_path / "ring.yaml"
    path.write_text(yaml.safe_dump(tree))
    return path


def sets(name, value):
    """Return a change of a recipe's setting; None drops it."""

    def spoil(path):
        tree = yaml.safe_load(path.read_text())
        tree["settings"] = {**tree["settings"], name: value}
        if value is None:
            del tree["settings"][name]
        path.write_text(yaml.safe_dump(tree))

    return spoil


def states(**values):
    def spoil(path):
        path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **values}))

    return spoil


RECIPE_KILLS = [
    Kill(recipe.check_form, states(title=""), "is not a recipe|needs a title"),
    Kill(recipe.check_form, states(colour="red"), "colour"),
    Kill(recipe.check_form, states(results=3), "is not a recipe"),
    Kill(recipe.check_settings, sets("train.stepz", 3), "stepz"),
    Kill(recipe.check_settings, sets("train.steps", -3), "train.steps"),
    Kill(recipe.check_settings, states(loss="hinj"), "did you mean 'hinge'"),
    Kill(recipe.check_settings, states(architecture="acme:mlp"), "acme:mlp"),
    Kill(recipe.check_shared, sets("train.seed", 3), "leaves train.seed to each run"),
    Kill(recipe.check_shared, sets("data.root", "/home/me/data"), "data.root is a path"),
    Kill(recipe.check_whole, sets("train.batch_size", None), "train.batch_size is not stated"),
    Kill(recipe.check_whole, sets("penalty.r1.gamma", None), "penalty.r1.gamma is not stated"),
    Kill(
        recipe.check_parameters,
        states(parameters={"shape": [2], "generator": 115}),
        "the generator has 114 parameters, and the published one 115",
    ),
]


@pytest.mark.parametrize("check", recipe_checks, ids=lambda check: check.__name__)
def test_a_sound_recipe_passes(path, check):
    check(path)


def test_every_check_of_recipes_is_killed():
    assert {kill.check for kill in RECIPE_KILLS} == set(recipe_checks)


@pytest.mark.parametrize("kill", RECIPE_KILLS, ids=lambda kill: kill.check.__name__)
def test_a_broken_recipe_is_caught(path, kill):
    kill.spoil(path)
    with pytest.raises((ConformanceError, InputError), match=kill.message):
        kill.check(path)
    for check in recipe_checks:
        with contextlib.suppress(ConformanceError, InputError):
            check(path)


def test_a_recipe_without_data_is_checked_but_for_these(path):
    states(data=None)(path)
    for check in recipe_checks:
        check(path)


def test_a_recipe_ends_in_the_suffix_that_is_looked_for(path):
    with pytest.raises(ConformanceError, match=r"must end in \.yaml"):
        recipe.check_form(path.rename(path.with_suffix(".yml")))


def test_a_recipe_of_a_configuration_gives_it_again():
    settings = {"train.augment": "color", "arch.z_dim": 7, "train.seed": 5, "train.steps": 9}
    config = resolve("dcgan", "wgan-gp", "digits", settings)
    made = make_recipe(config)
    assert (made.title, made.architecture) == (config.title, "dcgan")
    again = made.resolve()
    assert again.train.seed == 0
    assert again == config.model_copy(update={"train": config.train.model_copy(update={"seed": 0})})
    assert isinstance(again, RunConfig)
    assert write_recipe(made) == write_recipe(make_recipe(again))


def test_a_recipe_of_files_leaves_the_data_to_the_person(tmp_path):
    config = resolve("dcgan", None, tmp_path, {})
    made = make_recipe(config)
    assert made.data is None
    assert str(tmp_path) not in write_recipe(made)
    with pytest.raises(InputError, match="names no data"):
        made.resolve()
    assert made.resolve(data=tmp_path).data == config.data


# One line for a package --------------------------------------------------------------------------


def test_one_line_tests_the_models_and_recipes_of_a_package(plugin, packaged, path):
    points = {"ganzoo.models": {MODEL: "acme_files"}, "ganzoo.recipes": {"ring": "acme_files"}}
    site = plugin("acme-gans", "", points)
    shutil.copytree(packaged, site / "acme_files" / MODEL)
    shutil.copyfile(path, site / "acme_files" / "ring.yaml")
    found = {}
    for scores in (True, False):
        test = conformance_tests("acme-gans", scores=scores)
        found[scores] = {case.id: case.values for case in test.pytestmark[0].args[1]}
    ids = {f"model {MODEL}: {check.__name__}" for check in model_checks}
    assert set(found[True]) - set(found[False]) == {f"model {MODEL}: check_scores"}
    assert set(found[True]) == ids | {f"recipe ring: {each.__name__}" for each in recipe_checks}
    for entry, check in found[False].values():
        test(entry, check)
