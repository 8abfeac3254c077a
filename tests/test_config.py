"""From names and overrides to a configuration with every option."""

import inspect
import json
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest
from pydantic import ValidationError

import ganzoo
from ganzoo.config import (
    ARCHITECTURE_KEYWORDS,
    DATA_KEYWORDS,
    OTHER_WORDS,
    RunConfig,
    TrainKeywords,
    TrainOptions,
    TrainSettings,
    versions,
)
from ganzoo.errors import InputError, PluginError
from ganzoo.protocols.recipe import IN_JUMPS, SCHEDULABLE, RecipeOptions
from ganzoo.registry import ARCHITECTURE, DATASET, LOSS, entries, get
from ganzoo.resolve import change_config, parse_settings, resolve

SETTINGS = {"arch.base_channels": 8, "data.image_size": "16", "train.steps": 400}


@pytest.fixture
def config():
    return resolve("dcgan", "wgan-gp", "digits", SETTINGS)


@pytest.mark.parametrize("name", ["non-saturating", "wgan", "wgan-gp"])
def test_the_recipe_of_the_loss_is_how_a_run_is_trained(name):
    recipe = get(LOSS, name).recipe
    train = resolve("r3gan", name, "digits", {"train.recipe": "paper"}).train
    wanted = recipe.model_dump(include=set(RecipeOptions.model_fields))
    assert train.model_dump(include=set(wanted)) == wanted


def test_what_a_recipe_says_can_be_overridden_one_by_one():
    paper = {"train.recipe": "paper"}
    plain = resolve("mlp", "wgan-gp", "ring", paper).train
    settings = {"train.n_critic": "2", "train.betas": "0.5,0.9", "train.steps": 7}
    train = resolve("mlp", "wgan-gp", "ring", paper | settings).train
    assert (train.n_critic, train.betas, train.steps) == (2, (0.5, 0.9), 7)
    kept = {"n_critic": 5, "betas": (0.0, 0.9), "steps": plain.steps}
    assert train.model_copy(update=kept) == plain


RECIPES = """
from ganzoo import Architecture, Loss, Recipe
from ganzoo_zoo.families.mlp import MLP
from ganzoo_zoo.losses.non_saturating import NonSaturating

class Net(MLP):
    "Has recipes of all kinds."
    default_loss = "short"
    tuned_recipes = (
        Recipe(loss="short", data="vectors", steps=1, settings={"arch.z_dim": 3}),
        Recipe(loss="short", steps=2, settings={"loss.weight": 5}),
    )
    recipe = Recipe(steps=3, settings={"arch.hidden": [5]})

class Long(Net):
    "Its paper has a loss that is not its default."
    tuned_recipes = ()
    recipe = Recipe(loss="other", steps=4)

class Bare(MLP):
    "Has none."
    tuned_recipes = ()
    recipe = None

class Short(NonSaturating):
    "Has two."
    weight: float = 1.0
    tuned_recipes = (Recipe(data="images", steps=5),)
    recipe = Recipe(steps=6)

class Other(NonSaturating):
    "Has one."
    tuned_recipes = ()
    recipe = Recipe(steps=7)
"""


@pytest.fixture
def recipes(plugin):
    architectures = {"net": "Net", "long": "Long", "bare": "Bare"}
    losses = {"short": "Short", "other": "Other"}
    names = {"ganzoo.architectures": architectures, "ganzoo.losses": losses}
    plugin(
        "ganzoo-recipes",
        RECIPES,
        {
            kind: {name: f"ganzoo_recipes:{found}" for name, found in each.items()}
            for kind, each in names.items()
        },
    )


