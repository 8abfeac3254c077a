"""Records of runs: what they hold, how they grow, and that they name no folder of a machine."""

import json
import shlex
import shutil
import statistics
from pathlib import Path

import pytest

import crash
import ganzoo
from ganzoo.api.training import resume
from ganzoo.errors import Diverged, InputError, Interrupted
from ganzoo.recipes import hash_recipe
from ganzoo.runs.folder import Run
from ganzoo.runs.machines import MACHINES_FILE, read_machines
from ganzoo.storage.files import sha256
from ganzoo_zoo.apps.record import summary
from ganzoo_zoo.apps.record.form import read_record
from tiny import TINY, Stopper

SETTINGS = {"arch.hidden": (8,), "arch.z_dim": 2}
JUDGED = {"steps": 10, "eval_every": 1, "eval_metric": ("modes",), "eval_samples": 40}
RECIPE = """
title: A small network on the ring
architecture: mlp
loss: non-saturating
data: ring
settings:
  arch.hidden: [8]
  arch.z_dim: 2
  train.recipe: paper
  train.batch_size: 8
  train.steps: 4
"""


def trained(out, observer=None, loss="non-saturating", **options):
    given = {**TINY, **options}
    return ganzoo.train(
        "mlp", loss=loss, data="ring", out=out, settings=SETTINGS, observer=observer, **given
    )


@pytest.fixture(scope="module")
def seeds(tmp_path_factory):
    """Two runs of one configuration, judged at each step; to be read, not changed."""
    folder = tmp_path_factory.mktemp("seeds")
    return [trained(folder / f"seed{seed}", seed=seed, **JUDGED) for seed in (0, 1)]


@pytest.fixture
def recorded(ganzoo_cli):
    def record(*words):
        result = ganzoo_cli("record", *words, "--json")
        assert result.code == 0, result.err
        return json.loads(result.out)

    return record


@pytest.fixture
def recipe(plugin):
    """Install a recipe of a package."""
    site = plugin("acme-small", "", {"ganzoo.recipes": {"small-ring": "acme_files"}})
    (site / "acme_files").mkdir()
    (site / "acme_files" / "small-ring.yaml").write_text(RECIPE)


def paths(run):
    return [each.path for each in (run if isinstance(run, list) else [run])]


# What a record holds ----------------------------------------------------------------------------


def test_runs_of_one_configuration_are_one_record(seeds, recorded):
    (found,) = recorded(*paths(seeds))
    config = seeds[0].config()
    assert (found["format"], found["hash"]) == (1, hash_recipe(config))
    assert (found["recipe"], found["picture"]) == (None, None)
    assert found["config"]["settings"]["arch.hidden"] == [8]
    assert not {"train.seed", "train.device"} & set(found["config"]["settings"])
    assert found["data"]["fingerprint"] == config.data_fingerprint
    assert (found["data"]["shape"], found["data"]["classes"]) == ([2], None)
    model = ganzoo.load(seeds[0])
    for word in ("generator", "discriminator"):
        counted = sum(each.numel() for each in getattr(model, word).parameters())
        assert found["parameters"][word] == counted
    for seed, run in enumerate(found["seeds"]):
        assert (run["seed"], run["state"], run["judged"]) == (seed, "finished", True)
        assert (run["step"], run["images_seen"], run["retries"]) == (10, 80, 0)
        assert run["failure"] is run["memorised"] is None
        assert min(run["seconds"], run["processor_seconds"]) > 0
        assert run["versions"] == config.versions
        (machine,) = run["machine"]
        assert (machine["step"], machine["device"], machine["processes"]) == (0, "cpu", 1)
        assert machine["processor"]
        assert machine["versions"]["torch"] == config.versions["torch"]
    assert [each["metric"] for each in found["protocols"]] == ["high-quality", "modes"]
    assert {each["fake_samples"] for each in found["protocols"]} == {40}


def test_scores_stand_at_each_step_with_their_protocol_once(seeds, recorded):
    (found,) = recorded(*paths(seeds))
    logged = [json.loads(line) for line in seeds[1].score_log.read_text().splitlines()]
    rows = [
        {**found["protocols"][row["protocol"]], **row, "protocol": None}
        for row in found["seeds"][1]["scores"]
    ]
    key = lambda row: (row["step"], row["metric"])  # noqa: E731
    assert sorted(({**row, "protocol": None} for row in logged), key=key) == sorted(rows, key=key)


