"""Finding components by name: what is installed, what is broken, what is claimed twice."""

import json
import re
import shutil
import sys
from pathlib import Path

import pytest
from PIL import Image

import ganzoo
from ganzoo import registry
from ganzoo.errors import InputError, PluginError
from ganzoo.registry import (
    ARCHITECTURE,
    AUGMENTATION,
    COMMAND,
    CONVERTER,
    DATASET,
    EVALUATOR,
    FEATURE_EXTRACTOR,
    KINDS,
    LOSS,
    SPACE,
    TRACKER,
)
from tiny import sealed

LOSS_CODE = """
from ganzoo import Loss

class Mine(Loss):
    '''A loss of another package.'''

    def discriminator_loss(self, D, real, fake):
        return {"critic": D(fake).mean() - D(real).mean()}

    def generator_loss(self, D, real, fake):
        return {"adversarial": -D(fake).mean()}
"""

ARCHITECTURE_CODE = """
from pydantic import Field
from torch import nn
from ganzoo import Architecture

class Line(Architecture):
    '''A linear layer each way.'''

    z_dim: int = Field(default=4, gt=0, description="Length of a latent.")

    def generator(self, data):
        return nn.Sequential(nn.Linear(self.z_dim, data.size), nn.Unflatten(1, data.shape))

    def discriminator(self, data, *, independent_samples=False):
        return nn.Sequential(nn.Flatten(), nn.Linear(data.size, 1), nn.Flatten(0))
"""

EVALUATOR_CODE = """
from ganzoo import Evaluator, Score

class Judge(Evaluator):
    '''A metric of another package.'''

    higher_is_better = True

    def evaluate(self, fake, real):
        return [Score(1.0)]
"""

TINY_MLP = ["--steps", "2", "--batch-size", "4", "--device", "cpu", "--set", "arch.hidden=4"]


def names(kind):
    return [entry.name for entry in registry.entries(kind)]


def test_what_ships_in_the_box_is_listed_as_of_this_package():
    found = {entry.name: entry for entry in registry.entries(LOSS)}
    entry = found["wgan-gp"]
    assert (entry.package, entry.version) == ("ganzoo", ganzoo.__version__)
    assert entry.qualified == "ganzoo:wgan-gp"
    assert names(LOSS) == sorted(names(LOSS))


def test_names_are_listed_without_importing(plugin, ganzoo_cli):
    code = "from pathlib import Path\nPath(__file__).with_suffix('.ran').touch()\nraise OSError"
    site = plugin("acme", code, {"ganzoo.losses": {"acme-loss": "acme:Mine"}})
    ran = site / "acme.ran"

    assert "acme-loss" in names(LOSS)
    assert "acme-loss" in ganzoo_cli("list").out
    assert "acme-loss" in ganzoo_cli("list", "losses", "--json").out
    assert not ran.exists()
    assert "acme" not in sys.modules

    with pytest.raises(PluginError):
        registry.get(LOSS, "acme-loss")
    assert ran.exists()


BROKEN = {
    "an import that is missing": (
        "import no_such_module_at_all",
        "acme:Mine",
        "ModuleNotFoundError: No module named 'no_such_module_at_all'",
    ),
    "an exception": ("raise RuntimeError('first\\nsecond')", "acme:Mine", "RuntimeError: first"),
    "a message that begins late": ("raise ValueError('\\n  why')", "acme:Mine", "ValueError: why"),
    "no message": ("raise ValueError", "acme:Mine", "ValueError: no message"),
    "an exit": ("import sys\nsys.exit(7)", "acme:Mine", "SystemExit: 7"),
    "a syntax error": ("def (:", "acme:Mine", "SyntaxError: invalid syntax (acme.py, line 1)"),
    "a missing attribute": (
        "",
        "acme:Mine",
        "AttributeError: module 'acme' has no attribute 'Mine'",
    ),
    "a missing module": (
        "",
        "acme_elsewhere:Mine",
        "ModuleNotFoundError: No module named 'acme_elsewhere'",
    ),
}