@pytest.mark.parametrize(
    ("architecture", "loss", "data", "tuned", "paper"),
    [
        ("net", "short", "ring", 1, 3),
        ("net", "short", "digits", 2, 3),
        ("net", "other", "ring", 7, 7),
        ("long", "short", "digits", 5, 6),
        ("long", "short", "ring", 6, 6),
        ("long", "other", "ring", 4, 4),
        ("bare", "short", "digits", 5, 6),
        ("bare", "other", "digits", 7, 7),
    ],
)
def test_one_recipe_counts(recipes, architecture, loss, data, tuned, paper):
    assert resolve(architecture, loss, data).train.steps == tuned
    found = resolve(architecture, loss, data, {"train.recipe": "paper"}).train
    assert (found.recipe, found.steps) == ("paper", paper)


HEIRS = """
from ganzoo import Recipe
from ganzoo_zoo.families.dcgan import DCGAN
from ganzoo_zoo.losses.non_saturating import NonSaturating

class Plain(DCGAN):
    "Inherits all recipes."

class Heir(DCGAN):
    "Has a recipe of its own."
    recipe = Recipe(loss="wgan-gp", steps=11)

class Both(Heir):
    "Has both."
    tuned_recipes = (Recipe(steps=12),)

class Old(NonSaturating):
    "Has two."
    tuned_recipes = (Recipe(steps=13),)

class Young(Old):
    "Has one."
    recipe = Recipe(steps=14)
"""


@pytest.mark.parametrize(
    ("architecture", "loss", "steps"),
    [
        ("plain", "wgan-gp", 16_000),
        ("heir", "wgan-gp", 11),
        ("both", "wgan-gp", 12),
        ("heir", "old", 13),
        ("heir", "young", 14),
    ],
)
def test_a_recipe_of_ones_own_counts_before_inherited_ones(
    plugin, ganzoo_cli, architecture, loss, steps
):
    architectures = {name.lower(): f"ganzoo_heirs:{name}" for name in ("Plain", "Heir", "Both")}
    losses = {name.lower(): f"ganzoo_heirs:{name}" for name in ("Old", "Young")}
    points = {"ganzoo.architectures": architectures, "ganzoo.losses": losses}
    plugin("ganzoo-heirs", HEIRS, points)
    assert resolve(architecture, loss, "digits").train.steps == steps
    for name, count in (("heir", 0), ("both", 1), ("young", 0)):
        assert len(json.loads(ganzoo_cli("show", name, "--json").out)["tuned_recipes"]) == count


def test_a_recipe_sets_options_of_components_below_your_own(recipes):
    assert resolve("net", "short", "ring").architecture.options["z_dim"] == 3
    assert resolve("net", "short", "digits").loss.options["weight"] == 5
    own = resolve("net", "short", "ring", {"arch.z_dim": 9})
    assert own.architecture.options["z_dim"] == 9
    assert resolve("net", "short", "digits").architecture.options["z_dim"] == 64
    paper = resolve("net", None, "ring", {"train.recipe": "paper"})
    assert paper.architecture.options["hidden"] == [5]


def test_the_papers_recipe_brings_its_loss(recipes):
    assert resolve("long", None, "ring").loss.name == "short"
    assert resolve("long", None, "ring", {"train.recipe": "paper"}).loss.name == "other"


def test_a_recipe_is_chosen_when_a_run_starts(config):
    with pytest.raises(InputError, match="chosen when a run starts"):
        change_config(config, {}, {"train.recipe": "paper"})
    assert change_config(config, {}, {"train.recipe": "tuned"}).train == config.train


def test_the_paper_of_dcgan_is_one_word_away():
    config = resolve("dcgan", None, "digits", {"train.recipe": "paper"})
    assert config.loss.name == "non-saturating"
    assert config.train.batch_size == 128
    wanted = {"prior": "uniform", "base_channels": 128}
    assert wanted.items() <= config.architecture.options.items()


def bare(annotation: Any) -> Any:
    """Return a type without the bounds of its values, and so of those that it holds."""
    if get_origin(annotation) is Annotated:
        return bare(get_args(annotation)[0])
    if get_origin(annotation) in (None, Literal):
        return annotation
    parts = tuple(bare(each) for each in get_args(annotation))
    if get_origin(annotation) in (Union, UnionType):
        return frozenset(parts)
    return get_origin(annotation), parts