def test_means_over_seeds_are_computed_when_they_are_read(seeds, recorded):
    recorded(*paths(seeds), "--out", "both.json")
    record = read_record(Path("both.json"))
    (modes,) = [row for row in summary.find_protocols(record) if row.metric == "modes"]
    for share, step in ((0.1, 1), (0.5, 5), (1.0, 10)):
        values = [
            row["value"]
            for run in seeds
            for row in map(json.loads, run.score_log.read_text().splitlines())
            if (row["metric"], row["step"]) == ("modes", step)
        ]
        found = summary.find_at(record, modes, share)
        assert (found.mean, found.count, found.of) == (statistics.fmean(values), 2, 2)
        assert found.std == statistics.stdev(values)
    assert "mean" not in Path("both.json").read_text()


def test_a_score_far_behind_a_mark_does_not_stand_for_it(tmp_path, recorded):
    run = trained(tmp_path / "run", **{**JUDGED, "eval_every": 4})  # at 4, 8 and 10
    recorded(run.path, "--out", "mine.json")
    record = read_record(Path("mine.json"))
    modes = summary.find_protocols(record)[1]
    assert summary.find_at(record, modes, 0.1) is None
    assert summary.find_at(record, modes, 0.5) is None
    assert summary.find_at(record, modes, 1.0).count == 1


def test_a_record_names_no_folder_of_a_machine(tmp_path, monkeypatch, ganzoo_cli, seeds, recorded):
    pictures = tmp_path / "my" / "pictures"
    pictures.mkdir(parents=True)
    for step in (0, 2):
        image = next(iter(seeds[0].pictures().values()))
        shutil.copy(image, pictures / f"{step}.png")
    settings = {"arch.hidden": (8,), "data.image_size": 8}
    run = ganzoo.train("mlp", data=pictures, out=tmp_path / "run", settings=settings, **TINY)
    assert str(tmp_path) in (run.path / "config.json").read_text()
    recorded(run.path, "--out", "mine.json")
    text = Path("mine.json").read_text()
    assert str(tmp_path) not in text
    assert json.loads(text)["config"]["settings"]["data.path"] == "pictures"
    assert "--set data.path=pictures" in json.loads(text)["command"]


def test_the_command_trains_the_run_again(seeds, recorded, ganzoo_cli, refused):
    (found,) = recorded(seeds[0].path)
    words = shlex.split(found["command"])
    assert words[:3] == ["ganzoo", "train", "mlp"]
    result = ganzoo_cli(*words[1:], "--out", "again", "--device", "cpu")
    assert result.code == 0, result.err
    assert crash.content(Run(Path("again")).model) == crash.content(seeds[0].model)
    message = refused("record", seeds[0].path, "again")
    assert "the same configuration and the seed 0: give one of them" in message


def test_a_run_on_which_nothing_was_judged_says_so(tiny_run, recorded, ganzoo_cli):
    shutil.copytree(tiny_run.path, "run", ignore=shutil.ignore_patterns("scores.jsonl"))
    (found,) = recorded("run")
    (run,) = found["seeds"]
    assert (run["judged"], run["scores"], found["protocols"]) == (False, [], [])
    assert (found["data"]["samples"], found["data"]["classes"]) == (1797, 10)
    assert "nothing was judged" in ganzoo_cli("record", "run").out


def test_what_was_memorised_stands_in_it(tiny_run, recorded):
    shutil.copytree(tiny_run.path, "run")
    with Path("run", "metrics.jsonl").open("a") as file:
        for share in (0.5, 0.25):
            file.write(json.dumps({"step": 4, "samples/memorised": share}) + "\n")
        file.write(json.dumps({"step": 4, "warning": "copies", "message": "of /mine"}) + "\n")
    (run,) = recorded("run")[0]["seeds"]
    assert run["memorised"] == {"last": 0.25, "highest": 0.5}
    assert run["warnings"][-1] == {"name": "copies", "began": 4, "ended": None}


def test_people_see_scores_at_marks_of_the_budget(seeds, ganzoo_cli):
    out = ganzoo_cli("record", *paths(seeds)).out
    assert "seeds 0, 1" in out
    header, *lines = [line.split("  ") for line in out.splitlines() if "  " in line][-3:]
    assert [cell.strip() for cell in header if cell.strip()] == [
        *("score", "a tenth", "half", "the end", "best", "of")
    ]
    assert [line[0] for line in lines] == ["high-quality", "modes"]
    assert "40 fakes, 40 reals of ring" in out


