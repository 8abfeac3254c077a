"""What a plugin is made for: another ganzoo is listed as such and refused, and terms are asked."""

import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import ganzoo
from ganzoo import Loss, Penalty, registry
from ganzoo.errors import PluginError
from ganzoo.registry import COMMAND, LOSS, RECIPE, find_entry
from ganzoo.requirement import build_dependency, build_requirement, find_unmet
from ganzoo.training.terms import TermChecks
from test_registry import LOSS_CODE
from tiny import TINY

NEXT = ">=0.2,<0.3"
REFUSED = (
    f"of acme 2.5 is made for ganzoo {NEXT}, and this is ganzoo {ganzoo.__version__}: "
    "install another version of acme, or of ganzoo"
)
COMMAND_CODE = "'''Paint.'''\nimport typer\napp = typer.Typer()\napp.command()(print)\n"


# What a package requires -------------------------------------------------------------------------


def test_packages_depend_on_this_minor_version():
    assert build_dependency() == "ganzoo>=0.1,<0.2"
    assert build_dependency().startswith(build_requirement())


@pytest.mark.parametrize(
    ("installed", "wanted"),
    [("0.9.3", "ganzoo>=0.9,<0.10"), ("1.4.0", "ganzoo>=1.4,<2"), ("2.0", "ganzoo>=2.0,<3")],
)
def test_what_packages_depend_on_follows_the_version(installed, wanted, monkeypatch):
    monkeypatch.setattr("ganzoo.requirement.version", lambda package: installed)
    assert build_dependency() == wanted
    assert find_unmet([build_dependency()]) == ""


@pytest.mark.parametrize(
    ("requirement", "unmet"),
    [
        ("ganzoo<0.3,>=0.2", NEXT),
        ("Ganzoo (==0.0.9)", "==0.0.9"),
        ("ganzoo[demo]>=7", ">=7"),
        ("ganzoo>=9; python_version >= '3'", ">=9"),
        ("ganzoo>=9; python_version < '3'", ""),
        ("ganzoo>=9; extra == 'old'", ""),
        ("ganzoo", ""),
        ("ganzoo>=0.1,<0.2", ""),
        ("ganzoo @ https://example.org/ganzoo.zip", ""),
        ("ganzoo-shapes>=9", ""),
        ("ganzoo.shapes>=9", ""),
        ("ganzoo>=", ""),
        ("torch>=99", ""),
    ],
)
def test_what_a_package_asks_of_ganzoo_is_read(requirement, unmet):
    assert find_unmet(["numpy", requirement]) == unmet


def test_a_version_on_the_way_to_a_release_is_compared_as_pip_does(monkeypatch):
    monkeypatch.setattr("ganzoo.requirement.version", lambda package: "0.1.1.dev3")
    assert find_unmet(["ganzoo>=0.1,<0.2"]) == ""
    assert find_unmet(["ganzoo>=0.1.1"]) == ">=0.1.1"


# Plugins made for another ganzoo -----------------------------------------------------------------


@pytest.fixture
def newer(plugin):
    """A package for the next minor version, whose code must not be imported."""
    code = f"{LOSS_CODE}\nfrom pathlib import Path\nPath(__file__).with_suffix('.ran').touch()"
    points = {
        "ganzoo.losses": {"acme-loss": "acme:Mine"},
        "ganzoo.recipes": {"acme-recipe": "acme_files"},
        "ganzoo.models": {"acme-model": "acme_files"},
        "ganzoo.commands": {"paint": "acme_command:app"},
    }
    site = plugin("acme", code, points, version="2.5", requires=(f"ganzoo{NEXT}", "numpy"))
    (site / "acme_command.py").write_text(COMMAND_CODE)
    (site / "acme_files").mkdir()
    text = "title: A recipe of tomorrow.\narchitecture: mlp\n"
    (site / "acme_files" / "acme-recipe.yaml").write_text(text)
    yield site
    assert not (site / "acme.ran").exists()
    assert "acme" not in sys.modules


def test_a_plugin_made_for_another_ganzoo_is_listed_as_such(newer, ganzoo_cli):
    rows = [
        row
        for words in (["losses"], ["recipes", "--check"], ["models", "--check"], ["commands"])
        for row in json.loads(ganzoo_cli("list", *words, "--json").out)
        if row["package"] == "acme"
    ]
    assert [row["name"] for row in rows] == ["acme-loss", "acme-recipe", "acme-model", "paint"]
    assert {row["state"] for row in rows} == {f"made for ganzoo {NEXT}"}
    assert rows[1]["summary"] == "A recipe of tomorrow."
    listed = ganzoo_cli("list", "losses").out
    assert f"A loss of another package [acme 2.5] (made for ganzoo {NEXT})\n" in listed
    assert f"made for ganzoo {NEXT}" in ganzoo_cli("list", "models").out
    helped = " ".join(ganzoo_cli("--help").out.split())
    assert f"Paint. [acme 2.5, made for ganzoo {NEXT}]" in helped