def test_keywords_of_train_are_the_options_of_a_training():
    fields = {name: bare(field.annotation) for name, field in TrainSettings.model_fields.items()}
    for name, field in TrainSettings.model_fields.items():
        if field.json_schema_extra in (SCHEDULABLE, IN_JUMPS):  # a schedule is a text
            several = fields[name] if isinstance(fields[name], frozenset) else {fields[name]}
            fields[name] = frozenset({*several, str})
    hints = get_type_hints(TrainKeywords)
    of_parts = {name: hints.pop(name) for name in (*DATA_KEYWORDS, *ARCHITECTURE_KEYWORDS)}
    assert {name: bare(hint) for name, hint in hints.items()} == fields
    assert all(hint is not Any for hint in of_parts.values())
    keywords = inspect.signature(ganzoo.train).parameters["train_options"]
    assert keywords.annotation == "Unpack[TrainKeywords]"


def test_options_of_parts_have_their_own_names_from_python(tmp_path):
    sizes = {"image_size": 8, "steps": 0, "batch_size": 4, "recipe": "paper", "device": "cpu"}
    run = ganzoo.train("mlp", data="digits", out=tmp_path / "run", **sizes)
    assert run.config().data.options["image_size"] in (8, [8, 8])
    assert ganzoo.load(run).images(1)[0].size == (8, 8)
    for name in (*DATA_KEYWORDS, *ARCHITECTURE_KEYWORDS):
        with pytest.raises(InputError, match=rf"(data|arch)\.{name}"):
            ganzoo.train("mlp", data="ring", **{name: object()})
    with pytest.raises(InputError, match=r"'data\.image_sise'; did you mean 'image_size'"):
        ganzoo.train("mlp", data="digits", settings={"data.image_sise": 8})


def test_an_unknown_keyword_of_train_offers_the_nearest():
    with pytest.raises(InputError, match=r"'train\.step'; did you mean 'steps'\?"):
        ganzoo.train("mlp", data="ring", step=1)


def test_the_configuration_holds_every_option(config):
    stored = config.model_dump(mode="json")
    for part, kind, name in (
        ("architecture", ARCHITECTURE, "dcgan"),
        ("loss", LOSS, "wgan-gp"),
        ("data", DATASET, "digits"),
    ):
        assert stored[part]["name"] == name
        assert stored[part]["package"] == "ganzoo"
        assert stored[part]["options"].keys() == get(kind, name).model_fields.keys()
    assert stored["architecture"]["options"]["base_channels"] == 8
    assert stored["architecture"]["options"]["z_dim"] == 100
    assert stored["data"]["options"] == {"image_size": [16, 16]}
    assert stored["train"].keys() == TrainOptions.model_fields.keys()
    assert stored["versions"] == versions()
    assert {"python", "ganzoo", "torch", "torch-fidelity"} <= stored["versions"].keys()
    assert config.title == "dcgan trained with wgan-gp on digits"


def test_an_architecture_has_defaults_of_its_own():
    config = resolve("mlp")
    mlp = get(ARCHITECTURE, "mlp")
    assert (config.loss.name, config.data.name) == (mlp.default_loss, mlp.default_data)


def test_an_architecture_that_declares_no_defaults_asks_for_a_loss(plugin, monkeypatch):
    code = """
from ganzoo import Architecture

class Bare(Architecture):
    '''No defaults.'''
    z_dim: int = 2
    def generator(self, data): raise NotImplementedError
    def discriminator(self, data, *, independent_samples=False): raise NotImplementedError
"""
    plugin("acme", code, {"ganzoo.architectures": {"bare": "acme:Bare"}})
    with pytest.raises(InputError) as caught:
        resolve("bare")
    assert str(caught.value) == "architecture 'bare' has no default loss; give --loss"
    assert resolve("bare", "hinge").data.name == "digits"
    with monkeypatch.context() as patched:
        patched.setattr(get(DATASET, "digits"), "is_default", False)
        with pytest.raises(InputError) as caught:
            resolve("bare", "hinge")
    assert str(caught.value) == (
        "architecture 'bare' has no default data, and none is installed; give --data"
    )
    assert resolve("bare", "hinge", "ring").architecture.package == "acme"