# How runs end -----------------------------------------------------------------------------------


def test_a_stopped_run_is_recorded_and_so_is_its_resume(tmp_path, recorded):
    with pytest.raises(Interrupted):
        trained(tmp_path / "run", Stopper(3))
    (before,) = recorded(tmp_path / "run")
    assert before["parameters"] is None
    (run,) = before["seeds"]
    assert (run["state"], run["step"], run["steps"]) == ("stopped", 3, 4)
    resume(tmp_path / "run")
    (after,) = recorded(tmp_path / "run")
    (run,) = after["seeds"]
    assert (run["state"], run["step"]) == ("finished", 4)
    assert [row["step"] for row in run["machine"]] == [0, 3]
    assert after["parameters"] is not None
    resume(tmp_path / "run")  # which has nothing to do
    assert len(read_machines(tmp_path / "run" / MACHINES_FILE)) == 2


@pytest.fixture
def losses(plugin):
    code = f"{crash.DIVERGING}\n" + (
        "class Broken(Diverging):\n"
        '    "Is not a number from the fifth step on."\n\n'
        "    def discriminator_loss(self, D, real, fake):\n"
        "        late = {derive_seed(0, 'step', step) for step in range(4, 50)}\n"
        "        bad = torch.initial_seed() in late\n"
        "        return {'relative': D(fake).mean() * (float('nan') if bad else 1.0)}\n"
    )
    points = {"diverging": "acme_breaking:Diverging", "broken": "acme_breaking:Broken"}
    plugin("acme-breaking", code, {"ganzoo.losses": points})


def test_a_run_that_diverged_is_recorded_with_its_failure(tmp_path, losses, recorded, ganzoo_cli):
    with pytest.raises(Diverged):
        trained(tmp_path / "run", loss="broken", steps=12)
    (found,) = recorded(tmp_path / "run")
    (run,) = found["seeds"]
    assert run["state"] == "diverged"
    assert run["failure"]["step"] == 6
    assert run["failure"]["message"].startswith("training diverged by step 6: ")
    assert found["parameters"] is not None, "the model of the last checkpoint"
    assert "seed 0 diverged at step 6 of 12" in ganzoo_cli("record", tmp_path / "run").out


def test_a_run_that_went_back_to_a_checkpoint_says_how_often(
    tmp_path, losses, recorded, ganzoo_cli
):
    trained(tmp_path / "run", loss="diverging", steps=12, checkpoint_every=3)
    (found,) = recorded(tmp_path / "run")
    (run,) = found["seeds"]
    assert (run["state"], run["retries"]) == ("finished", 1)
    assert "went back to a checkpoint once" in ganzoo_cli("record", tmp_path / "run").out


def test_a_run_that_did_not_note_its_machine_has_none(seeds, tmp_path, recorded, ganzoo_cli):
    shutil.copytree(seeds[0].path, "old")
    Path("old", MACHINES_FILE).unlink()
    (found,) = recorded("old")
    assert found["seeds"][0]["machine"] is None
    assert "not noted" in ganzoo_cli("record", "old").out
    Path("old", MACHINES_FILE).write_text('{"date": 1}\nx\n')
    (found,) = recorded("old")
    assert found["seeds"][0]["machine"] is None


# Recipes ----------------------------------------------------------------------------------------


def test_a_run_of_a_recipe_has_its_name_and_what_was_changed(recipe, ganzoo_cli, recorded):
    words = ("train", "--recipe", "small-ring", "--device", "cpu", "--sample-every", "2")
    assert ganzoo_cli(*words, "--out", "run").code == 0
    (found,) = recorded("run")
    assert (found["recipe"], found["nearest"], found["config"]) == (
        "small-ring",
        "small-ring",
        None,
    )
    assert found["differences"] == {"train.sample_every": [100, 2]}
    expected = "ganzoo train --recipe small-ring --seed 0 --set train.sample_every=2"
    assert found["command"] == expected
    assert ganzoo_cli("record", "run", "--out", "out").code == 0
    assert sorted(path.name for path in Path("out").iterdir()) == [
        "small-ring.json",
        "small-ring.png",
    ]


def test_a_run_that_overrode_a_recipe_names_it_and_the_difference(recipe, ganzoo_cli, recorded):
    words = ("train", "--recipe", "small-ring", "--device", "cpu", "--data", "grid")
    assert ganzoo_cli(*words, "--steps", "2", "--out", "run").code == 0
    (found,) = recorded("run")
    assert (found["recipe"], found["nearest"]) == (None, "small-ring")
    assert found["differences"]["data"] == ["ganzoo:ring", "ganzoo:grid"]
    assert found["differences"]["train.steps"] == [4, 2]
    assert found["config"]["data"] == "ganzoo:grid"
    assert found["command"].startswith("ganzoo train mlp ")


