"""Whole configurations: recipes with names, and files of one's own."""

import json
import shutil
import sys
from pathlib import Path

import pytest
import yaml

import ganzoo
from ganzoo import registry
from ganzoo.cli.common import _complete_recipe
from ganzoo.cli.named_files import read_title
from ganzoo.config import ForkedState, InitialModel, TrainOptions
from ganzoo.errors import InputError, PluginError
from ganzoo.recipes import find_recipe, hash_recipe, read_recipe, resolve_run
from ganzoo.registry import RECIPE
from ganzoo.resolve import resolve

SMALL = {
    "arch.hidden": [8],
    "data.image_size": 8,
    "train.steps": 2,
    "train.batch_size": 4,
    "train.device": "cpu",
    "train.checkpoint_every": 2,
}
MOVING = {
    **SMALL,
    "train.seed": 3,
    "train.generator_lr": "linear(1e-3, 1e-4)",
    "train.lr_decay": "none",
    "train.penalty": ["r1", "lecam"],
    "penalty.r1.gamma": "cosine(1, 0.1, to=8 images)",
    "train.augment": ["color", "translation"],
    "augment.translation.shift": 0.25,
}
"""Options with a seed, schedules, penalties and augmentations."""
OPTIONS = [f"--set={name}={json.dumps(value)}" for name, value in SMALL.items()]


@pytest.fixture(scope="module")
def moving(tmp_path_factory):
    """A finished run with all that a configuration may have; to be read, not changed."""
    out = tmp_path_factory.mktemp("moving") / "run"
    return ganzoo.train("mlp", "non-saturating", "digits", out=out, settings=MOVING)


def write(name, tree):
    """Write a recipe in the format of its suffix."""
    text = tree if isinstance(tree, str) else yaml.safe_dump(tree)
    Path(name).write_text(text)
    return name


def package(plugin, name, recipes):
    """Install a package that ships recipes, whose own code must not be imported."""
    module = name.replace("-", "_")
    site = plugin(name, "", {"ganzoo.recipes": dict.fromkeys(recipes, f"{module}_files.recipes")})
    folder = site / f"{module}_files" / "recipes"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").write_text("raise SystemError('imported')")
    for each, tree in recipes.items():
        if tree is not None:
            write(folder / f"{each}.yaml", tree)
    return site


TINY = {
    "title": "A small perceptron",
    "architecture": "mlp",
    "loss": "hinge",
    "data": "digits",
    "settings": SMALL,
}


# A stored configuration ----------------------------------------------------------------------


@pytest.mark.parametrize("place", ["config.json", "model/config.json"])
def test_a_stored_configuration_trains_the_same_weights_again(place, moving, ganzoo_cli):
    result = ganzoo_cli("train", "--config", moving.path / place, "--out", "again")
    assert result.code == 0, result.err
    assert Path("again/config.json").read_bytes() == (moving.path / "config.json").read_bytes()
    weights = sorted(Path("again").rglob("*.safetensors"))
    assert len(weights) > 4
    for path in weights:
        assert path.read_bytes() == (moving.path / path.relative_to("again")).read_bytes(), path


def test_python_takes_a_configuration_and_a_recipe_too(moving, plugin):
    again = ganzoo.train(config=moving.path / "config.json", out="again", steps=1)
    assert again.config().train.steps == 1
    assert again.config().penalties == moving.config().penalties
    package(plugin, "acme-zoo", {"acme-mlp": TINY})
    named = ganzoo.train(recipe="acme-mlp", out="named", seed=5)
    assert (named.config().loss.name, named.config().train.seed) == ("hinge", 5)
    assert hash_recipe(named.config()) == hash_recipe(find_recipe("acme-mlp").resolve())


def test_what_is_given_beside_a_configuration_goes_before(moving):
    place = moving.path / "config.json"
    given = {"train.steps": "7", "penalty.r1.gamma": "2", "train.seed": "9", "arch.z_dim": "5"}
    config = resolve_run(None, settings=given, config=place)
    assert (config.train.steps, config.train.seed) == (7, 9)
    assert config.architecture.options["z_dim"] == 5
    assert config.penalties[0].options["gamma"] == 2
    assert set(config.schedules) == {"train.generator_lr"}
    assert config.augmentations == moving.config().augmentations