def test_the_default_data_are_those_of_the_architectures_package_or_else_the_first(plugin):
    code = """
from ganzoo import Dataset
from ganzoo_zoo.families.mlp import MLP

class Bare(MLP):
    "No default data."
    default_data = None

class Own(Dataset):
    "Data."
    is_default = True
    def read(self): raise NotImplementedError
"""
    data = {"digits": "acme:Own", "aaa": "acme:Missing"}
    plugin("acme", code, {"ganzoo.architectures": {"bare": "acme:Bare"}, "ganzoo.datasets": data})
    chosen = resolve("bare").data
    assert (chosen.package, chosen.name) == ("acme", "digits"), "though the name is claimed twice"
    points = {
        "ganzoo.architectures": {"other-bare": "other:Bare"},
        "ganzoo.datasets": {"zzz": "other:Own"},
    }
    plugin("other", code, points)
    chosen = resolve("other-bare").data
    assert (chosen.package, chosen.name) == ("other", "zzz")


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("weight", ";"),
        ("archs.z_dim", "; did you mean 'arch'?"),
        ("lost.gp_weight", "; did you mean 'loss'?"),
        ("arch.", "; did you mean 'arch'?"),
        (".z_dim", ";"),
        ("model.z_dim", ";"),
    ],
)
def test_a_setting_says_whose_option_it_is(key, hint):
    with pytest.raises(InputError) as caught:
        resolve("dcgan", settings={key: 1})
    assert str(caught.value) == (
        f"'{key}' does not say whose option it is{hint} "
        "write arch.OPTION, loss.OPTION, data.OPTION, train.OPTION, penalty.NAME.OPTION, "
        "augment.NAME.OPTION, tracker.NAME.OPTION"
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"arch.base_chanels": 1}, "unknown option 'arch.base_chanels'; did you mean 'base_chan"),
        ({"loss.gp": 1}, "unknown option 'loss.gp'"),
        ({"data.size": 1}, "unknown option 'data.size'; did you mean 'image_size'?"),
        ({"train.step": 1}, "unknown option 'train.step'; did you mean 'steps'?"),
        ({"train.steps": -1}, "option 'train.steps': input should be greater than or equal to 0"),
        ({"train.seed": 2**63}, "option 'train.seed': input should be less than"),
        ({"train.betas": "1,0"}, "option 'train.betas': input should be less than 1"),
        ({"loss.gp_weight": "nan"}, "option 'loss.gp_weight': input should be a finite number"),
    ],
)
def test_a_wrong_setting_is_named(settings, message):
    with pytest.raises(InputError) as caught:
        resolve("dcgan", "wgan-gp", "digits", settings)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


WORDS = {
    "lr": "'train.generator_lr' and 'train.discriminator_lr'",
    "learning_rate": "'train.generator_lr' and 'train.discriminator_lr'",
    "epochs": "'train.steps'",
    "steps": "'train.steps'",
    "batch": "'train.batch_size'",
    "gpu": "'train.device'",
    "resolution": "'data.image_size'",
    "z_dim": "'arch.z_dim'",
    "nz": "'arch.z_dim'",
    "base_channels": "'arch.base_channels'",
    "grad_clip": "'train.clip_norm'",
    "gradient_accumulation_steps": "'train.accumulate'",
    "adam_eps": "'train.eps'",
    "r1_gamma": "'train.penalty'",
    "gp_lambda": "'loss.gp_weight'",
}


