"""Models with names: what a package ships is found, read and refused like any other model."""

import json
import shutil
import sys
from pathlib import Path

import pytest
import torch

import ganzoo
from ganzoo.cli.common import complete_models
from ganzoo.errors import GanzooWarning, InputError, PluginError
from ganzoo.models.folder import read_manifest, write_manifest
from ganzoo.publishing.package import package_model
from ganzoo.runs.folder import Run
from hub_models import NAME, content, said
from tiny import TINY, sealed

MODEL = "acme-digits"
BROKEN = "raise RuntimeError('nobody may import this')\n"
WEIGHTS = "model.safetensors"
COPY = "alice/copy"


def judged(model):
    return ganzoo.evaluate(model, ["fid"], samples=100, repeats=2, device="cpu")


@pytest.fixture(scope="module")
def packaged(tiny_run, tmp_path_factory):
    """The folder of a model that a package ships; to be read, not changed."""
    folder = tmp_path_factory.mktemp("packaged") / MODEL
    package_model(tiny_run, folder, MODEL, judged, licence="mit", package="acme-gans")
    return folder


@pytest.fixture
def ship(plugin):
    """Install a package that ships models, by their names; return the folder of these."""

    def install(folders, package="acme-gans"):
        module = f"{package.replace('-', '_')}_files"
        site = plugin(package, BROKEN, {"ganzoo.models": dict.fromkeys(folders, module)})
        (site / module).mkdir()
        (site / module / "__init__.py").write_text(BROKEN)
        for name, folder in folders.items():
            shutil.copytree(folder, site / module / name)
        return site / module

    return install


@pytest.fixture
def shipped(ship, packaged):
    return ship({MODEL: packaged}) / MODEL


def rows(ganzoo_cli, *words):
    result = ganzoo_cli("list", *words, "--json")
    assert (result.code, result.err) == (0, "")
    return [row for row in json.loads(result.out) if row["package"].startswith("acme")]


def drawn(model, count=20):
    return ganzoo.load(model).sample(count)


# A name stands for the model ---------------------------------------------------------------------


@pytest.mark.usefixtures("shipped")
def test_a_model_is_listed_with_what_it_is(ganzoo_cli):
    (row,) = rows(ganzoo_cli, "models")
    score = ganzoo.load(MODEL).folder.scores()[0]
    assert row["model"] == {
        "family": "dcgan",
        "data": "digits",
        "size": "16 x 16",
        "classes": 10,
        "score": f"fid[digits-cnn] {score.value:.4g}",
        "licence": "mit",
        "source": "acme-gans 1.0",
    }
    assert (row["name"], row["version"], row["state"]) == (MODEL, "1.0", "installed")
    header, *table = ganzoo_cli("list", "models").out.splitlines()
    columns = ("name", "family", "data", "size", "classes", "score", "licence", "from")
    assert tuple(header.split()) == columns
    (line,) = [line for line in table if line.startswith(MODEL)]
    assert line.split()[1:7] == ["dcgan", "digits", "16", "x", "16", "10"]
    assert line.split()[-3:] == ["mit", "acme-gans", "1.0"]


@pytest.mark.usefixtures("shipped")
def test_it_stands_in_the_list_of_everything_and_is_checked(ganzoo_cli):
    (row,) = rows(ganzoo_cli)
    assert row["summary"].startswith("dcgan on digits, 16 x 16, fid[digits-cnn] ")
    assert "models\n" in ganzoo_cli("list").out
    (row,) = [row for row in rows(ganzoo_cli, "models", "--check") if row["name"] == MODEL]
    assert row["state"] == "works"
    assert row["summary"] == "dcgan trained with wgan-gp on digits, step 4"


@pytest.mark.usefixtures("shipped")
def test_show_tells_scores_licence_and_package(ganzoo_cli):
    shown = json.loads(ganzoo_cli("show", MODEL, "--json").out)
    assert (shown["kind"], shown["name"], shown["reference"]) == ("model", MODEL, MODEL)
    assert (shown["package"], shown["version"], shown["licence"]) == ("acme-gans", "1.0", "mit")
    assert [row["metric"] for row in shown["scores"]] == ["fid[digits-cnn]"]
    text = ganzoo_cli("show", MODEL).out
    assert text.startswith(f"model {MODEL}, acme-gans 1.0\n")
    assert "licence: mit; from acme-gans 1.0" in text
    assert "fid[digits-cnn] " in text