@pytest.mark.parametrize(("code", "target", "cause"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_import_names_package_version_and_cause(plugin, code, target, cause):
    plugin("acme", code, {"ganzoo.losses": {"acme-loss": target}}, version="2.5")
    with pytest.raises(PluginError) as caught:
        registry.get(LOSS, "acme-loss")
    assert str(caught.value) == (
        f"loss 'acme-loss' of acme 2.5 fails to import ({target}): {cause}"
    )


def test_an_interruption_is_no_broken_plugin(plugin):
    plugin("acme", "raise KeyboardInterrupt", {"ganzoo.losses": {"acme-loss": "acme:Mine"}})
    with pytest.raises(KeyboardInterrupt):
        registry.get(LOSS, "acme-loss")


@pytest.mark.parametrize(
    "code",
    ["class Mine: pass", "def Mine(): pass", EVALUATOR_CODE.replace("Judge", "Mine")],
    ids=["a class of no kind", "a function", "a class of another kind"],
)
def test_a_component_must_be_of_its_kind(plugin, code):
    plugin("acme", code, {"ganzoo.losses": {"acme-loss": "acme:Mine"}})
    with pytest.raises(PluginError) as caught:
        registry.get(LOSS, "acme-loss")
    assert str(caught.value) == (
        "loss 'acme-loss' of acme 1.0 is not a ganzoo.Loss: acme:Mine must be a subclass of it"
    )


def test_an_unfinished_component_says_what_is_missing(plugin):
    code = "from ganzoo import Loss\nclass Mine(Loss):\n    '''Nothing yet.'''"
    plugin("acme", code, {"ganzoo.losses": {"acme-loss": "acme:Mine"}})
    with pytest.raises(
        PluginError,
        match=r"acme 1\.0 is incomplete: acme:Mine must define discriminator_loss",
    ):
        registry.get(LOSS, "acme-loss")


def test_a_name_claimed_twice_is_refused_until_one_is_chosen(plugin):
    plugin("acme", LOSS_CODE, {"ganzoo.losses": {"hinge": "acme:Mine"}})
    with pytest.raises(PluginError) as caught:
        registry.get(LOSS, "hinge")
    assert str(caught.value) == (
        "loss 'hinge' is claimed by acme and ganzoo; write 'acme:hinge' or 'ganzoo:hinge'"
    )
    assert registry.get(LOSS, "acme:hinge").__module__ == "acme"
    assert registry.get(LOSS, "ganzoo:hinge").__module__ == "ganzoo_zoo.losses.hinge"
    assert registry.conflicts(registry.entries(LOSS)) == {"hinge"}


@pytest.mark.parametrize("written", ["My-Pkg", "my_pkg", "MY.PKG", "my--pkg"])
def test_package_names_are_compared_as_packaging_does(plugin, ganzoo_cli, written):
    plugin("My-Pkg", LOSS_CODE, {"ganzoo.losses": {"hinge": "My_Pkg:Mine"}})
    assert registry.find(LOSS, f"{written}:hinge").package == "My-Pkg"
    assert registry.find_in_package(LOSS, "hinge", written, "1.0").package == "My-Pkg"
    shown = ganzoo_cli("show", f"{written}:hinge")
    assert shown.code == 0
    assert shown.out.startswith("loss hinge, My-Pkg 1.0\n")


def test_a_run_of_a_chosen_package_loads_without_ambiguity(plugin, ganzoo_cli, refused):
    plugin(
        "acme",
        LOSS_CODE + ARCHITECTURE_CODE,
        {
            "ganzoo.losses": {"hinge": "acme:Mine"},
            "ganzoo.architectures": {"mlp": "acme:Line"},
        },
    )
    tiny = ["--data", "ring", "--set", "data.samples=20", *TINY_MLP[:-2]]
    assert "write 'acme:mlp' or 'ganzoo:mlp'" in refused("train", "mlp", "--loss", "hinge", *tiny)
    assert not Path("runs").exists()

    result = ganzoo_cli("train", "acme:mlp", "--loss", "acme:hinge", *tiny, "--out", "run")
    assert result.code == 0, result.err
    stored = json.loads(Path("run/config.json").read_text())
    for part in ("architecture", "loss"):
        assert (stored[part]["package"], stored[part]["version"]) == ("acme", "1.0")
    assert stored["architecture"]["name"] == "mlp"

    model = ganzoo.load("run")
    assert type(model.architecture).__module__ == "acme"
    assert model.sample(3).shape == (3, 2)
    assert model.discriminator(model.sample(3)).shape == (3,)
    assert ganzoo_cli("train", "--resume", "run", "--steps", "3").code == 0


@pytest.fixture
def bad_company(plugin):
    """Install a package that is broken and one that claims names of the box."""
    plugin(
        "bust",
        "raise RuntimeError('out of order')",
        {
            "ganzoo.losses": {"bust-loss": "bust:Loss"},
            "ganzoo.architectures": {"bust-net": "bust:Net"},
            "ganzoo.evaluators": {"bust-judge": "bust:Judge"},
        },
        version="0.9",
    )
    plugin(
        "rival",
        LOSS_CODE + EVALUATOR_CODE,
        {
            "ganzoo.losses": {"hinge": "rival:Mine"},
            "ganzoo.evaluators": {"fid": "rival:Judge"},
        },
    )


BROKEN_STATE = (
    "broken: loss 'bust-loss' of bust 0.9 fails to import (bust:Loss): RuntimeError: out of order"
)


@pytest.mark.parametrize("kind", [[], ["losses"]], ids=["all kinds", "one kind"])
@pytest.mark.parametrize("check", [[], ["--check"]], ids=["unchecked", "checked"])
def test_list_shows_the_broken_and_the_conflicting_as_rows(bad_company, ganzoo_cli, kind, check):
    result = ganzoo_cli("list", *kind, *check, "--json")
    assert (result.code, result.err) == (0, "")
    states = {
        (row["package"], row["name"]): row["state"]
        for row in json.loads(result.out)
        if row["kind"] == "loss"
    }
    assert states["rival", "hinge"] == "claimed twice: write rival:hinge"
    assert states["ganzoo", "hinge"] == "claimed twice: write ganzoo:hinge"
    assert states["bust", "bust-loss"] == (BROKEN_STATE if check else "installed")
    assert states["ganzoo", "wgan-gp"] == ("works" if check else "installed")

    printed = ganzoo_cli("list", *kind, *check)
    assert printed.code == 0
    said = [row["state"] for row in json.loads(result.out)]
    assert printed.err == (f"{said.count('works')} of {len(said)} work\n" if check else "")
    lines = {line.split()[0]: line for line in printed.out.splitlines() if "[bust 0.9]" in line}
    assert lines["bust-loss"].endswith("[bust 0.9]" + (f" ({BROKEN_STATE})" if check else ""))
    assert "(claimed twice: write rival:hinge)" in printed.out
    assert "installed" not in printed.out


def test_everything_else_works_beside_the_broken_and_the_conflicting(bad_company, ganzoo_cli):
    for command in (
        ["list"],
        ["show", "dcgan"],
        ["train", "mlp", "--image-size", "8", *TINY_MLP, "--out", "run"],
        ["sample", "run", "-n", "2"],
    ):
        result = ganzoo_cli(*command)
        assert result.code == 0, result
    judged = ganzoo_cli("eval", "run", "--samples", "20", "--json")
    assert judged.code == 0, judged
    metrics = [row["metric"] for row in json.loads(judged.out)["scores"]]
    assert "is[digits-cnn]" in metrics
    assert not [metric for metric in metrics if metric.startswith(("fid", "bust"))]


def test_using_the_broken_or_the_conflicting_says_so_in_a_line(bad_company, refused):
    for command in (
        ["train", "mlp", "--loss", "bust-loss"],
        ["train", "bust-net"],
        ["show", "bust-loss"],
        ["eval", "--floor", "--data", "digits", "--metric", "bust-judge"],
    ):
        message = refused(*command)
        assert "of bust 0.9 fails to import" in message
        assert message.endswith("RuntimeError: out of order")
        assert "\n" not in message
    for command in (
        ["train", "mlp", "--loss", "hinge"],
        ["eval", "--floor", "--data", "digits", "--metric", "fid"],
    ):
        assert "is claimed by ganzoo and rival; write 'ganzoo:" in refused(*command)
    assert not Path("runs").exists()


def test_show_of_a_name_claimed_twice_shows_both(bad_company, ganzoo_cli):
    result = ganzoo_cli("show", "hinge")
    assert result.code == 0
    assert f"loss hinge, ganzoo {ganzoo.__version__}\n" in result.out
    assert "loss hinge, rival 1.0\n" in result.out
    assert len(json.loads(ganzoo_cli("show", "hinge", "--json").out)) == 2


@pytest.mark.parametrize(
    ("kind", "typo", "nearest"),
    [
        (ARCHITECTURE, "dcgann", "dcgan"),
        (LOSS, "wgan_gp", "wgan-gp"),
        (DATASET, "digit", "digits"),
        (AUGMENTATION, "colour", "color"),
        (EVALUATOR, "mode", "modes"),
        (FEATURE_EXTRACTOR, "inception", "inception-v3-compat"),
        (TRACKER, "tensorbord", "tensorboard"),
        (CONVERTER, "pytorch-dcgann", "pytorch-dcgan"),
        (SPACE, "demos", "demo"),
        (COMMAND, "newplugin", "new-plugin"),
    ],
    ids=lambda value: getattr(value, "word", value),
)
def test_an_unknown_name_offers_the_nearest(kind, typo, nearest):
    with pytest.raises(InputError) as caught:
        registry.find(kind, typo)
    assert str(caught.value) == f"no {kind.word} is called '{typo}'; did you mean '{nearest}'?"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.word)
def test_a_name_near_to_none_lists_what_is_installed(kind):
    with pytest.raises(InputError) as caught:
        registry.find(kind, "zzzzzzzzzzzz")
    for name in names(kind):
        assert name in str(caught.value)


@pytest.mark.parametrize(
    "written", ["losses", "loss", "feature extractors", "feature-extractor", "feature_extractors"]
)
def test_list_takes_a_kind_in_one_or_several(ganzoo_cli, written):
    result = ganzoo_cli("list", written, "--json")
    assert result.code == 0
    kinds = {row["kind"] for row in json.loads(result.out)}
    assert kinds == {"loss" if written.startswith("loss") else "feature extractor"}


def test_an_unknown_kind_offers_the_nearest(refused):
    assert "; did you mean 'losses'?" in refused("list", "losss")
    assert "known: architectures, losses, penalties, datasets" in refused("list", "zzzzzzz")


@pytest.mark.parametrize(
    "entry",
    [entry for kind in KINDS for entry in registry.entries(kind)],
    ids=lambda entry: f"{entry.kind.word} {entry.name}",
)
def test_show_works_for_everything_installed(ganzoo_cli, entry):
    result = ganzoo_cli("show", entry.qualified)
    assert (result.code, result.err) == (0, "")
    lines = result.out.splitlines()
    first = lines.index(f"{entry.kind.word} {entry.name}, {entry.package} {entry.version}")
    assert lines[first + 1].strip()
    for name, field in getattr(entry.load(), "model_fields", {}).items():
        assert f"  {name} = " in result.out
        assert field.description in result.out
    shown = json.loads(ganzoo_cli("show", entry.qualified, "--json").out)
    (mine,) = [
        one
        for one in (shown if isinstance(shown, list) else [shown])
        if one["kind"] == entry.kind.word
    ]
    assert {"summary", "paper", "options", "recipe", "declares"} <= mine.keys()


def test_a_stored_name_asks_for_the_package_that_gave_it(plugin):
    with pytest.raises(PluginError) as caught:
        registry.find_in_package(LOSS, "acme-loss", "acme", "2.0")
    assert str(caught.value) == (
        "loss 'acme-loss' comes from the package acme 2.0, "
        "which is not installed here: pip install acme\n"
        "that name comes from the configuration, which anybody may have written: check the "
        "package before you install it"
    )
    plugin("acme", LOSS_CODE, {"ganzoo.losses": {"other": "acme:Mine"}})
    with pytest.raises(PluginError) as caught:
        registry.find_in_package(LOSS, "acme-loss", "acme", "2.0")
    assert str(caught.value).endswith(
        "acme 2.0, but version 1.0 here does not have it: pip install acme==2.0"
    )
    assert registry.find_in_package(LOSS, "other", "acme", "2.0").version == "1.0"


def test_a_stored_name_is_not_taken_from_another_package():
    with pytest.raises(PluginError, match=r"from the package acme 1\.0, which is not"):
        registry.find_in_package(LOSS, "hinge", "acme", "1.0")


MADE_DEFAULTS = '''
from pathlib import Path

from ganzoo import Loss
from pydantic import Field


class Made(Loss):
    """Has defaults that are made, and one that JSON does not know."""

    weights: tuple[float, ...] = Field(default_factory=lambda: (1.0, 2.0), description="Weights.")
    file: Path = Field(default=Path("here"), description="A file.")

    def discriminator_loss(self, D, real, fake):
        return {"wasserstein": D(fake).mean() - D(real).mean()}

    def generator_loss(self, D, real, fake):
        return {"adversarial": -D(fake).mean()}
'''


def test_defaults_of_every_type_are_shown(plugin, ganzoo_cli):
    plugin("ganzoo-made", MADE_DEFAULTS, {"ganzoo.losses": {"made": "ganzoo_made:Made"}})
    shown = ganzoo_cli("show", "made", "--json")
    assert shown.code == 0, shown.err
    options = json.loads(shown.out)["options"]
    assert options["weights"]["default"] == [1.0, 2.0]
    assert options["file"]["default"] == "here"


TINY_RING = ["train", "mlp", "--data", "ring", "--device", "cpu"]
FLOOR = ["eval", "--floor", "--data"]
USES = [
    (ARCHITECTURE, ["train", "bad"]),
    (LOSS, [*TINY_RING, "--loss", "bad"]),
    (DATASET, ["train", "mlp", "--data", "bad"]),
    (DATASET, [*FLOOR, "bad"]),
    (DATASET, ["sample", "translator", "--label", "0", "--source", "bad"]),
    (AUGMENTATION, [*TINY_RING, "--set", "train.augment=bad"]),
    (EVALUATOR, [*FLOOR, "ring", "--metric", "bad"]),
    (FEATURE_EXTRACTOR, [*FLOOR, "digits", "--metric", "fid", "--features", "bad"]),
    (TRACKER, [*TINY_RING, "--tracker", "bad"]),
    (CONVERTER, ["import", "weights.pth", "--from", "bad"]),
    (SPACE, ["publish", "translator", "a/b", "--dry-run", "--space-kind", "bad"]),
    (COMMAND, ["bad"]),
]
"""Each command that can use a component, by its kind."""
USED = pytest.mark.parametrize(
    ("kind", "command"), USES, ids=[f"{kind.word}-{command[0]}" for kind, command in USES]
)
BUST = "raise RuntimeError('out of order')"


def claims(package, name="bad"):
    return {kind.group: {name: f"{package}:Bad"} for kind in KINDS}


@pytest.fixture(scope="module")
def trained_translator(tmp_path_factory):
    """A finished run of a model that translates images."""
    root = tmp_path_factory.mktemp("translator")
    for shade, folder in ((50, "dark"), (200, "light")):
        for i in range(2):
            path = root / "pets" / folder / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("L", (24, 24), shade + i).save(path)
    settings = {"arch.base_channels": 2, "arch.blocks": 0}
    return ganzoo.train(
        "cyclegan", data=str(root / "pets"), out=root / "run", settings=settings, steps=0
    ).path


@pytest.fixture
def translator(trained_translator, tmp_path):
    """The same, in the working folder."""
    shutil.copytree(trained_translator, tmp_path / "translator")


@USED
def test_a_broken_component_of_each_kind_is_named_when_it_is_used(
    plugin, refused, translator, tmp_path, kind, command
):
    plugin("bust", BUST, claims("bust"), version="0.9")
    before = sorted(tmp_path.iterdir())
    for name in ("bad", "bust:bad"):
        message = refused(*[re.sub("bad$", name, word) for word in command])
        assert message == (
            f"Error: {kind.word} 'bad' of bust 0.9 fails to import (bust:Bad): "
            "RuntimeError: out of order"
        )
    assert sorted(tmp_path.iterdir()) == before


@USED
def test_a_name_of_each_kind_that_is_claimed_twice_is_refused(
    plugin, refused, translator, tmp_path, kind, command
):
    for package in ("bust", "rival"):
        plugin(package, BUST, claims(package))
    before = sorted(tmp_path.iterdir())
    assert refused(*command) == (
        f"Error: {kind.word} 'bad' is claimed by bust and rival; write 'bust:bad' or 'rival:bad'"
    )
    assert sorted(tmp_path.iterdir()) == before


@USED
def test_a_name_of_each_kind_that_nothing_has_offers_the_nearest(
    plugin, refused, translator, tmp_path, kind, command
):
    plugin("bust", BUST, claims("bust", "badly"))
    before = sorted(tmp_path.iterdir())
    what = f"no {kind.word} is called 'bad'" if kind != COMMAND else "No such command 'bad'"
    assert refused(*command).startswith(f"Error: {what}; did you mean 'badly'?")
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.word)
def test_show_and_list_cope_with_the_broken_of_each_kind(plugin, ganzoo_cli, refused, kind):
    plugin("bust", BUST, claims("bust"), version="0.9")
    broken = f"{kind.word} 'bad' of bust 0.9 fails to import (bust:Bad): RuntimeError: out of order"
    for check, state in (([], "installed"), (["--check"], f"broken: {broken}")):
        result = ganzoo_cli("list", kind.plural.replace(" ", "-"), *check, "--json")
        assert (result.code, result.err) == (0, "")
        rows = [row for row in json.loads(result.out) if row["package"] == "bust"]
        assert [(row["kind"], row["name"], row["state"]) for row in rows] == [
            (kind.word, "bad", state)
        ]
    # The first of those that are called so is named.
    assert "architecture 'bad' of bust 0.9 fails to import" in refused("show", "bad")


