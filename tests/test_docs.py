"""What the documentation says holds."""

import importlib.util
import re
import shutil
import sys
import tomllib
from pathlib import Path

import pytest
import torch

import ganzoo
from ganzoo import Loss, registry
from ganzoo.models.named import HubPlace
from ganzoo.recipes import read_recipe
from ganzoo.storage.tensors import load_tensors
from ganzoo.testing import ConformanceError, loss_checks
from ganzoo.testing.conformance import CHECKS
from ganzoo.testing.recipe import check_parameters
from ganzoo_zoo.apps.new_plugin import package_files
from pages import DOCS, ROOT, blocks, commands, inline_commands


def script(name):
    """Return a script of the documentation, which is no package."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where its dataclasses look for it
    spec.loader.exec_module(module)
    return module


def test_generated_pages_are_fresh():
    for name, text in script("generate").pages().items():
        assert (ROOT / "docs" / name).read_text() == text, (
            f"docs/{name} is stale: python docs/generate.py"
        )


def test_the_gallery_shows_what_its_script_makes():
    gallery = script("gallery")
    assert gallery.PAGE.read_text() == gallery.page(), (
        "docs/understand/gallery.md is stale: python docs/gallery.py"
    )
    pictures = {path.name: path for path in gallery.PICTURES.iterdir()}
    assert pictures.keys() == {each.file for each in gallery.EXHIBITS}
    assert sum(path.stat().st_size for path in pictures.values()) < 2_000_000


def test_ci_runs_the_test_command_of_the_readme():
    lines = (ROOT / ".ci" / "run").read_text().splitlines()
    (command,) = [line for line in lines if line.endswith("&& pytest")]
    assert command in (ROOT / "README.md").read_text().splitlines()


def test_the_readme_names_everything_in_the_box():
    text = (ROOT / "README.md").read_text()
    for kind in registry.ALL_KINDS:
        for entry in registry.entries(kind):
            if entry.package == "ganzoo" and entry.name not in ("folder", "zip"):
                assert f"`{entry.name}`" in text, entry.name


def names_of_pages(*, training=False):
    """Return the pages by path, or those alone that train."""
    pages = [page.relative_to(ROOT).as_posix() for page in DOCS]
    if not training:
        return pages
    return [page for page in pages if any(words[0] == "train" for words in commands(page))]


def anchors(page):
    """Return the anchors of a page's headings, as GitHub makes them."""
    found, text = [], re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for title in re.findall(r"^#+ (.+)$", text, re.M):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title).lower()
        anchor = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        repeats = sum(re.fullmatch(rf"{anchor}(-\d+)?", each) is not None for each in found)
        found.append(f"{anchor}-{repeats}" if repeats else anchor)
    return found


def test_trainings_are_documented():
    trained = names_of_pages(training=True)
    pages = {"README.md", "docs/how-to/train.md", "docs/troubles.md", "docs/understand/zoo.md"}
    assert pages < set(trained)


def is_ours(words):
    """Tell whether a training needs no package that only the page's reader has written."""
    return not any(word.startswith(("my-", "softer", "halves", "paired-")) for word in words)


@pytest.mark.parametrize("page", names_of_pages(training=True))
def test_documented_trainings_resolve(page, ganzoo_cli, tiny_run, monkeypatch):
    # The data of a page are not all here.
    monkeypatch.setattr("ganzoo.api.training.rehearse", lambda config, observer, initial: None)
    for name in ("NAME", "my-run"):
        shutil.copytree(tiny_run.path, f"runs/{name}")
    shutil.copytree(tiny_run.path, "RUN")
    for folder in ("photos", "digits", "few", "domains", "facades", "faces", "emoji128"):
        Path(folder).mkdir()
    for text in blocks(page, "yaml"):
        if name := re.match(r"# (\S+\.yaml)\n", text):
            Path(name[1]).write_text(text)
    for command in commands(page):
        goes_on = {"--resume", "--fork"} & set(command)
        if command[0] != "train" or goes_on or not is_ours(command):
            continue
        if command[1:] == ["--recipe", "NAME"]:
            command = ["train", "--recipe", "digits-mlp"]
        if "user/name" in command or "MODEL" in command:  # a model of the Hub
            command = [{"user/name": "RUN", "MODEL": "RUN"}.get(word, word) for word in command]
        planned = [word for word in command if word != "--dry-run"]
        result = ganzoo_cli(*planned, "--dry-run")
        assert result.code == 0, (command, result.err)


@pytest.fixture(scope="module")
def helps():
    """The help of each command, once it was asked for."""
    return {}