@pytest.mark.parametrize("word", WORDS)
def test_a_word_of_other_programs_is_answered_with_ours(word):
    with pytest.raises(InputError) as caught:
        resolve("dcgan", settings={word: 1})
    assert str(caught.value) == (
        f"'{word}' does not say whose option it is; did you mean {WORDS[word]}?"
    )
    if word != "steps":
        with pytest.raises(InputError) as caught:
            ganzoo.train("dcgan", data="digits", **{word: 1})
        meant = WORDS[word].replace("train.", "")
        assert str(caught.value) == f"unknown option 'train.{word}'; did you mean {meant}?"


def test_only_options_that_there_are_are_offered():
    with pytest.raises(InputError, match=r"^unknown option 'loss.nz'; did you mean 'arch.z_dim'\?"):
        resolve("mlp", settings={"loss.nz": 1})
    with pytest.raises(
        InputError, match=r"^unknown option 'arch.ngf'; known: z_dim, prior, hidden"
    ):
        resolve("mlp", settings={"arch.ngf": 1})


def test_every_option_that_other_words_stand_for_exists():
    known = {f"train.{name}" for name in TrainSettings.model_fields}
    for prefix, kind in (("arch", ARCHITECTURE), ("loss", LOSS), ("data", DATASET)):
        known |= {f"{prefix}.{name}" for each in entries(kind) for name in each.load().model_fields}
    assert set(OTHER_WORDS) <= known
    names = {name.partition(".")[2] for name in known}
    assert [word for words in OTHER_WORDS.values() for word in words.split() if word in names] == []


def test_settings_are_read_as_key_and_value():
    assert parse_settings(["train.steps=5", "data.path=a=b", "arch.x="]) == {
        "train.steps": "5",
        "data.path": "a=b",
        "arch.x": "",
    }


@pytest.mark.parametrize("item", ["train.steps", "=5", ""])
def test_a_setting_without_key_or_value_is_refused(item):
    with pytest.raises(InputError) as caught:
        parse_settings([item])
    assert str(caught.value) == f"--set {item}: write KEY=VALUE, such as train.steps=1000"


def test_a_setting_given_twice_is_refused():
    with pytest.raises(InputError, match=r"^--set train\.steps is given twice$"):
        parse_settings(["train.steps=5", "train.seed=1", "train.steps=5"])


def test_a_configuration_survives_json(config):
    config = config.model_copy(update={"data_fingerprint": "0" * 64})
    stored = json.loads(json.dumps(config.model_dump(mode="json"), allow_nan=False))
    again = RunConfig.model_validate(stored)
    assert again == config
    assert type(again.train.betas[0]) is float
    assert again.data.build(DATASET) == config.data.build(DATASET)


@pytest.mark.parametrize(
    "change",
    [
        {"surplus": 1},
        {"format": 2},
        {"train": {"steps": 1, "surplus": 1}},
        {"loss": None},
        {"versions": {"torch": 2}},
    ],
    ids=str,
)
def test_a_stored_configuration_is_checked(config, change):
    with pytest.raises(ValidationError):
        RunConfig.model_validate({**config.model_dump(mode="json"), **change})


def test_a_choice_rebuilds_its_component(config):
    built = config.architecture.build(ARCHITECTURE)
    assert built == get(ARCHITECTURE, "dcgan")(base_channels=8)


def test_a_choice_does_not_take_what_does_not_fit(config):
    wrong = config.architecture.model_copy(update={"options": {"base_channels": 0}})
    with pytest.raises(
        InputError, match=r"^option 'architecture dcgan: base_channels': input should be greater"
    ):
        wrong.build(ARCHITECTURE)
    gone = config.architecture.model_copy(update={"package": "acme"})
    with pytest.raises(PluginError, match=r"pip install acme\n"):
        gone.build(ARCHITECTURE)


def test_no_difference_to_itself(config):
    assert config.differences(config) == []
    again = resolve("dcgan", "wgan-gp", "digits", SETTINGS)
    assert config.differences(again) == []