@pytest.mark.parametrize("as_json", [[], ["--json"]], ids=["text", "json"])
def test_show_of_several_says_which_is_broken_and_shows_the_others(plugin, ganzoo_cli, as_json):
    plugin("bust", BUST, {"ganzoo.losses": {"hinge": "bust:Loss"}}, version="0.9")
    result = ganzoo_cli("show", "hinge", *as_json)
    assert result.code == 0
    assert result.err == (
        "broken: loss 'hinge' of bust 0.9 fails to import (bust:Loss): RuntimeError: out of order\n"
    )
    if as_json:
        assert json.loads(result.out)["package"] == "ganzoo"
    else:
        assert result.out.startswith(f"loss hinge, ganzoo {ganzoo.__version__}\n")


PARTS = {
    "architecture": (ARCHITECTURE, {"resume", "sample", "eval", "show"}),
    "loss": (LOSS, {"resume"}),
    "data": (DATASET, {"resume", "eval"}),
    "augmentations": (AUGMENTATION, {"resume"}),
    "trackers": (TRACKER, {"resume"}),
}
"""The commands on a run that need each of its parts."""
ON_A_RUN = {
    "resume": ["train", "--resume", "run", "--steps", "5"],
    "sample": ["sample", "run", "-n", "2"],
    "eval": ["eval", "run", "--metric", "is", "--samples", "20"],
    "show": ["show", "run"],
}