COMMANDS = {
    "sample": ["sample", MODEL, "-n", "4", "--out", "out.png", "--device", "cpu"],
    "eval": ["eval", MODEL, "--metric", "fid", "--samples", "50", "--device", "cpu"],
    "compare": ["compare", MODEL],
    "export": ["export", MODEL, "--out", "out.pt2"],
    "project": ["project", MODEL, "sample:0", "--steps", "2", "--device", "cpu"],
    "directions": ["directions", MODEL, "-n", "1", "--samples", "2", "--device", "cpu"],
    "publish": ["publish", MODEL, "user/name", "--dry-run"],
    "space": ["publish", MODEL, "user/name@v1", "--space", "--out", "space"],
    "init": ["train", "--init", MODEL, "--steps", "1", "--batch-size", "8", "--device", "cpu"],
    "dry": ["train", "--init", MODEL, "--dry-run"],
    "compared with a run": ["compare", MODEL, f"acme-gans:{MODEL}"],
}


@pytest.mark.usefixtures("shipped")
@pytest.mark.parametrize("command", COMMANDS)
def test_a_name_is_taken_wherever_a_model_is(ganzoo_cli, command):
    result = ganzoo_cli(*COMMANDS[command])
    assert result.code == 0, result
    assert "acme_gans_files" not in sys.modules


def test_python_takes_it_and_finds_the_models_samples(shipped, tiny_run):
    found = ganzoo.load(MODEL)
    assert (found.folder.path, found.folder.reference) == (shipped, MODEL)
    assert not found.is_own
    assert (drawn(MODEL) - drawn(tiny_run)).abs().max() < 2 / 255
    (row,) = ganzoo.evaluate(MODEL, ["fid"], samples=100, device="cpu")
    (known,) = found.folder.scores()
    assert known.repeats == 2
    assert abs(row.value - known.value) <= 3 * known.std
    assert list(shipped.iterdir()) == list(found.folder.path.iterdir())
    assert not (shipped / "scores.jsonl").exists()


@pytest.mark.usefixtures("shipped")
def test_the_demo_draws_from_it(tmp_path):
    from ganzoo_zoo.apps.demo.session import Session

    session = Session(ganzoo.load(MODEL), tmp_path, "cpu")
    assert session.sample(seed=0, count=4).file.is_file()


@pytest.mark.usefixtures("shipped")
def test_names_are_completed():
    assert complete_models("acme") == [MODEL]
    assert complete_models("other") == []


# What a name means -------------------------------------------------------------------------------


@pytest.mark.usefixtures("shipped")
def test_a_folder_of_that_name_does_not_change_what_it_means(tiny_run, ganzoo_cli):
    shutil.copytree(tiny_run.model, MODEL)
    with pytest.warns(GanzooWarning, match=rf"for the folder, write \./{MODEL}"):
        assert ganzoo.load(MODEL).folder.reference == MODEL
    for path in (f"./{MODEL}", Path(MODEL)):
        assert ganzoo.load(path).folder.path == Path(MODEL)
    result = ganzoo_cli("sample", MODEL, "-n", "1", "--out", "one.png", "--device", "cpu")
    assert result.code == 0
    assert result.err.count("is the model of that name of acme-gans") == 1


@pytest.mark.usefixtures("shipped")
def test_a_package_may_stand_before_a_name():
    for name in (f"acme-gans:{MODEL}", f"Acme_Gans:{MODEL}"):
        assert ganzoo.load(name).folder.name == MODEL


@pytest.mark.usefixtures("shipped")
def test_a_name_that_two_packages_claim_needs_the_package(ship, packaged, refused, ganzoo_cli):
    ship({MODEL: packaged}, "acme-others")
    assert refused("sample", MODEL) == (
        f"Error: model '{MODEL}' is claimed by acme-gans and acme-others; write "
        f"'acme-gans:{MODEL}' or 'acme-others:{MODEL}'"
    )
    assert ganzoo.load(f"acme-others:{MODEL}").folder.reference == f"acme-others:{MODEL}"
    assert [row["state"] for row in rows(ganzoo_cli, "models")] == [
        f"claimed twice: write acme-gans:{MODEL}",
        f"claimed twice: write acme-others:{MODEL}",
    ]


@pytest.mark.usefixtures("shipped")
def test_an_unknown_name_is_answered_with_the_nearest(refused):
    for words in (["sample", "acme-digit"], ["eval", "acme-digit"], ["show", "acme-digit"]):
        assert f"did you mean '{MODEL}'?" in refused(*words)
    with pytest.raises(InputError, match="no run or model folder named 'acme-gans:nothing'"):
        ganzoo.load("acme-gans:nothing")


@pytest.mark.usefixtures("shipped")
def test_a_name_has_no_revisions():
    with pytest.raises(InputError, match=f"{MODEL} has no revisions"):
        ganzoo.load(MODEL, revision="v1")