def test_other_penalties_drop_the_options_of_those_before(moving):
    place = moving.path / "config.json"
    config = resolve_run(None, settings={"train.penalty": ["r2"]}, config=place)
    assert [each.name for each in config.penalties] == ["r2"]
    assert set(config.schedules) == {"train.generator_lr"}
    config = resolve_run(
        None, settings={"train.penalty": [], "train.augment": "cutout"}, config=place
    )
    assert config.penalties == ()
    assert [each.name for each in config.augmentations] == ["cutout"]


def test_another_loss_drops_the_options_of_the_one_before():
    tree = TINY | {"settings": {**SMALL, "loss.jitter": 0.1, "train.penalty": ["r1"]}}
    file = write("mine.yaml", tree)
    config = resolve_run(None, "wgan-gp", config=file)
    assert config.loss.name == "wgan-gp"
    assert [each.name for each in config.penalties] == ["r1"], "which go with any loss"
    for same in ("hinge", "ganzoo:hinge"):
        assert resolve_run(None, same, config=file).loss.options["jitter"] == 0.1


def test_other_data_take_over_size_channels_and_mirroring_alone():
    settings = {
        **SMALL,
        "data.path": "/nowhere",
        "data.image_channels": 1,
        "data.flip": True,
        "data.split": "val",
    }
    file = write("mine.yaml", TINY | {"data": "folder", "settings": settings})
    kept = resolve_run(None, config=file).data.options
    assert (kept["path"], kept["split"]) == ("/nowhere", "val")
    Path("photos").mkdir()
    options = resolve_run(None, data="./photos", config=file).data.options
    assert (options["image_size"], options["image_channels"], options["flip"]) == ([8, 8], 1, True)
    assert (options["path"], options["split"]) == (str(Path("photos").resolve()), None)
    assert resolve_run(None, data="digits", config=file).data.options == {"image_size": [8, 8]}
    ring = resolve_run(None, data="ring", config=file)
    assert ring.data == resolve("mlp", data="ring").data, "points have no size"


def test_data_of_ones_own_take_every_option_of_a_recipe_without_data():
    settings = {**SMALL, "data.pairs": "right-to-left", "data.flip": True}
    tree = {key: value for key, value in TINY.items() if key != "data"}
    file = write("mine.yaml", tree | {"settings": settings})
    Path("photos").mkdir()
    options = resolve_run(None, data="photos/", config=file).data.options
    assert (options["pairs"], options["flip"]) == ("right-to-left", True)
    assert resolve_run(None, data="digits", config=file).data.options == {"image_size": [8, 8]}
    with pytest.raises(InputError, match=r"^the recipe names no data: give --data$"):
        resolve_run(None, config=file)


def test_trackers_and_their_options_are_part_of_it():
    options = {"tracker.report.neighbours": 3}
    given = resolve("mlp", data="digits", settings={**SMALL, **options}, trackers=["report"])
    Path("run.json").write_text(given.model_dump_json())
    assert resolve_run(None, config="run.json") == given
    other = resolve_run(None, config="run.json", trackers=["watch"])
    assert [each.name for each in other.trackers] == ["watch"]


def test_options_that_are_newer_than_a_configuration_are_as_they_were():
    tree = json.loads(resolve("r3gan", data="digits").model_dump_json())
    del tree["architecture"]["options"]["output"], tree["architecture"]["options"]["resampling"]
    Path("old.json").write_text(json.dumps(tree))
    options = resolve_run(None, config="old.json").architecture.options
    assert (options["output"], options["resampling"]) == ("tanh", "bilinear")


def test_a_configuration_names_its_packages(plugin):
    code = "from ganzoo_zoo.penalties.r1 import R1\nclass Mine(R1):\n    pass\n"
    plugin("acme-pens", code, {"ganzoo.penalties": {"r1": "acme_pens:Mine"}})
    given = {**SMALL, "train.penalty": ["acme-pens:r1"], "penalty.r1.gamma": 7.0}
    config = resolve("mlp", "hinge", "digits", given)
    Path("run.json").write_text(config.model_dump_json())
    assert resolve_run(None, config="run.json") == config