def point_at(path, part, **choice):
    """Make a stored run name another component for one of its parts."""
    for file in (path / "config.json", path / "model" / "config.json"):
        config = json.loads(file.read_text())
        if isinstance(config[part], list):
            config[part] = [{"options": {}, **choice}]
        else:
            config[part] = {**config[part], **choice}
        file.write_text(json.dumps(config))
    sealed(path / "model")


@pytest.fixture
def run(tiny_run, tmp_path):
    """A finished run that may be changed."""
    return Path(shutil.copytree(tiny_run.path, tmp_path / "run"))


@pytest.mark.parametrize("command", ON_A_RUN)
@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("there", [True, False], ids=["broken", "absent"])
def test_a_run_whose_plugin_is_broken_or_absent(
    plugin, ganzoo_cli, refused, run, part, command, there
):
    kind, users = PARTS[part]
    point_at(run, part, name="bad", package="bust", version="0.9")
    said = (
        "comes from the package bust 0.9, which is not installed here: pip install bust\n"
        "that name comes from the configuration, which anybody may have written: check the "
        "package before you install it"
    )
    if there:
        plugin("bust", BUST, claims("bust"), version="0.9")
        said = "of bust 0.9 fails to import (bust:Bad): RuntimeError: out of order"
    before = (run / "config.json").read_bytes()
    if command in users:
        assert refused(*ON_A_RUN[command]) == f"Error: {kind.word} 'bad' {said}"
        assert (run / "config.json").read_bytes() == before
    else:
        result = ganzoo_cli(*ON_A_RUN[command])
        assert result.code == 0, result


@pytest.mark.parametrize("command", ON_A_RUN)
def test_a_run_is_not_confused_by_another_package_with_its_names(plugin, ganzoo_cli, run, command):
    names = {ARCHITECTURE: "dcgan", LOSS: "wgan-gp", DATASET: "digits"}
    plugin("rival", BUST, {kind.group: {name: "rival:Bad"} for kind, name in names.items()})
    result = ganzoo_cli(*ON_A_RUN[command])
    assert result.code == 0, result