def test_it_goes_with_its_package(shipped, refused, ganzoo_cli, monkeypatch):
    assert ganzoo_cli("train", "--init", MODEL, *INIT, "--out", "run").code == 0
    site = str(shipped.parents[1])
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path != site])
    assert MODEL not in {row["name"] for row in rows(ganzoo_cli, "models")}
    assert f"no run or model folder named '{MODEL}'" in refused("sample", MODEL)
    # A run that started from it has a copy.
    assert ganzoo_cli("train", "--resume", "run", "--steps", "3").code == 0


# Broken packages ---------------------------------------------------------------------------------


def _change(folder):
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-1] + b"?")


def _sealed_config(text):
    def change(folder):
        (folder / "config.json").write_text(text)
        sealed(folder)

    return change


LISTED, SILENT = "broken: ", "installed"
SPOILT = {
    "no folder": (shutil.rmtree, LISTED, "is missing: acme_gans_files has no acme-digits"),
    "no manifest": (lambda path: (path / "manifest.json").unlink(), SILENT, "is damaged: "),
    "a damaged manifest": (
        lambda path: (path / "manifest.json").write_text("{"),
        SILENT,
        "is damaged: ",
    ),
    "no configuration": (lambda path: (path / "config.json").unlink(), LISTED, "config.json"),
    "a configuration of nothing": (_sealed_config("{}"), LISTED, "not a model's configuration"),
    "a configuration of text": (_sealed_config("?"), LISTED, "config.json"),
    "changed weights": (_change, SILENT, "is not the file that manifest.json lists"),
    "no weights": (lambda path: (path / WEIGHTS).unlink(), SILENT, WEIGHTS),
    "no commit": (
        lambda path: (path / "hub.json").write_text('{"repo": "user/name"}'),
        LISTED,
        "names no commit of the Hub",
    ),
    "a commit of another place": (
        lambda path: (path / "hub.json").write_text(
            json.dumps({"repo": "../user", "commit": "a" * 40})
        ),
        SILENT,
        "names no commit of the Hub",
    ),
}


@pytest.mark.parametrize("spoil", SPOILT)
def test_a_broken_model_is_a_row_in_the_list_and_a_line_elsewhere(
    shipped, ganzoo_cli, refused, spoil
):
    change, state, message = SPOILT[spoil]
    change(shipped)
    (row,) = rows(ganzoo_cli, "models")
    assert row["state"].startswith(state)
    assert (row["model"] is None) == (state == LISTED)
    assert len(rows(ganzoo_cli)) == 1
    (row,) = rows(ganzoo_cli, "models", "--check")
    assert row["state"].startswith("broken: ")
    assert any(line.startswith(MODEL) for line in ganzoo_cli("list", "models").out.splitlines())
    assert message in refused("sample", MODEL)
    assert message in refused("show", MODEL)


def test_a_name_that_leads_out_of_its_package_is_refused(plugin, ganzoo_cli):
    site = plugin("acme-gans", "", {"ganzoo.models": {"..": "acme_files", "a b": "acme_files"}})
    (site / "acme_files").mkdir()
    for name in ("..", "a b"):
        with pytest.raises(PluginError, match="its name is not that of a file"):
            ganzoo.load(f"acme-gans:{name}")
    assert [row["state"][:7] for row in rows(ganzoo_cli, "models")] == ["broken:", "broken:"]


# Models whose files are on the Hub ---------------------------------------------------------------


@pytest.fixture
def pointer(hub, client, ship, packaged):
    """A package that ships a model without its weights, which are on the Hub."""
    commit = hub.repo(NAME, content(packaged))
    files = ship({MODEL: packaged})
    (files / MODEL / WEIGHTS).unlink()
    place = {"repo": NAME, "commit": commit}
    (files / MODEL / "hub.json").write_text(json.dumps(place))
    site = str(files.parent)
    client.call("import sys, importlib\nsys.path.insert(0, site)", site=site)
    yield files / MODEL
    client.call("import sys\nsys.path.remove(site)", site=site)


SAMPLE = ["sample", MODEL, "-n", "4", "--device", "cpu", "--force", "--out", "one.png"]