def test_a_configuration_of_a_package_that_is_not_here_says_so(refused):
    tree = json.loads(resolve("mlp", data="digits", settings=SMALL).model_dump_json())
    tree["architecture"] |= {"package": "acme-nets", "version": "2.0"}
    Path("run.json").write_text(json.dumps(tree))
    said = refused("train", "--config", "run.json")
    assert "acme-nets 2.0, which is not installed here" in said


# A file of one's own -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "mine.yaml",
            "architecture: mlp\ndata: ring\nsettings:\n  train.steps: 3\n"
            "  train.generator_lr: 2e-4\n  train.betas: [0, 0.9]\n",
        ),
        ("MINE.YML", "{architecture: mlp, data: ring, settings: {train.steps: 3}}"),
        (
            "mine.toml",
            'architecture = "mlp"\ndata = "ring"\n[settings]\n"train.steps" = 3\n'
            '"train.betas" = [0, 0.9]\n',
        ),
        ("mine.json", '{"architecture": "mlp", "data": "ring", "settings": {"train.steps": 3}}'),
    ],
)
def test_a_file_may_hold_only_some_options(name, text, ganzoo_cli):
    Path(name).write_text(text)
    result = ganzoo_cli("train", "--config", name, "--batch-size", 5, "--dry-run")
    assert result.code == 0, result.err
    found = json.loads(result.out)
    usual = resolve("mlp", data="ring").model_dump(mode="json")
    for key, value in (("steps", 3), ("batch_size", 5)):
        assert found["train"].pop(key) == value != usual["train"].pop(key)
    for key in ("betas", "generator_lr"):
        if key in text:
            assert found["train"].pop(key) in ([0, 0.9], 2e-4)
            del usual["train"][key]
    assert found["train"] == usual["train"]
    assert found["architecture"] == usual["architecture"]
    assert not Path("runs").exists()


def test_schedules_stand_in_a_file_as_on_the_command_line():
    rate = "cosine(1e-3, 1e-4)"
    settings = {"train.generator_lr": rate, "train.lr_decay": "none", "train.penalty": "r1"}
    file = write("mine.yaml", {"architecture": "mlp", "data": "ring", "settings": settings})
    assert resolve_run(None, config=file) == resolve("mlp", data="ring", settings=settings)


MLP = "architecture: mlp\ndata: ring\n"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.yaml", f"{MLP}arhitecture: x\n", "unknown key 'arhitecture'; did you mean"),
        ("a.yaml", f"{MLP}whatever: x\n", "unknown key 'whatever'; known: title, paper,"),
        ("a.yaml", f"{MLP}train.steps: 3\n", "'train.steps'; options stand under settings, by"),
        ("a.yaml", f"{MLP}train: {{steps: 3}}\n", "'train'; options stand under settings, by"),
        ("a.yaml", "data: ring\n", "is not a recipe: architecture: Field required"),
        ("a.yaml", f"{MLP}settings: 3\n", "is not a recipe: settings: "),
        ("a.yaml", f"{MLP}settings: {{train.stepps: 3}}\n", "did you mean 'steps'?"),
        ("a.yaml", f"{MLP}settings: {{arch.depth: 3}}\n", "unknown option 'arch.depth'"),
        ("a.yaml", f"{MLP}settings: {{train.steps: x}}\n", "option 'train.steps'"),
        ("a.yaml", f"{MLP}settings: {{train.steps: true}}\n", "must be a number, not True"),
        ("a.yaml", "architecture: nowhere\ndata: ring\n", "no architecture is called 'nowhere'"),
        ("a.yaml", "architecture: mlp\ndata: nothing\n", "no dataset is called 'nothing'"),
        ("a.yaml", "architecture: mlp\ndata: ./no\n", "there is no folder or file ./no"),
        ("a.yaml", "architecture: mlp\n", "the recipe names no data: give --data"),
        ("a.yaml", "- 1\n", "a.yaml holds no names and values"),
        ("a.yaml", "", "a.yaml holds no names and values"),
        ("a.yaml", "a: [1\nb: 2\n", "a.yaml cannot be read in line 2: "),
        ("a.yaml", "a: &x 1\nb: *x\n", "a value stands for another one (*); write it out"),
        ("a.yaml", "a: &x 1\n<<: {b: *x}\n", "a value stands for another one (*); write it out"),
        ("a.yaml", f"{MLP}settings:\n  a: 1\n  a: 2\n", "in line 4: 'a' stands there twice"),
        ("a.yaml", "a: 1\n---\nb: 2\n", "but found another document"),
        ("a.yaml", "a: " + "[" * 5000, "a.yaml cannot be read: "),
        ("a.yaml", "a: !!python/object:os.system {}\n", "could not determine a constructor"),
        ("a.yaml", "a: .nan\n", "Out of range float values are not JSON compliant"),
        ("a.yaml", "a: 2026-01-01\n", "date is not JSON serializable"),
        ("a.yaml", "a: " + "[" * 40 + "]" * 40, "it is deeper than 32 levels"),
        ("a.yaml", "#" * (1 << 20) + "\n", "a.yaml is larger than 1 MiB, so it is no"),
        ("a.toml", "a = \n", "a.toml cannot be read: Invalid value (at line 1"),
        ("a.json", "{", "a.json cannot be read as JSON: "),
        ("a.json", '{"a": 1, "a": 2}', "a.json cannot be read as JSON: "),
        ("a.json", '{"format": 1}', "a.json is not a configuration: architecture: Field required"),
        ("a.json", '{"format": 2}', "a.json is not a configuration: format: "),
        ("a.txt", MLP, "its name must end in .json, .yaml, .yml or .toml"),
        ("a", MLP, "its name must end in .json, .yaml, .yml or .toml"),
    ],
)
def test_a_file_that_is_wrong_is_refused_in_a_line(name, text, said, refused):
    Path(name).write_text(text)
    message = refused("train", "--config", name)
    assert said in message
    assert len(message.splitlines()) == 1
    assert not Path("runs").exists()


