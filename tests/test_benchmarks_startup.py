"""The benchmark of starting: bare programs do what the commands beside them do."""

import re
from pathlib import Path

import pytest
from PIL import Image

import ganzoo
from ganzoo.storage.tensors import tensor_shapes

FOLDER = Path(__file__).parent / "benchmarks"


@pytest.fixture
def startup(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    import startup

    return startup


@pytest.fixture
def measured(startup):
    from processes import measured

    return measured


def test_pairs_are_compared_by_both_clocks(startup, capsys):
    found = startup.measure(["help"], pairs=2)
    (each,) = found["commands"].values()
    assert (each["command"], each["pairs"]) == ("ganzoo --help", 2)
    for clock in ("wall", "cpu"):
        ours, bare, ratio = (each[clock][of] for of in ("ganzoo", "bare", "ratio"))
        assert ratio["min"] <= ours["max"] / bare["min"]
        assert ratio["max"] >= ours["min"] / bare["max"]
    assert re.match(r"\| `ganzoo --help` \| \d+\.\d\d \(", startup.show(found).splitlines()[-1])
    with pytest.raises(SystemExit):
        startup.main(["nothing"])
    assert "no such command: nothing" in capsys.readouterr().err


def test_every_program_that_imports_no_torch_prints_something(startup, measured, tmp_path):
    quick = [case for case in startup.CASES.values() if not case.slow]
    assert len(quick) == 4
    for case in quick:
        ours, bare = (measured(each).printed for each in case.programs(tmp_path))
        assert ours
        assert bare
        assert ours != bare


def test_the_bare_training_ends_in_the_same_network(startup, measured, tmp_path, monkeypatch):
    _, bare = startup.training(tmp_path)
    measured(bare)
    monkeypatch.chdir(tmp_path)
    run = ganzoo.train("mlp", steps=0, device="cpu", settings={"data.image_size": 32})
    mine = tensor_shapes(run.model / "model.safetensors")
    assert tensor_shapes(tmp_path / "bare.safetensors") == mine


def test_the_bare_sampling_draws_from_the_same_network(startup, measured, tmp_path, monkeypatch):
    untrained = startup.trained(tmp_path / "run", steps=0)
    monkeypatch.setattr(startup, "trained", lambda out: untrained)
    _, bare = startup.sampling(tmp_path)
    measured(bare)  # which takes no weights but those of its own layers
    with Image.open(tmp_path / "bare.png") as picture:
        assert picture.size == (8 * 32, 8 * 32)