def test_weights_that_the_package_lacks_come_from_the_hub_at_that_commit(
    pointer, hub, client, tmp_path
):
    listed = json.loads(client.run("list", "models", "--json").out)
    (row,) = [row for row in listed if row["name"] == MODEL]
    assert row["model"]["source"] == f"{NAME}@{hub.head(NAME)[:8]}"
    assert hub.requests == []
    hub.commit(NAME, {WEIGHTS: b"newer", "manifest.json": b"{}"})  # another commit does not matter
    result = client.run(*SAMPLE, cwd=tmp_path)
    assert (result.code, result.err) == (0, ""), result
    asked = [request.target for request in hub.requests]
    assert [target for target in asked if "README" in target or "config.json" in target] == []
    hub.offline()
    again = client.run(*SAMPLE, cwd=tmp_path)
    assert (again.code, again.err) == (0, ""), again
    assert not (pointer / WEIGHTS).exists()


def test_without_a_network_weights_that_were_never_fetched_are_missed(pointer, hub, client):
    hub.offline()
    message = said(client.run(*SAMPLE), 1)
    assert "the Hub cannot be reached" in message


def test_another_file_than_the_package_lists_is_refused(pointer, client):
    records = json.loads((pointer / "manifest.json").read_text())
    records[WEIGHTS]["sha256"] = "0" * 64
    (pointer / "manifest.json").write_text(json.dumps(records))
    message = said(client.run(*SAMPLE), 2)
    assert f"{WEIGHTS} of {NAME} is not the file that acme-gans lists" in message


def test_it_is_published_with_its_picture_its_scores_and_its_licence(
    hub, client, shipped, packaged
):
    site = str(shipped.parents[1])
    client.call("import sys\nsys.path.insert(0, site)", site=site)
    try:
        result = client.run("publish", MODEL, COPY, "--json")
    finally:
        client.call("import sys\nsys.path.remove(site)", site=site)
    assert result.code == 0, result
    files = hub.files(COPY)
    assert files.keys() == content(packaged).keys()
    for name in (WEIGHTS, "samples.png", "samples.json", "scores.json"):
        assert files[name] == (packaged / name).read_bytes()
    card = files["README.md"].decode()
    assert "license: mit" in card
    assert f'ganzoo.load("{COPY}")' in card


# Packaging ---------------------------------------------------------------------------------------


INIT = ["--batch-size", "8", "--device", "cpu", "--steps", "2", "--checkpoint-every", "1"]
INIT += ["--set", "train.recipe=paper"]