@pytest.mark.parametrize("name", ["no.yaml", "no.json", "."])
def test_a_file_that_is_not_there_is_refused(name, refused):
    Path("folder.yaml").mkdir()
    refused("train", "--config", name)
    refused("train", "--config", "folder.yaml")


@pytest.mark.parametrize(
    ("beside", "said"),
    [
        (["dcgan"], "the file of --config says which architecture: drop 'dcgan'"),
        (["--recipe", "paper"], "the file of --config says which recipe: drop 'paper'"),
        (["--set", "train.recipe=x"], "the file of --config says which recipe: drop 'x'"),
        (["--resume", "RUN"], "--resume continues from the run's own configuration: drop --config"),
        (["--init", "RUN"], "a run starts from a file of a configuration, a model or a state"),
        (["--fork", "RUN"], "a run starts from a file of a configuration, a model or a state"),
        (["--data", "nothing"], "no dataset is called 'nothing'"),
        (["--set", "loss.gp_weight=3"], "unknown option 'loss.gp_weight'"),
    ],
)
def test_what_does_not_go_beside_a_file_is_refused(beside, said, refused):
    write("mine.yaml", TINY)
    assert said in refused("train", "--config", "mine.yaml", *beside)


def test_a_configuration_that_starts_from_something_is_refused(tiny_run, refused):
    config = tiny_run.config()
    model = InitialModel(name="faces", step=3, generator_sha256="a", discriminator_sha256="b")
    state = ForkedState(name="faces", step=3, manifest_sha256="c")
    for update, word in (({"init": model}, "--init"), ({"fork": state}, "--fork")):
        Path("run.json").write_text(config.model_copy(update=update).model_dump_json())
        said = refused("train", "--config", "run.json")
        assert f"started from the {'model' if word == '--init' else 'checkpoint'} faces" in said
        assert said.endswith(f"use {word}")


# Recipes with names --------------------------------------------------------------------------


def test_a_recipe_of_another_package_trains_by_its_name(plugin, ganzoo_cli):
    package(plugin, "acme-zoo", {"acme-mlp": TINY})
    listed = ganzoo_cli("list", "recipes").out
    assert "  acme-mlp " in listed
    assert "A small perceptron [acme-zoo 1.0]" in listed
    for name in ("acme-mlp", "acme-zoo:acme-mlp"):
        done = ganzoo_cli("train", "--recipe", name, "--steps", 1, "--out", name[-9:])
        assert done.code == 0, done.err
    assert "acme_zoo_files" not in sys.modules
    config = json.loads(Path("acme-mlp", "config.json").read_text())
    assert (config["train"]["steps"], config["train"]["recipe"]) == (1, "tuned")
    assert not {"acme-mlp", "acme-zoo"} & set(config["versions"])


