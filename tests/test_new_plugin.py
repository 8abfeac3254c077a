"""What ``ganzoo new-plugin`` writes is a package that installs, passes its tests and is used."""

import json
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from hatchling.builders.wheel import WheelBuilder

import ganzoo
from ganzoo import registry
from ganzoo.cli import main
from ganzoo.registry import ALL_KINDS, KINDS
from ganzoo.testing import conformance_tests, recipe_checks
from ganzoo_zoo.apps.new_plugin import CHOICES, OBJECTS, package_files
from ganzoo_zoo.apps.new_plugin.shipped import Source
from hub_models import NAME

WORDS = [kind.word for kind in OBJECTS]
ROOT = Path(__file__).parent.parent
TINY = ["--steps", "2", "--batch-size", "4", "--device", "cpu", "--set", "train.log_every=1"]


def kinds(words):
    return [part for word in words for part in ("--kind", word)]


def tree(path):
    files = {file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file()}
    return {name for name in files if "__pycache__" not in name}


def python(command, site, cwd):
    """Run a Python command with an installed package on its path."""
    path = os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.run(
        [sys.executable, "-m", *map(str, command)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def install(folder, root):
    """Build the wheel as an index would get it, and install it into a folder of its own."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    options = ["--no-deps", "--no-build-isolation", "--no-index", "-w", root / "wheels"]
    subprocess.run([*pip, "wheel", *options, folder], check=True)
    (wheel,) = (root / "wheels").glob("*.whl")
    options = ["--no-deps", "--no-index", "--target", root / "site"]
    subprocess.run([*pip, "install", *options, wheel], check=True)
    return root / "site"


@pytest.fixture
def write(ganzoo_cli):
    """Write a package by the command."""

    def run(name, *more):
        result = ganzoo_cli("new-plugin", name, *more)
        assert result.code == 0, result
        return Path(result.out.strip())

    return run


@pytest.fixture(scope="module")
def every(tmp_path_factory):
    """A package with a component of every kind, its source and where it is installed."""
    root = tmp_path_factory.mktemp("every")
    made = python(["ganzoo", "new-plugin", "every", *kinds(WORDS)], "", root)
    assert made.returncode == 0, made.stderr
    return root / "ganzoo-every", install(root / "ganzoo-every", root)


@pytest.fixture
def used(every, monkeypatch):
    """The package with every kind, as installed in this process."""
    monkeypatch.syspath_prepend(str(every[1]))
    yield "every"
    for module in [name for name in sys.modules if name.partition(".")[0] == "ganzoo_every"]:
        del sys.modules[module]


def test_all_kinds_but_three_can_be_written():
    left = {kind.word for kind in ALL_KINDS} - {kind.word for kind in CHOICES}
    assert left == {"converter", "feature extractor", "space"}


def test_the_package_has_the_files_that_it_needs(write, ganzoo_cli):
    folder = write("my-loss")
    assert folder == Path("ganzoo-my-loss")
    assert tree(folder) == {
        ".gitignore",
        "README.md",
        "pyproject.toml",
        "ganzoo_my_loss/__init__.py",
        "ganzoo_my_loss/loss.py",
        "ganzoo_my_loss/architecture.py",
        "tests/test_conformance.py",
    }
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert project["name"] == "ganzoo-my-loss"
    assert project["dependencies"] == ["ganzoo>=0.1,<0.2"]
    assert project["entry-points"] == {
        "ganzoo.losses": {"my-loss": "ganzoo_my_loss.loss:SoftLeastSquares"},
        "ganzoo.architectures": {"my-loss": "ganzoo_my_loss.architecture:SmallNetworks"},
    }
    assert "ganzoo train my-loss --loss my-loss" in (folder / "README.md").read_text()


def test_it_says_what_to_type_next(ganzoo_cli):
    result = ganzoo_cli("new-plugin", "my-loss", "--kind", "loss", "--out", "some where")
    assert result.out == "some where\n"
    assert result.err.splitlines() == [
        "next:",
        "  pip install -e 'some where[test]'",
        "  pytest 'some where'",
        "  ganzoo show my-loss",
        "  ganzoo train mlp --loss my-loss",
    ]


def test_a_penalty_is_tried_beside_the_default_loss(ganzoo_cli):
    result = ganzoo_cli("new-plugin", "mine", "--kind", "penalty")
    assert result.err.splitlines()[-1] == "  ganzoo train mlp --penalty mine"


def test_a_leading_ganzoo_is_dropped(write):
    assert tree(write("ganzoo-mine")) == tree(write("mine", "--out", "other"))


@pytest.mark.parametrize("out", [".", "empty", "deep/er/folder"])
def test_it_is_written_into_a_new_or_an_empty_folder(write, out, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "cwd").mkdir()
    os.chdir(tmp_path / "cwd")
    (tmp_path / "cwd" / "empty").mkdir() if out == "empty" else None
    assert "pyproject.toml" in tree(write("mine", "--out", out))


def test_the_written_code_is_as_tidy_as_the_box(every):
    ruff = shutil.which("ruff", path=os.path.dirname(sys.executable))
    if ruff is None:
        pytest.skip("ruff is not installed")
    for command in (["check", "--no-cache"], ["format", "--check", "--no-cache"]):
        done = subprocess.run(
            [ruff, *command, "--config", ROOT / "pyproject.toml", "."],
            cwd=every[0],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout


def test_the_sources_and_the_wheel_hold_the_same(every):
    source, site = every
    assert tree(site / "ganzoo_every") == tree(source / "ganzoo_every")


def test_its_own_tests_pass(every, tmp_path):
    source, site = every
    tests = shutil.copytree(source / "tests", tmp_path / "tests")
    options = ["-q", "-p", "no:cacheprovider", "-W", "error", "--rootdir", tmp_path]
    done = python(["pytest", *options, tests], site, tmp_path)
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout
    shown = python(["pytest", "--collect-only", *options, tests], site, tmp_path).stdout
    for word in WORDS:
        assert word in shown


@pytest.mark.parametrize("word", WORDS)
def test_a_package_of_one_kind_works_on_its_own(write, ganzoo_cli, plugin, word):
    folder = write("lone", "--kind", word)
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    site = plugin("ganzoo-lone", "", project["entry-points"], project["version"])
    (site / "ganzoo_lone.py").unlink()
    shutil.copytree(folder / "ganzoo_lone", site / "ganzoo_lone")
    try:
        (row,) = [
            row
            for row in json.loads(ganzoo_cli("list", word, "--check", "--json").out)
            if row["package"] == "ganzoo-lone"
        ]
        assert (row["name"], row["state"]) == ("lone", "works")
        shown = ganzoo_cli("show", "lone")
        assert (shown.code, shown.err) == (0, "")
        assert shown.out.startswith(f"{word} lone, ganzoo-lone 0.1.0\n  {row['summary']}\n")
    finally:
        for module in [name for name in sys.modules if name.startswith("ganzoo_lone.")]:
            del sys.modules[module]


@pytest.mark.parametrize("data", ["every", "digits"])
def test_a_run_uses_a_component_of_every_kind(used, ganzoo_cli, data):
    result = ganzoo_cli(
        *("train", used, "--data", data, "--tracker", used, *TINY, "--out", "run"),
        *("--penalty", used, "--set", "penalty.every.weight=0.5"),
        *("--set", "loss.real_label=0.8", "--set", "arch.width=8"),
        *("--set", f"train.augment={used}", "--set", "augment.every.std=0.2"),
        *("--set", "tracker.every.digits=3", "--checkpoint-every", "2"),
        *(["--set", "data.samples=50"] if data == used else ["--image-size", "8"]),
    )
    assert result.code == 0, result
    assert "warning" not in result.err
    config = json.loads(Path("run/config.json").read_text())
    for part in ("architecture", "loss"):
        assert config[part]["package"] == "ganzoo-every"
    assert config["loss"]["options"]["real_label"] == 0.8
    assert [one["options"] for one in config["augmentations"]] == [{"std": 0.2}]
    assert [one["options"]["weight"] for one in config["penalties"]] == [0.5]
    rows = [line.split(",") for line in Path("run/every.csv").read_text().splitlines()]
    assert rows[0] == ["step", "name", "value"]
    assert {row[0] for row in rows[1:]} == {"1", "2"}
    assert "discriminator/drift" in {row[1] for row in rows[1:]}

    resumed = ganzoo_cli("train", "--resume", "run", "--steps", "3")
    assert resumed.code == 0, resumed
    again = [line.split(",") for line in Path("run/every.csv").read_text().splitlines()]
    assert again[: len(rows)] == rows
    assert [row[0] for row in again[len(rows) :]] == ["3"] * (len(rows[1:]) // 2)

    judged = ganzoo_cli("eval", "run", "--metric", used, "--samples", "20", "--json")
    assert judged.code == 0, judged
    (score,) = json.loads(judged.out)["scores"]
    assert (score["metric"], score["higher_is_better"]) == ("every", False)
    assert score["value"] > 0
    assert ganzoo_cli("sample", "run", "-n", "2").code == 0


# A package that ships a model and a recipe ------------------------------------------------------

SHIPPED = "tiny-digits"


@pytest.fixture(scope="module")
def shipping(tiny_run, tmp_path_factory):
    """A package with a model and a recipe, its source and where its wheel is installed."""
    root = tmp_path_factory.mktemp("shipping")
    words = [*kinds(["model", "recipe"]), "--model", str(tiny_run.path)]
    words += ["--repeats", "2", "--metric", "fid"]
    out = root / "source"
    assert main(["new-plugin", SHIPPED, *words, "--licence", "mit", "--out", str(out)]) == 0
    (wheel,) = WheelBuilder(str(out)).build(directory=str(root), versions=["standard"])
    with zipfile.ZipFile(wheel) as file:
        file.extractall(root / "site")
    return out, root / "site"


@pytest.fixture
def installed(shipping, monkeypatch):
    monkeypatch.syspath_prepend(str(shipping[1]))
    return shipping[1]


def test_a_model_and_a_recipe_are_shipped_in_the_wheel(shipping):
    source, site = shipping
    assert tree(site / "ganzoo_tiny_digits") == tree(source / "ganzoo_tiny_digits")
    assert {"tiny-digits.yaml", "tiny-digits/model.safetensors", "__init__.py"} <= tree(
        source / "ganzoo_tiny_digits"
    )
    project = tomllib.loads((source / "pyproject.toml").read_text())["project"]
    assert project["entry-points"] == {
        "ganzoo.models": {SHIPPED: "ganzoo_tiny_digits"},
        "ganzoo.recipes": {SHIPPED: "ganzoo_tiny_digits"},
    }
    readme = (source / "README.md").read_text()
    assert "| `tiny-digits` | model | `ganzoo_tiny_digits/tiny-digits/` |" in readme
    assert "ganzoo sample tiny-digits" in readme
    assert "ganzoo train --recipe tiny-digits" in readme
    card = (source / "ganzoo_tiny_digits" / SHIPPED / "README.md").read_text()
    assert "ganzoo-tiny-digits" in card
    assert "license: mit" in card


@pytest.mark.usefixtures("installed")
def test_its_conformance_test_passes_its_scores_included():
    test = conformance_tests("ganzoo-tiny-digits")
    (mark,) = test.pytestmark
    assert {case.values[0].kind.word for case in mark.args[1]} == {"model", "recipe"}
    for case in mark.args[1]:
        test(*case.values)


@pytest.mark.usefixtures("installed")
def test_its_model_is_listed_with_its_score(ganzoo_cli):
    rows = json.loads(ganzoo_cli("list", "models", "--json").out)
    (row,) = [row for row in rows if row["name"] == SHIPPED]
    assert row["state"] == "installed"
    assert row["model"]["score"].startswith("fid[digits-cnn] ")
    assert row["model"]["source"] == "ganzoo-tiny-digits 0.1.0"
    drawn = ganzoo_cli("sample", SHIPPED, "-n", "2", "--device", "cpu", "--out", "two.png")
    assert (drawn.code, drawn.err) == (0, "")


@pytest.mark.usefixtures("installed")
def test_its_recipe_trains_the_run_again(tiny_run, ganzoo_cli):
    words = ["--recipe", SHIPPED, "--device", "cpu", "--out", "run"]
    done = ganzoo_cli("train", *words)
    assert done.code == 0, done
    again = Path("run/model/model.safetensors").read_bytes()
    assert again == (tiny_run.model / "model.safetensors").read_bytes()


def test_it_is_published_over_the_hub_and_gone_with_its_package(
    shipping, hub, client, refused, ganzoo_cli
):
    site = str(shipping[1])
    client.call("import sys\nsys.path.insert(0, site)", site=site)
    try:
        result = client.run("publish", SHIPPED, NAME, "--json")
    finally:
        client.call("import sys\nsys.path.remove(site)", site=site)
    assert result.code == 0, result
    assert b"license: mit" in hub.files(NAME)["README.md"]
    shown = client.run("show", NAME, "--json")
    assert json.loads(shown.out)["reference"] == f"{NAME}@{hub.head(NAME)}"
    assert SHIPPED not in ganzoo_cli("list").out
    assert "no run or model folder named" in refused("sample", SHIPPED)
    assert f"no recipe is called '{SHIPPED}'" in refused("train", "--recipe", SHIPPED)


def test_the_score_that_ranks_snapshots_stands_first(tiny_run, monkeypatch):
    rows = [SimpleNamespace(family=family) for family in ("density", "fid", "is")]
    monkeypatch.setattr("ganzoo_zoo.apps.new_plugin.shipped.evaluate", lambda *_, **__: rows)
    source = Source(str(tiny_run.path), None, None, {}, None, (), 2, False)
    judged = source._judge(ganzoo.load(tiny_run))
    assert [row.family for row in judged] == ["fid", "density", "is"]


def test_a_recipe_is_made_of_a_file(write, tiny_run):
    tree = {"title": "Mine", "architecture": "mlp", "loss": "hinge", "data": "ring"}
    Path("mine.json").write_text(json.dumps({**tree, "results": ["fid 3"], "paper": "A paper"}))
    folder = write("mine", "--kind", "recipe", "--config", "mine.json", "--set", "data.samples=9")
    text = (folder / "ganzoo_mine" / "mine.yaml").read_text()
    assert text.startswith("title: Mine\npaper: A paper\nresults:\n- fid 3\narchitecture: mlp\n")
    assert "data.samples: 9\n" in text
    assert "train.seed" not in text
    for check in recipe_checks:
        check(folder / "ganzoo_mine" / "mine.yaml")


def test_nothing_is_left_of_a_package_whose_model_cannot_be_shipped(refused, tmp_path):
    words = ["new-plugin", "mine", "--kind", "model"]
    assert "no run or model folder named 'nowhere'" in refused(*words, "--model", "nowhere")
    assert "--kind model or --kind recipe" in refused("new-plugin", "mine", "--licence", "mit")
    assert "drop it, or --kind model" in refused(*words, "--config", "mine.json")
    assert "only options of the data" in refused(*words, "--set", "loss.x=1")
    assert list(tmp_path.iterdir()) == []


def test_the_command_counts_runs(used, ganzoo_cli, refused):
    assert refused("every") == ("Error: there is no folder runs; train a run, or name another")
    assert ganzoo_cli("train", used, "--data", used, *TINY, "--out", "runs/one").code == 0
    assert ganzoo_cli("every").out == "1 runs, 2 steps\n"
    assert ganzoo_cli("every", "--at-least", "3").out == "0 runs, 0 steps\n"
    assert "[ganzoo-every 0.1.0]" in ganzoo_cli("--help").out


def test_a_perfect_sample_scores_nothing(used, ganzoo_cli):
    judged = ganzoo_cli("eval", "--floor", "--data", used, "--metric", used, "--json")
    assert json.loads(judged.out)["scores"][0]["value"] < 0.05


def test_every_option_is_documented(used, ganzoo_cli):
    shown = json.loads(ganzoo_cli("show", used, "--json").out)
    assert [one["kind"] for one in shown] == [kind.word for kind in KINDS if kind in OBJECTS]
    for one in shown:
        if one["kind"] != "command":
            assert one["options"]
        for option in one["options"].values():
            assert option["description"]


REFUSED = {
    "new-plugin My_Loss": "'My_Loss' cannot be a package's name: use lower-case letters, digits "
    "and single hyphens, beginning with a letter, such as my-loss",
    "new-plugin ganzoo-": "'ganzoo-' cannot be a package's name",
    "new-plugin 3d": "'3d' cannot be a package's name",
    "new-plugin ../up": "'../up' cannot be a package's name",
    "new-plugin a--b": "'a--b' cannot be a package's name",
    "new-plugin zoo": "a package ganzoo_zoo is installed already; choose another name",
    "new-plugin mlp": "there is another architecture 'mlp', of ganzoo; choose another name",
    "new-plugin hinge": "there is another loss 'hinge', of ganzoo; choose another name",
    "new-plugin r1 --kind penalty": "there is another penalty 'r1', of ganzoo",
    "new-plugin fid --kind evaluator": "there is another evaluator 'fid', of ganzoo",
    "new-plugin train --kind command": "there is another command 'train', of ganzoo",
    "new-plugin mine --kind los": "there is no template for the kind 'los'; did you mean 'loss'?",
    "new-plugin mine --kind zzz": "there is no template for the kind 'zzz'; known: loss",
    "new-plugin": "Missing argument 'NAME'. Try 'ganzoo new-plugin --help'.",
    "new-plugin mine --out full": "full exists already; choose another --out",
    "new-plugin mine --out full/file": "full/file exists already; choose another --out",
}


@pytest.mark.parametrize("command", REFUSED)
def test_what_cannot_be_written_is_refused(refused, tmp_path, command):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    assert REFUSED[command] in refused(*command.split())
    assert tree(tmp_path) == {"full/file"}
    assert sorted(tmp_path.iterdir()) == [tmp_path / "full"]


@pytest.mark.parametrize("out", ["new", "new/deep", "empty"])
def test_nothing_is_left_when_writing_fails(refused, tmp_path, monkeypatch, out):
    (tmp_path / "empty").mkdir()
    whole = Path.write_text

    def full(self, *arguments, **options):
        if self.name == "test_conformance.py":
            raise OSError(28, "No space left on device", str(self))
        return whole(self, *arguments, **options)

    monkeypatch.setattr(Path, "write_text", full)
    message = refused("new-plugin", "mine", "--out", out, code=1)
    assert message.endswith("test_conformance.py: No space left on device")
    assert list(tmp_path.rglob("*")) == [tmp_path / "empty"]


def test_a_folder_that_cannot_be_made_is_a_failure(refused):
    Path("file").touch()
    assert refused("new-plugin", "mine", "--out", "file/new", code=1).startswith("Error: file/new")
    assert list(Path.cwd().iterdir()) == [Path("file").resolve()]


def test_each_template_is_used_and_ships():
    folder = ROOT / "plugins" / "ganzoo_zoo" / "apps" / "new_plugin" / "templates"
    shipped = {file.distribution_path for file in WheelBuilder(str(ROOT)).recurse_included_files()}
    for template in folder.iterdir():
        assert f"ganzoo_zoo/apps/new_plugin/templates/{template.name}" in shipped
    written = package_files("mine", list(OBJECTS))
    assert len(written) == len(list(folder.glob("*.txt"))) == len(list(folder.iterdir()))
    assert not [name for name, text in written.items() if "$" in text]
    assert registry.find(registry.COMMAND, "new-plugin").package == "ganzoo"
