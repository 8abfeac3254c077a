"""The command that the documentation's figures come from, and the parts it runs."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from ganzoo.registry import ARCHITECTURE, entries

FOLDER = Path(__file__).parent / "benchmarks"


@pytest.fixture
def benchmarks(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)


@pytest.fixture
def speed(benchmarks):
    import speed

    return speed


@pytest.fixture
def sampling(benchmarks):
    import sampling

    return sampling


@pytest.fixture
def inception(benchmarks):
    import inception

    return inception


@pytest.mark.parametrize("name", ["dcgan", "sngan-resnet"])
def test_a_plain_loop_draws_the_same_images(name, sampling, capsys):
    sampling.main([name, "--base-channels=2", "--samples=70", "--rounds=1", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["other_levels"] < 1e-3
    speeds = {arm: each["median"] for arm, each in found["images_a_second"].items()}
    assert found["times_as_fast"]["median"] == pytest.approx(
        speeds["ganzoo"] / speeds["plain"], rel=1e-2
    )
    assert name in sampling.show(found)


def test_other_images_are_noticed(sampling, monkeypatch):
    take_over = sampling.take_over

    def wrongly(mine, theirs):
        take_over(mine, theirs)
        with torch.no_grad():
            next(mine.parameters()).add_(1.0)

    monkeypatch.setattr(sampling, "take_over", wrongly)
    with pytest.raises(AssertionError, match="other images"):
        sampling.main(["dcgan", "--base-channels=2", "--samples=4", "--rounds=1"])


def test_torch_fidelity_sees_the_same_features(inception, inception_weights):
    options = inception.parsed(["--images=2", "--rounds=1"])
    found = inception.features(options, inception_weights)
    assert found["apart"] < 1e-5
    assert found["images_a_second"].keys() == {"torch-fidelity", "ganzoo"}


def test_a_second_fid_finds_the_reals_in_the_cache(inception, tmp_path, monkeypatch):
    """What both would find is made up, as it is computed elsewhere; here is what they are given."""
    kept = []

    def by_ganzoo(model, metrics, *, samples, features_weights, **options):
        cache = Path(os.environ["GANZOO_CACHE"])
        kept.append((cache.name, cache.exists()))
        cache.mkdir(exist_ok=True)
        assert (metrics, samples, features_weights) == (["fid"], 8, tmp_path / "weights")
        return [SimpleNamespace(value=1.23456)]

    def by_torch_fidelity(input1, input2, *, feature_extractor_weights_path, **options):
        for images in (input1, input2):
            assert len(images) == 8
            assert (images[0].dtype, images[0].shape) == (torch.uint8, (3, 32, 32))
        assert feature_extractor_weights_path == str(tmp_path / "weights")
        return {"frechet_inception_distance": judged.pop()}

    judged = [1.234561] * 2
    monkeypatch.setattr(inception.ganzoo, "evaluate", by_ganzoo)
    monkeypatch.setattr(inception.torch_fidelity, "calculate_metrics", by_torch_fidelity)
    options = inception.parsed(["--samples=8", "--fid-rounds=1"])
    found = inception.fids(options, tmp_path / "weights", tmp_path)
    assert kept[0] == ("ganzoo, again", False)
    assert set(kept[1:]) == {("ganzoo, again", True), ("ganzoo", False)}
    assert found["same_digits"]
    assert found["times_as_fast"].keys() == set(inception.ARMS)
    assert [row[0] for row in inception.fid_rows(found)] == list(inception.ARMS)


def test_what_judging_costs_beside_the_network(benchmarks, capsys):
    import evaluation

    asked = ["--features=digits-cnn", "--metric=fid", "--samples=40", "--passes=2", "--json"]
    evaluation.main(asked)
    found = json.loads(capsys.readouterr().out)
    for each in found["passes"]:
        assert 0 < each["extractor_seconds"] < each["seconds"]
        times = each["seconds"] / each["extractor_seconds"]
        assert each["times_the_extractor"] == pytest.approx(times)
    assert "pass 2: " in evaluation.show(found)


def test_every_architecture_has_its_figures(speed):
    shipped = {entry.name for entry in entries(ARCHITECTURE) if entry.package == "ganzoo"}
    shipped -= {"wavegan"}  # the plain loops are of images
    assert {part.options[0] for part in speed.PARTS if part.kind == "training"} == shipped
    assert {part.kind for part in speed.PARTS} <= speed.SHOWN.keys()
    assert {part.kind for part in speed.on_device("cuda")} <= speed.SHOWN.keys()
    names = [part.name for part in speed.PARTS]
    assert len(set(names)) == len(names)


def test_what_a_part_runs_can_be_read(speed, inception):
    import reference

    for part in (*speed.PARTS, *speed.on_device("cuda")):
        assert (FOLDER / part.script).is_file()
        if part.script == "reference.py":
            options = reference.parsed(part.command(quick=False)[2:])
            assert set(options.arms) == {arm for arm in part.arms if reference.available(arm)}
            assert reference.parsed(part.command(quick=True)[2:]).rounds == 1
    (gpu,) = [p for p in speed.on_device("cuda") if p.name == "device resnet 64 tf32"]
    options = reference.parsed(gpu.command(quick=False)[2:])
    assert (options.device, options.tf32, options.image_size) == ("cuda", True, 64)
    assert not reference.parsed(["dcgan"]).tf32


def test_parts_are_run_one_by_one_and_shown(speed, tmp_path, capsys, monkeypatch):
    """Of what each would print, a little; one fails, and is named."""
    printed = {
        "reference.py": _training("mlp"),
        "sampling.py": None,
        "load.py": "wall: 1.2 s",
    }

    def run(command, *, env, **options):
        script = Path(command[1]).name
        ran.append((script, env.get("MALLOC_MMAP_MAX_")))
        if printed[script] is None:
            raise subprocess.CalledProcessError(1, command, stderr="Traceback\nno such thing\n")
        text = printed[script]
        return subprocess.CompletedProcess(
            command, 0, stdout=text if isinstance(text, str) else json.dumps(text)
        )

    ran = []
    monkeypatch.setattr(speed.subprocess, "run", run)
    file = tmp_path / "speed.json"
    only = ["training mlp 32", "memory", "sampling dcgan", "load"]
    speed.main(["--only", *only, "--out", str(file)])
    shown = capsys.readouterr().out
    processes = [("reference.py", None)] * 2
    assert ran[:2] == processes
    assert ran[2:5] == [("reference.py", "0")] * 3
    assert [script for script, _ in ran[5:]] == ["sampling.py", "load.py"]
    assert "| mlp, 32 | 40 | 20 | 2.00 (2.00 to 2.00) |" in shown
    assert "| mlp, 32 | 10 | 2.000 (2.000 to 2.000) | 2.500 (2.500 to 2.500) | 15.00 " in shown
    assert "Not measured: sampling dcgan (no such thing)." in shown
    assert "```text\nwall: 1.2 s\n```" in shown
    assert "5 GFLOP" not in shown
    assert json.loads(file.read_text())["parts"]["training mlp 32"]["processes"] == 2
    speed.main(["--show", str(file)])
    assert capsys.readouterr().out == shown


def test_a_gpus_figures_have_a_table_of_their_own(speed):
    found = {**_training("dcgan"), "tf32": True}
    found = {"quick": False, "seconds": {}, "failed": {}, "parts": {"device dcgan 32 tf32": found}}
    import reference

    (name,) = found["parts"]
    found["parts"][name] = reference.report([found["parts"][name]])
    assert "| dcgan, 32, TF32 | 40 | 2.00, 25% |" in speed.shown(found)


def test_tables_are_put_where_they_belong(speed, tmp_path, capsys):
    import reference

    found = {"quick": False, "seconds": {"training mlp 32": 120.0}, "failed": {}}
    found["parts"] = {"training mlp 32": reference.report([_training("mlp")])}
    file, text = tmp_path / "speed.json", tmp_path / "text.md"
    file.write_text(json.dumps(found))
    kinds = ("machine", "training", "load")
    parts = [f"{kind}\n<!-- figures: {kind} -->\nold\n<!-- /figures: {kind} -->" for kind in kinds]
    text.write_text("\n".join([*parts, "end\n"]))
    for _ in range(2):  # and the same again
        speed.main(["--show", str(file), "--into", str(text)])
        written = text.read_text()
        assert written.count("| mlp, 32 | 40 | 20 |") == 1
        assert "It took 2 minutes.\n<!-- /figures: machine -->\ntraining" in written
        assert written.endswith("load\n<!-- figures: load -->\nold\n<!-- /figures: load -->\nend\n")
    capsys.readouterr()


def test_every_table_of_the_documentation_is_of_the_command(speed):
    text = (FOLDER.parent.parent / "docs" / "understand" / "performance.md").read_text()
    kinds = re.findall("<!-- figures: ([a-z]+) -->", text)
    assert set(kinds) == {part.kind for part in speed.PARTS} | {"machine"}
    assert kinds == re.findall("<!-- /figures: ([a-z]+) -->", text)


def test_an_unknown_part_is_named(speed):
    with pytest.raises(SystemExit, match="no part 'x'"):
        speed.main(["--only", "x"])


def _training(name):
    """Return what a process measured: 40 ms plainly, 20 and 25 by the trainer, 10 at least."""
    walls = {"reference": 0.04, "ganzoo": 0.02, "train": 0.025, "floor": 0.01}
    round_ = {"wall": walls, "process": walls, "others": 0.0, "aside": {"fp32": 1e11}}
    machine = {
        "device": "cpu",
        "device_name": "a processor",
        "processor": "a processor",
        "cores": 2,
        "threads": 2,
        "torch": torch.__version__,
        "python": sys.version.split()[0],
        "system": "Linux",
    }
    return {
        "architecture": name,
        "image_size": 32,
        "tf32": False,
        "gflop": dict.fromkeys(walls, 0.5),
        "losses_apart": [0.0, 0.0],
        "dropped_rounds": 0,
        "unquiet_rounds": 0,
        "machine": machine,
        "raw": [round_],
    }