def test_show_says_what_a_recipe_is(plugin, ganzoo_cli):
    about = {
        "paper": "Somebody 2020, arXiv:2001.00001",
        "reported": [{"metric": "fid", "value": 12.5, "source": "table 1"}],
        "parameters": {"shape": [1, 8, 8], "classes": 10, "generator": 1234, "rounded_to": 2},
        "results": ["fid 14, in 2 hours"],
    }
    package(plugin, "acme-zoo", {"acme-mlp": TINY | about, "acme-own": TINY | {"data": None}})
    shown = ganzoo_cli("show", "acme-mlp").out
    digest = hash_recipe(find_recipe("acme-mlp").resolve())
    for line in (
        "recipe acme-mlp, acme-zoo 1.0",
        "  A small perceptron",
        "  paper: Somebody 2020, arXiv:2001.00001",
        "  the paper reports: fid 12.5  (table 1)",
        "  it gave: fid 14, in 2 hours",
        "  parameters for 1 x 8 x 8 and 10 classes: 1,234 in the generator, rounded to 2",
        "  architecture = mlp",
        "  train.steps = 2",
        f"  hash: {digest}",
        "  train it: ganzoo train --recipe acme-mlp",
    ):
        assert line in shown.splitlines()
    tree = json.loads(ganzoo_cli("show", "acme-mlp", "--json").out)
    assert (tree["kind"], tree["summary"], tree["hash"]) == ("recipe", TINY["title"], digest)
    assert tree["settings"]["train.steps"] == 2
    own = ganzoo_cli("show", "acme-own").out
    assert "  data = to be given" in own
    assert "  train it: ganzoo train --recipe acme-own --data DATA" in own
    assert "hash" not in own


def test_a_recipe_that_two_packages_claim_needs_its_package(plugin, refused, ganzoo_cli):
    package(plugin, "acme-zoo", {"acme-mlp": TINY})
    package(plugin, "other-zoo", {"acme-mlp": TINY | {"loss": "lsgan"}})
    said = refused("train", "--recipe", "acme-mlp")
    assert "claimed by acme-zoo and other-zoo; write 'acme-zoo:acme-mlp' or" in said
    assert find_recipe("other-zoo:acme-mlp").loss == "lsgan"
    rows = json.loads(ganzoo_cli("list", "recipes", "--json").out)
    states = {row["package"]: row["state"] for row in rows if row["name"] == "acme-mlp"}
    assert states["other-zoo"] == "claimed twice: write other-zoo:acme-mlp"


@pytest.mark.parametrize(
    ("tree", "said"),
    [
        ({"architecture": "mlp", "optoins": 1}, "is damaged: "),
        ("a: [", "is damaged: "),
        (None, "is missing: acme_zoo_files.recipes has no acme-mlp.yaml"),
    ],
)
def test_a_recipe_whose_file_is_damaged_or_gone_is_its_packages_fault(
    tree, said, plugin, refused, ganzoo_cli
):
    package(plugin, "acme-zoo", {"acme-mlp": tree})
    message = refused("train", "--recipe", "acme-mlp")
    assert f"recipe 'acme-mlp' of acme-zoo 1.0 {said}" in message
    assert said in refused("show", "acme-mlp")
    assert "acme-mlp" in ganzoo_cli("list", "recipes").out


def test_a_check_finds_the_recipe_that_is_damaged(plugin, ganzoo_cli):
    package(plugin, "acme-zoo", {"acme-mlp": "a: ["})
    checked = json.loads(ganzoo_cli("list", "recipes", "--check", "--json").out)
    (row,) = [row for row in checked if row["name"] == "acme-mlp"]
    assert row["state"].startswith("broken: ")
    assert {row["state"] for row in checked if row["package"] == "ganzoo"} == {"works"}