@pytest.mark.parametrize(
    ("command", "what"),
    [
        (["train", "mlp", "--loss", "acme-loss"], "loss 'acme-loss'"),
        (["show", "acme-loss"], "loss 'acme-loss'"),
        (["train", "--recipe", "acme-recipe"], "recipe 'acme-recipe'"),
        (["show", "acme-recipe"], "recipe 'acme-recipe'"),
        (["sample", "acme-model"], "model 'acme-model'"),
        (["paint"], "command 'paint'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_it_is_refused_with_both_versions(newer, refused, command, what):
    assert refused(*command) == f"Error: {what} {REFUSED}"
    assert not Path("runs").exists()


def test_python_functions_refuse_it_too(newer):
    assert "acme-loss" in ganzoo.list("losses")
    with pytest.raises(PluginError, match=re.escape(REFUSED)):
        ganzoo.train("mlp", loss="acme-loss", steps=1)
    assert registry.find(RECIPE, "acme-recipe").made_for == NEXT
    assert registry.find(COMMAND, "paint").made_for == NEXT


def test_a_plugin_made_for_this_ganzoo_works(plugin):
    points = {"ganzoo.losses": {"acme-loss": "acme:Mine"}}
    plugin("acme", LOSS_CODE, points, version="2.5", requires=(build_dependency(),))
    entry = registry.find(LOSS, "acme-loss")
    assert entry.made_for == ""
    assert find_entry(entry.load()) == entry
    assert sys.modules.pop("acme").Mine.__name__ == "Mine"
    assert find_entry(registry.get(LOSS, "hinge")).title.startswith("loss 'hinge' of ganzoo ")
    assert find_entry(type("Elsewhere", (Loss,), {})) is None
    entry.require_fitting()
    with pytest.raises(PluginError, match=r"is made for ganzoo ==0\.0\.1"):
        replace(entry, made_for="==0.0.1").require_fitting()


# What a loss gives -------------------------------------------------------------------------------

FAULTS = {
    "a tensor": (
        "D(fake).mean()",
        "must return a dict of named terms, such as {'real': ...}, not Tensor",
    ),
    "nothing": ("None", "must return a dict of named terms, such as {'real': ...}, not None"),
    "no terms": ("{}", "must return a dict of named terms, such as {'real': ...}, not {}"),
    "a term of each sample": (
        "{'mine': D(fake)}",
        "term 'mine' must be a scalar tensor: take the mean over the batch",
    ),
    "a number": (
        "{'mine': D(fake).mean().item()}",
        "term 'mine' must be a scalar tensor: take the mean over the batch",
    ),
    "a whole number": (
        "{'mine': D(fake).mean().long()}",
        "term 'mine' must be of floats, not of torch.int64",
    ),
}
METHODS = {
    "discriminator_loss": "{'critic': D(fake).mean() - D(real).mean()}",
    "generator_loss": "{'adversarial': -D(fake).mean()}",
}


@pytest.mark.parametrize(
    ("method", "what"),
    [*(("discriminator_loss", what) for what in FAULTS), ("generator_loss", "a tensor")],
)
def test_a_loss_that_gives_no_scalars_is_named(plugin, refused, method, what):
    given, fault = FAULTS[what]
    code = LOSS_CODE.replace(METHODS[method].replace("'", '"'), given)
    assert given in code
    plugin("acme", code, {"ganzoo.losses": {"acme-loss": "acme:Mine"}}, version="2.5")
    small = ["--set", "arch.hidden=4", "--steps=2", "--batch-size=4", "--device=cpu"]
    said = refused("train", "mlp", "--loss", "acme-loss", "--data", "ring", *small)
    subject = "" if fault.startswith("term") else f"{method}() "
    assert said == f"Error: loss 'acme-loss' of acme 2.5: {subject}{fault}"


class PerSample(Penalty):
    """Forgets the mean."""

    def generator_terms(self, D, real, fake):
        return {"sizes": fake.flatten(1).square().mean(1)}


def test_a_penalty_that_gives_no_scalars_is_named(plugin):
    code = "from test_versions import PerSample"
    plugin("acme", code, {"ganzoo.penalties": {"sizes": "acme:PerSample"}}, version="2.5")
    with pytest.raises(PluginError) as caught:
        ganzoo.train(
            "mlp",
            data="ring",
            settings={"arch.hidden": [4], "train.penalty": ["sizes"]},
            **TINY,
        )
    assert str(caught.value) == (
        "penalty 'sizes' of acme 2.5: term 'sizes' must be a scalar tensor: take the mean over the "
        "batch"
    )


class Counted(dict):
    """Counts how often its terms are listed."""

    looks = 0

    def items(self):
        type(self).looks += 1
        return super().items()


def test_terms_are_looked_at_once():
    loss, checks = registry.get(LOSS, "hinge")(), TermChecks()
    for _ in range(3):
        checks.check(loss, loss.generator_loss, Counted(adversarial=torch.tensor(1.0)))
    assert Counted.looks == 1
    checks.check(loss, loss.discriminator_loss, Counted(real=torch.tensor(1.0)))
    assert Counted.looks == 2


def test_a_penalty_that_is_not_due_is_looked_at_later():
    penalty, checks = PerSample(), TermChecks()
    checks.check(penalty, penalty.generator_terms, {})
    with pytest.raises(PluginError, match="term 'sizes' must be a scalar"):
        checks.check(penalty, penalty.generator_terms, {"sizes": torch.ones(3)})
