"""Records of the time to a score, and a plain loop's time by the same judge."""

import copy
import json
import shlex
from pathlib import Path

import pytest
import torch

from ganzoo.resolve import resolve
from tiny import TINY

ROOT = Path(__file__).parent.parent
SMALL = ["--set=arch.base_channels=2", "--set=data.image_size=16", "--set=train.eval_samples=64"]


@pytest.fixture
def records(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs")
    monkeypatch.syspath_prepend(ROOT / "tests" / "benchmarks")
    import records

    return records


@pytest.fixture
def plain(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "tests" / "benchmarks")
    import time_to_score

    return time_to_score


@pytest.fixture
def measured(plain, capsys):
    def run(*words):
        plain.main([*words, *SMALL])
        return json.loads(capsys.readouterr().out)

    return run


@pytest.fixture
def elsewhere(records, monkeypatch, tmp_path):
    """Keeps records in a folder of the test, and writes no page of the documentation."""
    monkeypatch.setattr(records.times, "FOLDER", tmp_path / "times")
    monkeypatch.setattr(records.results, "main", lambda: None)
    return lambda: records.times.render(tmp_path / "page.md")


def test_records_can_be_repeated(records):
    for row in records.times.read():
        assert row["command"].startswith(("ganzoo bench ", "python tests/benchmarks/"))
        assert [seed["seed"] for seed in row["seeds"]], row
        assert row["judge"]["data.fingerprint"]


def test_a_measurement_becomes_a_record(records, elsewhere, ganzoo_cli):
    words = [f"--set=train.{name}={value}" for name, value in TINY.items() if name != "steps"]
    result = ganzoo_cli(
        *("bench", "mlp", "--until", "fid<=1e9", "--steps=4", "--eval-every=2", "--seeds=2"),
        *("--set=arch.hidden=8", "--image-size=8", "--set=train.eval_samples=20", "--json", *words),
    )
    assert result.code == 0, result.err
    Path("mine.json").write_text(result.out)
    records.main(["mine.json"])
    (row,) = records.times.read()
    assert row["trained"] == "mlp trained with non-saturating on digits"
    page = elsewhere()
    assert "## digits at 8 x 8: time to fid[digits-cnn] <= 1e+09" in page
    assert "| [1](times/digits.jsonl) | mlp, non-saturating | 0, 1 | " in page
    assert "| 16 | 2 | " in page
    assert f"`{row['command']}`" in page
    assert shlex.split(row["command"])[:3] == ["ganzoo", "bench", "mlp"]


def test_the_better_record_comes_first_and_what_was_not_reached_last(records, elsewhere, measured):
    found = measured("dcgan", "--until", "fid<=1e9", "--eval-every=1", "--max-steps=2")
    slow, failed = copy.deepcopy(found), copy.deepcopy(found)
    slow["seeds"][0]["processor_seconds"] += 100
    failed["seeds"][0] |= {"reached": False, "best": 31.25}
    for each in (failed, slow, found):
        records.add(each)
    lines = [each for each in elsewhere().splitlines() if "| plain" in each]
    assert [each.partition("]")[0] for each in lines] == ["| [1", "| [2", "| [3"]
    assert "reached by 0 of 1; best 31.2 | over 64 | over 1 | over" in lines[2]
    times = [float(each.split(" | ")[-1].strip(" |").replace(",", "")) for each in lines[:2]]
    assert times[1] > times[0] + 99


def test_what_was_not_scored_is_no_record(records, elsewhere):
    with pytest.raises(SystemExit, match="no record"):
        records.add({"judge": None})


# The plain loop ---------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["non-saturating", "wgan-gp"])
def test_a_plain_loop_is_scored_after_so_many_images(measured, loss):
    found = measured("dcgan", "--loss", loss, "--images=640", "--seeds=2")
    assert (found["until"], found["images"], found["reached"]) == (None, 640, True)
    assert found["metric"] == "fid[digits-cnn]"
    for seed, outcome in enumerate(found["seeds"]):
        assert (outcome["seed"], outcome["images"]) == (seed, 640)
        assert outcome["steps"] == (2 if loss == "wgan-gp" else 10)
        assert min(outcome["seconds"], outcome["processor_seconds"], outcome["score"]) > 0
    assert found["seeds"][0]["score"] != found["seeds"][1]["score"]
    assert found["mean"]["images"]["mean"] == 640


def test_ganzoo_is_scored_after_as_many_images_by_the_same_judge(measured):
    words = ("dcgan", "--loss=wgan-gp", "--images=640")
    ours, theirs = measured(*words, "--arm=ganzoo"), measured(*words)
    assert ours["judge"] == theirs["judge"]
    assert (ours["what"], theirs["what"]) == ("ganzoo", "plain loop, batch statistics")
    (outcome,) = ours["seeds"]
    train = resolve("dcgan", "wgan-gp", "digits").train
    assert outcome["images"] == outcome["steps"] * train.batch_size * train.n_critic
    assert 640 <= outcome["images"] < 640 + train.batch_size * train.n_critic
    assert ours.keys() == theirs.keys()


def test_a_plain_loop_trains_to_a_score_or_says_that_it_did_not(measured):
    words = ("dcgan", "--eval-every=2", "--max-steps=5")
    reached = measured(*words, "--until", "fid<=1e9")
    (outcome,) = reached["seeds"]
    assert (outcome["reached"], outcome["steps"], outcome["images"]) == (True, 2, 128)
    missed = measured(*words, "--until", "fid<=1")
    (outcome,) = missed["seeds"]
    assert (outcome["reached"], outcome["steps"], missed["mean"]) == (False, 5, None)
    assert [step for step, _ in outcome["curve"]] == [2, 4, 5]
    assert outcome["best"] == min(value for _, value in outcome["curve"])


def test_its_samples_are_as_the_scripts_draw_them(plain, measured):
    """With the statistics of a batch, unless the running ones are asked for; training goes on."""
    words = ("dcgan", "--images=320")
    batch, running = (measured(*words, f"--statistics={each}") for each in ("batch", "running"))
    assert batch["seeds"][0]["score"] != running["seeds"][0]["score"]
    options = plain.parsed([*words, *SMALL])
    settings = plain.parse_settings(options.set)
    config = plain.resolve("dcgan", "non-saturating", "digits", settings)
    samples = config.data.build(plain.DATASET).read()
    loop = plain.build_loop(config, samples, seed=0)
    network = config.architecture.build(plain.registry.ARCHITECTURE).generator(samples.spec)
    assert [each.shape for each in loop.G.parameters()] == [
        each.shape for each in network.parameters()
    ]
    assert loop.adam_G.param_groups[0]["lr"] == 2e-4
    assert loop.adam_G.param_groups[0]["betas"] == (0.5, 0.999)


def test_it_sees_each_image_once_an_epoch(plain):
    samples = resolve("dcgan", None, "digits").data.build(plain.DATASET).read()
    batches = plain.Batches(samples, 0)
    found = iter(batches)
    epoch = torch.cat([next(found) for _ in range(29)])
    assert batches.seen == len(epoch) == 1797
    assert epoch.sum() == pytest.approx(samples.batch(torch.arange(1797)).sum().item(), rel=1e-3)


def test_the_command_names_no_folder_of_this_machine(plain):
    words = ["dcgan", "--data", "mnist", "--set", "data.root=/home/me/data", "--images=5"]
    assert plain.command(words) == (
        "python tests/benchmarks/time_to_score.py dcgan --data mnist --set data.root=data "
        "--images=5"
    )