def test_a_recipe_is_gone_with_its_package(plugin, monkeypatch, refused):
    site = package(plugin, "acme-zoo", {"acme-mlp": TINY})
    assert find_recipe("acme-mlp").architecture == "mlp"
    shutil.rmtree(site)
    monkeypatch.setattr(sys, "path", [each for each in sys.path if each != str(site)])
    assert "no recipe is called 'acme-mlp'" in refused("train", "--recipe", "acme-mlp")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--recipe", "digits-dcgn"], "no recipe is called 'digits-dcgn'; did you mean 'digits"),
        (["--recipe", "tuned"], "the recipe 'tuned' is one of each architecture: name an arch"),
        (["--recipe", "paper"], "the recipe 'paper' is one of each architecture: name an arch"),
        (["--recipe", ""], "--recipe is empty: give a value"),
        (
            ["dcgan", "--recipe", "digits-mlp"],
            "'digits-mlp' is a whole recipe, and none of 'dcgan'",
        ),
        (["--recipe", "digits-mlp", "--init", "RUN"], "'digits-mlp' is a whole recipe, and none"),
        (["--recipe", "digits-mlp", "--fork", "RUN"], "a recipe is chosen when a run starts: drop"),
        (["--recipe", "digits-mlp", "--resume", "RUN"], "a recipe is chosen when a run starts"),
        (["--recipe", "ffhq256-r3gan"], "the recipe names no data: give --data"),
        (["--recipe", "digits-mlp", "--set", "loss.gama=2"], "unknown option 'loss.gama'"),
        ([], "name an architecture to train, such as those of 'ganzoo list'"),
    ],
)
def test_a_recipe_that_is_not_one_is_refused_in_a_line(arguments, said, refused, tiny_run):
    Path("RUN").symlink_to(tiny_run.path)
    message = refused("train", *arguments)
    assert said in message
    assert len(message.splitlines()) == 1


def test_bench_takes_a_whole_recipe_and_a_sweep_an_architecture(plugin, monkeypatch, refused):
    package(plugin, "acme-zoo", {"acme-mlp": TINY})

    def build(config, samples):
        raise InputError(f"a trainer of {config.title}")

    monkeypatch.setattr("ganzoo.training.prepare.build_trainer", build)
    said = refused("bench", "--recipe", "acme-mlp", "--steps", 5)
    assert "a trainer of mlp trained with hinge on digits" in said
    assert "name an architecture" in refused("bench")
    said = refused("sweep", "mlp", "--set", "train.recipe=acme-mlp")
    assert "'acme-mlp' is a whole recipe, and none of 'mlp': give it to 'ganzoo train'" in said


def test_completion_offers_names_of_recipes(plugin):
    package(plugin, "acme-zoo", {"paper-mlp": TINY})
    assert _complete_recipe("pa") == ["paper", "paper-mlp"]
    assert {"tuned", "paper", "digits-dcgan"} < set(_complete_recipe(""))


@pytest.mark.parametrize(
    "title",
    [
        "title: A plain one",
        "title: R3GAN's own, at 64 x 64 pixels",
        "title:   spaces around   ",
        "title: 'It''s quoted'",
        "title: 'Colons: two'",
        'title: "Double: \\"quoted\\", \\u00e9"',
        "title: A comment # behind it",
        "title: A #number",
        "title: >-\n  Folded over\n  two lines",
        "title: Over two\n  lines",
        "title: é and — and 数",
        "title: 'a' # comment",
    ],
)
def test_a_listed_title_is_that_of_the_parser(title):
    text = f"paper: 'title: no'\n{title}\nresults:\n- 'title: nor this'\narchitecture: mlp\n"
    Path("mine.yaml").write_text(text)
    assert read_title(Path("mine.yaml")) == yaml.safe_load(text)["title"]
    assert read_recipe(Path("mine.yaml")).title == yaml.safe_load(text)["title"]


def test_a_recipe_may_have_no_title(plugin, ganzoo_cli):
    package(plugin, "acme-zoo", {"acme-mlp": {"architecture": "mlp"}, "acme-two": "title: a: b\n"})
    rows = json.loads(ganzoo_cli("list", "recipes", "--json").out)
    titles = {row["name"]: row["summary"] for row in rows if row["package"] == "acme-zoo"}
    assert titles == {"acme-mlp": "", "acme-two": ""}


def test_the_name_of_a_file_kind_must_be_that_of_a_file(plugin):
    plugin("acme-zoo", "", {"ganzoo.recipes": {"../secret": "ganzoo_zoo.recipes"}})
    with pytest.raises(PluginError, match="its name is not that of a file"):
        registry.find(RECIPE, "../secret").locate(".yaml")


# The hash ------------------------------------------------------------------------------------