def test_differences_name_the_option_and_both_values():
    settings = {"arch.base_channels": 8, "data.image_size": 32, "train.steps": 800}
    paper = {"train.recipe": "paper"}
    config = resolve("dcgan", "wgan-gp", "digits", {**SETTINGS, **paper})
    other = resolve("dcgan", "hinge", "digits", {**settings, **paper})
    assert config.differences(other) == [
        "data.options.image_size: [16, 16] -> [32, 32]",
        "loss.name: wgan-gp -> hinge",
        "loss.options.gp_weight: 10.0 -> None",
        "loss.options.jitter: None -> 0.0",
        "train.betas: [0.0, 0.9] -> [0.5, 0.999]",
        "train.discriminator_lr: 0.0001 -> 0.0002",
        "train.generator_lr: 0.0001 -> 0.0002",
        "train.n_critic: 5 -> 1",
        "train.steps: 400 -> 800",
    ]


def test_nothing_changed_is_the_same(config):
    assert change_config(config, {}, {}) == config
    assert change_config(config, {"architecture": "dcgan", "loss": "ganzoo:wgan-gp"}, {}) == config


def test_changed_options_leave_the_others_alone(config):
    again = change_config(config, {}, {"train.steps": "800", "loss.gp_weight": 5})
    assert config.differences(again) == [
        "loss.options.gp_weight: 10.0 -> 5.0",
        "train.steps: 400 -> 800",
    ]


def test_a_changed_name_brings_its_own_options_and_no_recipe(config):
    again = change_config(config, {"architecture": "mlp", "loss": "hinge"}, {"arch.hidden": "8"})
    wanted = {"z_dim": 64, "prior": "normal", "hidden": [8], "conditional": False}
    wanted["discriminator_hidden"] = None
    assert again.architecture.options == wanted
    assert (again.loss.name, again.loss.options) == ("hinge", {"jitter": 0.0})
    assert again.train == config.train
    assert again.data == config.data


def test_a_name_of_another_package_brings_its_own_options(config, plugin):
    code = """
from ganzoo import Loss

class Mine(Loss):
    '''Named like one of the box.'''
    def discriminator_loss(self, D, real, fake): return {}
    def generator_loss(self, D, real, fake): return {}
"""
    plugin("acme", code, {"ganzoo.losses": {"wgan-gp": "acme:Mine"}})
    again = change_config(config, {"loss": "acme:wgan-gp"}, {})
    assert (again.loss.package, again.loss.options) == ("acme", {})
    assert change_config(config, {}, {}) == config


def test_changed_data_may_be_a_path(config, tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    first = change_config(config, {"data": "one"}, {"data.image_size": 8})
    assert first.data.name == "folder"
    assert first.data.options["path"] == str(tmp_path / "one")
    second = change_config(first, {"data": "two"}, {})
    assert first.differences(second) == [
        f"data.options.path: {tmp_path / 'one'} -> {tmp_path / 'two'}"
    ]


def test_changed_refuses_what_resolve_refuses(config):
    for names, settings, message in (
        ({"loss": "wgan_gp"}, {}, "no loss is called"),
        ({}, {"train.step": 1}, "unknown option 'train.step'"),
        ({}, {"steps": 1}, "does not say whose option"),
        ({"data": "no/such/folder"}, {}, "there is no folder or file"),
    ):
        with pytest.raises(InputError, match=message):
            change_config(config, names, settings)


def test_a_configuration_of_a_missing_package_says_what_to_install(config):
    loss = config.loss.model_copy(update={"package": "acme", "version": "2.0"})
    with pytest.raises(PluginError, match=r"comes from the package acme 2\.0, which is not"):
        change_config(config.model_copy(update={"loss": loss}), {}, {"train.steps": 800})


def test_a_path_given_twice_is_refused(tmp_path):
    (tmp_path / "one").mkdir()
    with pytest.raises(InputError, match="the path of the data is given twice: one, and by data"):
        resolve("mlp", data="one", settings={"data.path": "two"})