def test_a_recipe_without_data_is_found_by_those_of_the_run(plugin, ganzoo_cli, recorded):
    site = plugin("acme-small", "", {"ganzoo.recipes": {"small-own": "acme_files"}})
    (site / "acme_files").mkdir()
    (site / "acme_files" / "small-own.yaml").write_text(RECIPE.replace("data: ring\n", ""))
    words = ("train", "--recipe", "small-own", "--data", "ring", "--set", "data.radius=3")
    assert ganzoo_cli(*words, "--device", "cpu", "--out", "run").code == 0
    (found,) = recorded("run")
    assert (found["recipe"], found["differences"]) == ("small-own", {})
    assert found["command"] == (
        "ganzoo train --recipe small-own --seed 0 --data ring --set data.radius=3.0"
    )


# Files ------------------------------------------------------------------------------------------


def test_the_same_runs_give_the_same_bytes_and_further_seeds_join(seeds, ganzoo_cli):
    def record(out, *runs):
        result = ganzoo_cli("record", *paths(list(runs)), "--out", out)
        assert result.code == 0, result.err
        return Path(out).read_bytes()

    first = record("one.json", seeds[0])
    assert record("one.json", seeds[0]) == first
    picture = Path("one.png")
    assert picture.read_bytes() == (seeds[0].model / "samples.png").read_bytes()
    joined = record("one.json", seeds[1])
    assert joined.replace(b"one.png", b"all.png") == record("all.json", *seeds)
    assert record("one.json", seeds[0]) == joined
    assert json.loads(joined)["picture"]["sha256"] == sha256(picture)
    # In the other order too: the lowest seed gives the picture and the command.
    record("two.json", seeds[1])
    assert record("two.json", seeds[0]).replace(b"two.png", b"one.png") == joined
    assert Path("two.png").read_bytes() == picture.read_bytes()


def test_runs_of_several_configurations_are_several_records(seeds, tmp_path, ganzoo_cli, refused):
    other = trained(tmp_path / "other", batch_size=4)
    words = (seeds[0].path, other.path)
    message = refused("record", *words, "--out", "one.json")
    assert "of 2 configurations" in message
    assert "train.batch_size: 8 -> 4" in message
    assert not Path("one.json").exists()
    assert ganzoo_cli("record", *words, "--out", "records").code == 0
    names = sorted(path.name for path in Path("records").iterdir())
    hashes = sorted(hash_recipe(each.config()) for each in (seeds[0], other))
    stem = "mlp-non-saturating-ring"
    assert names == sorted(f"{stem}-{each}{end}" for each in hashes for end in (".json", ".png"))


def test_a_file_of_something_else_is_not_replaced(seeds, tmp_path, ganzoo_cli, refused):
    other = trained(tmp_path / "other", batch_size=4)
    assert ganzoo_cli("record", other.path, "--out", "mine.json").code == 0
    before = Path("mine.json").read_bytes()
    message = refused("record", seeds[0].path, "--out", "mine.json")
    assert "mine.json" in message
    assert "another configuration" in message or "exists already" in message
    assert Path("mine.json").read_bytes() == before
    Path("picture.png").write_bytes(b"mine")
    assert "move it away" in refused("record", other.path, "--out", "picture.json")
    Path("file").touch()
    assert "neither a folder nor" in refused("record", other.path, "--out", "file")
    assert "there is no run folder nowhere" in refused("record", "nowhere")


@pytest.mark.parametrize(
    "change",
    [
        {"protocols": None},
        {"seeds": [{"scores": [{"protocol": 7}]}]},
        {"seeds": 3},
        {"format": 2},
        {"hash": 1},
    ],
)
def test_a_damaged_record_is_refused(seeds, ganzoo_cli, refused, change):
    assert ganzoo_cli("record", seeds[0].path, "--out", "mine.json").code == 0
    tree = json.loads(Path("mine.json").read_text())
    Path("mine.json").write_text(json.dumps({**tree, **change}))
    assert "mine.json is not a record" in refused("record", seeds[1].path, "--out", "mine.json")
    with pytest.raises(InputError, match="is not a record"):
        read_record(Path("mine.json"))