IGNORED = {
    *("seed", "recipe", "device", "log_every", "sample_every", "checkpoint_every"),
    *("eval_every", "eval_metric", "eval_features", "eval_samples", "memorisation_below"),
}


def other_value(value):
    """Return another value of the same kind."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, list | tuple):
        return (*map(other_value, value),) or ("more",)
    return f"{value or ''}x"


@pytest.mark.parametrize("name", TrainOptions.model_fields)
def test_the_hash_depends_on_what_decides_what_is_learnt(name, moving):
    config = moving.config()
    value = getattr(config.train, name)
    other = (0.1, 0.2) if name.endswith("_betas") else other_value(value)
    train = config.train.model_copy(update={name: other})
    changed = hash_recipe(config.model_copy(update={"train": train}))
    assert (changed == hash_recipe(config)) == (name in IGNORED)


def test_the_hash_depends_on_every_option_of_each_component(moving):
    config = moving.config()
    hashes = [hash_recipe(config)]
    for word in ("architecture", "loss", "data"):
        choice = getattr(config, word)
        for name, value in choice.options.items():
            other = choice.with_options({name: other_value(value)})
            hashes.append(hash_recipe(config.model_copy(update={word: other})))
        other = choice.model_copy(update={"name": "other"})
        hashes.append(hash_recipe(config.model_copy(update={word: other})))
    for word in ("penalties", "augmentations"):
        for i, choice in enumerate(getattr(config, word)):
            for name, value in choice.options.items():
                found = list(getattr(config, word))
                found[i] = choice.with_options({name: other_value(value)})
                hashes.append(hash_recipe(config.model_copy(update={word: tuple(found)})))
        hashes.append(hash_recipe(config.model_copy(update={word: ()})))
    hashes.append(hash_recipe(config.model_copy(update={"schedules": {}})))
    model = InitialModel(name="a", step=3, generator_sha256="a", discriminator_sha256="b")
    for start in (
        {"init": model},
        {"init": model.model_copy(update={"discriminator_sha256": "c"})},
        {"fork": ForkedState(name="a", step=3, manifest_sha256="c")},
        {"fork": ForkedState(name="a", step=3, manifest_sha256="d")},
    ):
        hashes.append(hash_recipe(config.model_copy(update=start)))
    assert len(hashes) > 25
    assert len(set(hashes)) == len(hashes)


def test_an_option_that_came_later_does_not_change_the_hash_of_what_was_before():
    config = resolve("mlp", data="digits")
    options = dict(config.architecture.options)
    assert options.pop("discriminator_hidden") is None
    earlier = config.architecture.model_copy(update={"options": options})
    assert hash_recipe(config.model_copy(update={"architecture": earlier})) == hash_recipe(config)
    other = resolve("mlp", data="digits", settings={"arch.discriminator_hidden": [8]})
    assert hash_recipe(other) != hash_recipe(config)
    elsewhere = config.architecture.model_copy(update={"package": "ganzoo-gone"})
    assert hash_recipe(config.model_copy(update={"architecture": elsewhere}))


def test_the_hash_is_the_same_on_other_machines_and_in_other_places():
    mine = resolve("mlp", data="folder", settings={"data.path": "/mine", "data.image_size": 8})
    theirs = resolve("mlp", data="folder", settings={"data.path": "/theirs", "data.image_size": 8})
    watched = theirs.model_copy(
        update={
            "trackers": resolve("mlp", data="ring", trackers=["report"]).trackers,
            "versions": {"torch": "1"},
            "threads": 3,
            "data_fingerprint": "abc",
            "regular_until": 5,
            "loss": theirs.loss.model_copy(update={"version": "9"}),
        }
    )
    assert hash_recipe(mine) == hash_recipe(theirs) == hash_recipe(watched)
    model = InitialModel(name="a", step=3, generator_sha256="a", discriminator_sha256="b")
    renamed = model.model_copy(update={"name": "b", "step": 4})
    assert hash_recipe(mine.model_copy(update={"init": model})) == hash_recipe(
        mine.model_copy(update={"init": renamed})
    )
    state = ForkedState(name="a", step=3, manifest_sha256="c")
    moved = state.model_copy(update={"name": "b"})
    assert hash_recipe(mine.model_copy(update={"fork": state})) == hash_recipe(
        mine.model_copy(update={"fork": moved})
    )