@pytest.mark.parametrize("page", names_of_pages())
def test_documented_options_exist(page, ganzoo_cli, helps):
    def read_help(*words):
        if words not in helps:
            helps[words] = ganzoo_cli(*words, "--help").out
        return helps[words]

    for command in [*commands(page), *inline_commands(page)]:
        if command[0].startswith("my-"):  # what a reader has written
            continue
        known = read_help(command[0])
        if re.search("^Commands:$", known, re.M) and len(command) > 1:
            known = read_help(*command[:2])
        assert known, command
        for word in command[1:]:
            if word.startswith("--"):
                option = re.match(r"--[\w-]*", word)[0]
                assert re.search(rf"{option}\b", known), command


@pytest.mark.parametrize("page", names_of_pages())
def test_links_and_pictures_are_there(page):
    text = re.sub(r"```.*?```", "", (ROOT / page).read_text(), flags=re.DOTALL)
    for file, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#([^)]+))?\)", text):
        target = ((ROOT / page).parent / file).resolve() if file else ROOT / page
        assert target.exists(), file
        if anchor:
            assert anchor in anchors(target), f"{file}#{anchor}"


def test_every_page_is_in_the_index():
    index = (ROOT / "docs" / "README.md").read_text()
    for page in sorted((ROOT / "docs").rglob("*.md")):
        name = page.relative_to(ROOT / "docs").as_posix()
        if name not in ("README.md", "how-to/README.md", "understand/README.md"):
            assert f"]({name})" in index, name


def test_the_evenings_reading_is_as_long_as_the_page_says():
    page = (ROOT / "docs" / "development.md").read_text()
    said = int(re.search(r"is about ([\d,]+) lines", page)[1].replace(",", ""))
    files = re.search(r"^cd ganzoo && cat (.+) \| wc -l$", page, re.M)[1].split()
    paths = [path for name in files for path in (ROOT / "ganzoo").glob(name)]
    assert len(paths) > len(files)
    assert sum(len(path.read_text().splitlines()) for path in paths) == pytest.approx(said, rel=0.1)


PAGES = [
    ("first-loss", "loss", "softer", "loss.real_label=0.8", "Label of reals."),
    ("first-architecture", "architecture", "halves", "arch.base_channels=4", "Channels at half"),
    ("penalties", "penalty", "centred", "penalty.centred.weight=0.1", "Weight of the mean squared"),
    ("progress", "architecture", "doubling", "arch.fade_images=9", "Images before details begin."),
    ("memory", "loss", "steady", "loss.decay=0.5", "Decay of the mean in an update."),
    ("sampling", "architecture", "standing", "arch.hidden=8", "Batches that the statistics"),
    ("latents", "architecture", "coded", "arch.hidden=8", "Numbers of noise."),
    ("outputs", "architecture", "two-sizes", "arch.channels=4", "Channels at both"),
    ("outputs", "architecture", "encoded", "arch.hidden=8", "Width of the hidden layers."),
]


@pytest.mark.parametrize(("page", "word", "name", "setting", "description"), PAGES)
def test_the_plugin_of_a_page_works(page, word, name, setting, description, plugin, ganzoo_cli):
    (project,) = blocks(f"docs/plugins/{page}.md", "toml")
    code = blocks(f"docs/plugins/{page}.md", "python")[0]
    metadata = tomllib.loads(project)["project"]
    plugin(metadata["name"], code, metadata["entry-points"], metadata["version"])
    (kind,) = [each for each in registry.KINDS if each.word == word]
    component = registry.get(kind, name)()
    for check in CHECKS.get(kind, ()):
        check(component)
    chosen = [name] if word == "architecture" else ["mlp", f"--{word}", name]
    small = [] if word == "architecture" else ["--set", "arch.hidden=8"]
    tiny = ["--steps=1", "--batch-size=4", "--image-size=8", "--device=cpu", "--out=run"]
    trained = ganzoo_cli("train", *chosen, "--set", setting, *small, *tiny)
    assert trained.code == 0, trained.err
    shown = ganzoo_cli("show", name).out
    assert f"{metadata['name']} 0.1.0" in shown
    assert description in shown


def test_the_memory_on_the_page_on_penalties_works(plugin, ganzoo_cli):
    code = blocks("docs/plugins/penalties.md", "python")[1]
    plugin("ganzoo-centre", code, {"ganzoo.penalties": {"centre": "ganzoo_centre:Centre"}})
    component = registry.get(registry.PENALTY, "centre")()
    for check in CHECKS.get(registry.PENALTY, ()):
        check(component)
    tiny = ["--set=arch.hidden=8", "--steps=2", "--batch-size=4", "--device=cpu", "--out=run"]
    trained = ganzoo_cli("train", "mlp", "--data=ring", "--penalty=centre", *tiny)
    assert trained.code == 0, trained.err
    memory = load_tensors(Path("run/checkpoints/00000002/penalty_memory.centre.safetensors"))
    assert memory["mean"] != 0