def read_types(folder):
    from safetensors import safe_open

    with safe_open(folder / WEIGHTS, "pt") as file:
        return {name: file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118


def test_weights_are_in_half_precision_and_load_in_single(packaged, tiny_run):
    types = read_types(packaged)
    assert set(types.values()) == {"F16", "I64"}
    assert {each for each in read_types(tiny_run.model).values()} == {"F32", "I64"}
    generator = ganzoo.load(packaged).generator
    assert {each.dtype for each in generator.parameters()} == {torch.float32}
    assert (drawn(packaged, 300) - drawn(tiny_run, 300)).abs().max() < 2 / 255


def test_what_is_shipped_and_nothing_else(packaged, tiny_run):
    shipped = {path.name for path in packaged.iterdir()}
    assert shipped == {
        *("README.md", "config.json", "manifest.json", "model.safetensors"),
        *("samples.json", "samples.png", "scores.json", "training.png"),
    }
    assert read_manifest(packaged / "manifest.json").keys() == shipped - {"manifest.json"}
    config = json.loads((packaged / "config.json").read_text())
    assert str(tiny_run.path.parent) not in json.dumps(config)
    card = (packaged / "README.md").read_text()
    assert f'ganzoo.load("{MODEL}")' in card
    assert "acme-gans" in card
    assert "license: mit" in card
    assert "discriminator.safetensors" not in card


def test_the_picture_is_what_sample_draws_from_the_seed_that_it_says(packaged, ganzoo_cli):
    from ganzoo.media.images import load_png
    from ganzoo.models.sample_record import hash_samples, read_sample_record

    model = ganzoo.load(packaged)
    record = read_sample_record(model.folder)
    assert (record.seed, record.count) == (0, 64)
    assert hash_samples(record.draw(model)) == record.sha256
    words = ["-n", record.count, "--seed", record.seed, "--device", "cpu", "--out", "again.png"]
    assert ganzoo_cli("sample", packaged, *words).code == 0
    assert torch.equal(load_png(Path("again.png"))[0], load_png(packaged / "samples.png")[0])


def test_the_same_model_is_packaged_to_the_same_bytes_in_place_of_an_earlier_one(
    packaged, tiny_run, tmp_path
):
    folder = tmp_path / MODEL
    for licence in ("cc0-1.0", "mit"):
        package_model(tiny_run, folder, MODEL, judged, licence=licence, package="acme-gans")
    assert content(folder) == content(packaged)


def test_it_starts_a_training_that_begins_with_another_discriminator(shipped, ganzoo_cli):
    result = ganzoo_cli("train", "--init", MODEL, *INIT, "--out", "run")
    assert result.code == 0, result
    assert f"{MODEL} has no discriminator: a new one begins with random weights" in result.err
    with pytest.raises(InputError, match="has no discriminator: its weights were packaged without"):
        ganzoo.load(MODEL).discriminator  # noqa: B018
    init = Run(Path("run")).config().init
    assert (init.name, init.discriminator_sha256) == (MODEL, None)
    # The copy in half precision, from which a resumed run begins if its checkpoints are gone.
    whole = Path("run/model/model.safetensors").read_bytes()
    shutil.rmtree("run/checkpoints")
    again = ganzoo_cli("train", "--resume", "run")
    assert again.code == 0, again
    assert Path("run/model/model.safetensors").read_bytes() == whole


def test_the_discriminator_is_shipped_if_it_is_asked_for(tiny_run, tmp_path):
    done = package_model(
        tiny_run, tmp_path / "m", MODEL, lambda model: (), keep_discriminator=True, seed=3
    )
    kept = tmp_path / "m" / "discriminator.safetensors"
    assert kept.read_bytes() == (tiny_run.model / kept.name).read_bytes()
    assert "discriminator.safetensors" in (tmp_path / "m" / "README.md").read_text()
    assert (done.in_half, done.folder) == (True, tmp_path / "m")
    assert 0 < done.difference < 1
    assert json.loads((tmp_path / "m" / "samples.json").read_text())["seed"] == 3
    assert not (tmp_path / "m" / "scores.json").exists()


@pytest.mark.parametrize("factor", [3e3, 1e9])
def test_weights_that_half_precision_would_change_stay_in_single(tiny_run, tmp_path, factor):
    """One that is too large for it, and one whose rounding is seen in samples."""
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(tiny_run.model, tmp_path / "model")
    weights = load_file(folder / WEIGHTS)
    name = next(name for name, each in weights.items() if each.dim() == 4)
    weights[name] = weights[name] * factor
    save_file(weights, folder / WEIGHTS)
    sealed(folder)
    done = package_model(folder, tmp_path / "m", MODEL, lambda model: ())
    types = read_types(tmp_path / "m")
    if done.in_half:
        assert "F32" in types.values(), "a number beyond half precision stays as it is"
    else:
        assert done.difference >= 1
        assert set(types.values()) == {"F32", "I64"}
    assert (drawn(tmp_path / "m") - drawn(folder)).abs().max() < 2 / 255


def test_points_stay_in_single_precision(tmp_path):
    run = ganzoo.train(
        "mlp", "wgan-gp", "ring", out="ring", settings=POINTS, **{**TINY, "steps": 1}
    )
    done = package_model(run, tmp_path / "m", "acme-ring", lambda model: ())
    assert (done.in_half, done.difference) == (False, None)
    assert json.loads((tmp_path / "m" / "samples.json").read_text())["count"] == 2500
    assert torch.equal(drawn(tmp_path / "m"), drawn(run))


POINTS = {"data.samples": 100, "arch.hidden": (8,), "arch.z_dim": 4}


def test_paths_of_the_training_stay_behind(tiny_run, tmp_path):
    folder = shutil.copytree(tiny_run.model, tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    data = {"name": "mnist", "options": {"root": "/home/me/mnist", "image_size": [16, 16]}}
    config["data"].update(data)
    (folder / "config.json").write_text(json.dumps(config))
    package_model(sealed(folder), tmp_path / "m", MODEL, lambda model: ())
    shipped = json.loads((tmp_path / "m" / "config.json").read_text())
    assert shipped["data"]["options"] == {"image_size": [16, 16]}


def test_a_folder_of_other_things_is_not_replaced(tiny_run, tmp_path):
    (tmp_path / "mine").mkdir()
    with pytest.raises(InputError, match="is not a model: choose another folder"):
        package_model(tiny_run, tmp_path / "mine", MODEL, judged)


def test_half_precision_is_no_way_around_the_other_checks(packaged, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(packaged, tmp_path / "model")
    weights = load_file(folder / WEIGHTS)
    name = next(name for name, each in weights.items() if each.dtype == torch.float16)
    for tensor, message in (
        (torch.full_like(weights[name], float("inf")), "not finite"),
        (weights[name].bfloat16(), "is torch.bfloat16, not torch.float32"),
        (weights[name].double(), "is torch.float64, not torch.float32"),
    ):
        save_file({**weights, name: tensor}, folder / WEIGHTS)
        write_manifest(folder)
        with pytest.raises(InputError, match=message):
            ganzoo.load(folder)