def test_the_augmentation_on_the_page_on_memory_works(plugin, ganzoo_cli):
    (project,) = blocks("docs/plugins/memory.md", "toml")
    metadata = tomllib.loads(project)["project"]
    code = blocks("docs/plugins/memory.md", "python")[0]
    plugin(metadata["name"], code, metadata["entry-points"], metadata["version"])
    for check in CHECKS[registry.AUGMENTATION]:
        check(registry.get(registry.AUGMENTATION, "sure-flip")())
    tiny = ["--set=arch.hidden=8", "--image-size=8", "--steps=2", "--batch-size=4", "--device=cpu"]
    chosen = ["--loss=steady", "--set=train.augment=sure-flip", "--out=run"]
    trained = ganzoo_cli("train", "mlp", *chosen, *tiny)
    assert trained.code == 0, trained.err
    folder = Path("run/checkpoints/00000002")
    assert load_tensors(folder / "loss_memory.safetensors")["mean"] != 0
    flips = load_tensors(folder / "augmentation_memory.sure-flip.safetensors")
    assert 0 <= flips["probability"] <= 8 / 100_000


def test_the_converter_on_its_page_converts(plugin, ganzoo_cli):
    (project,) = blocks("docs/plugins/converters.md", "toml")
    code, check = blocks("docs/plugins/converters.md", "python")
    metadata = tomllib.loads(project)["project"]
    plugin(metadata["name"], code, metadata["entry-points"], metadata["version"])
    for conforms in CHECKS[registry.CONVERTER]:
        conforms(registry.get(registry.CONVERTER, "planes")())
    scope = {}
    exec(check, scope)
    scope["test_a_file_of_planes"]()
    shapes = {"plane1": (4, 6), "offset1": (6,), "plane2": (6, 64), "offset2": (64,)}
    torch.save({**{k: torch.rand(v) for k, v in shapes.items()}, "year": 2020}, "file.pth")
    done = ganzoo_cli("import", "file.pth", "--set", "width=16")
    assert done.code == 0, done.err
    assert "mlp for images of 1 x 4 x 16" in done.err
    assert "made in 2020" in done.err


def test_the_package_on_the_page_on_models_is_what_is_written(tiny_run, tmp_path):
    (project,) = blocks("docs/plugins/models.md", "toml")
    kinds = list(registry.FILE_KINDS)
    assert package_files("my-digits", kinds)["pyproject.toml"] == project
    package, _ = blocks("docs/plugins/models.md", "python")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "digits").symlink_to(tiny_run.path)
    exec(package, {})
    found = ganzoo.load("ganzoo_my_digits/my-digits")
    assert found.discriminator is not None
    assert found.folder.scores()[0].repeats == 3
    (place,) = blocks("docs/plugins/models.md", "json")
    assert HubPlace.model_validate_json(place).repo == "user/digits"
    (recipe,) = blocks("docs/plugins/models.md", "yaml")
    Path("digits.yaml").write_text(recipe)
    assert read_recipe(Path("digits.yaml")).resolve().train.steps == 16000
    check_parameters(Path("digits.yaml"))


def test_the_page_on_testing_tests(plugin):
    (project,) = blocks("docs/plugins/first-loss.md", "toml")
    metadata = tomllib.loads(project)["project"]
    code = blocks("docs/plugins/first-loss.md", "python")[0]
    plugin(metadata["name"], code, metadata["entry-points"], metadata["version"])
    _, kit, own = (
        compile(code, "testing.md", "exec") for code in blocks("docs/plugins/testing.md", "python")
    )
    page = {}
    exec(kit, page)
    for check in loss_checks:
        page["test_softer"](check)
    exec(own, page)
    page["test_reals_at_their_label_cost_nothing"]()


class Summed(Loss):
    """The loss of the page on testing, which sums where it should take the mean."""

    def discriminator_loss(self, D, real, fake):
        return {"real": (D(real) - 1).square().sum(), "fake": D(fake).square().mean()}

    def generator_loss(self, D, real, fake):
        return {"adversarial": (D(fake) - 1).square().mean()}


def test_the_messages_on_the_page_on_testing_are_the_kits():
    said = []
    for check in loss_checks:
        try:
            check(Summed())
        except ConformanceError as error:
            said.append(f"{check.__name__}: {error}")
    (shown,) = blocks("docs/plugins/testing.md", "text")
    assert " ".join(shown.split()) == " ".join(said)


def test_every_promise_is_kept_by_a_test():
    page = (ROOT / "docs" / "understand" / "promises.md").read_text()
    promises = [part for part in page.split("\n\n") if part.startswith("**")]
    assert "python tests/benchmarks/guarantees.py" in page  # what is measured, not tested
    promises = [promise for promise in promises if not promise.startswith("**They cost little")]
    kept = re.findall(r"`tests/(\w+\.py)::(test_\w+)`", page)
    assert len(promises) > 10
    for promise in promises:
        assert re.search(r"`tests/\w+\.py::test_\w+`", promise), promise
    for file, test in kept:
        assert f"def {test}(" in (ROOT / "tests" / file).read_text(), test
