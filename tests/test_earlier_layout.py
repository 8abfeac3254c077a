"""Runs and models that ganzoo 0.1.0 left, before its packages were laid out anew."""

import json
import shutil
from pathlib import Path

import pytest
import torch

import ganzoo
from ganzoo import resume
from ganzoo.storage.json_files import read_json, to_json
from ganzoo.storage.tensors import load_tensors

EARLIER = Path(__file__).parent / "data" / "earlier"
RUNS = ("ring", "digits")
MODELS = ("dcgan", "r3gan", "resnet", "sngan", "sngan-resnet")
METRICS = {"ring": "modes", "digits": "fid"}


@pytest.fixture
def earlier(tmp_path):
    """Copy a run or a model, as whatever uses it may write to its folder."""

    def copied(name):
        folder = Path(shutil.copytree(EARLIER / name, tmp_path / name))
        if name in RUNS:
            # The last bits of what is drawn or resized are this torch's and this processor's.
            config = read_json(folder / "config.json")
            data = ganzoo.open_dataset(config["data"]["name"], **config["data"]["options"])
            config["data_fingerprint"] = data.fingerprint
            (folder / "config.json").write_text(to_json(config))
        return folder

    return copied


def test_the_names_are_those_of_what_is_there():
    assert {path.name for path in (EARLIER / "models").iterdir()} == set(MODELS)
    wanted = {*RUNS, *(f"models/{name}" for name in MODELS)}
    assert load_tensors(EARLIER / "expected.safetensors").keys() == wanted


@pytest.mark.parametrize("name", [*RUNS, *(f"models/{name}" for name in MODELS)])
def test_an_earlier_model_gives_its_samples(name):
    expected = load_tensors(EARLIER / "expected.safetensors")[name]
    samples = ganzoo.load(EARLIER / name).sample(4, seed=0)
    assert samples.dtype == torch.float32
    torch.testing.assert_close(samples, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_a_training_starts_from_both_networks_of_an_earlier_model(name, tmp_path):
    folder = EARLIER / "models" / name
    run = ganzoo.train(
        init=folder, out=tmp_path / "tuned", steps=1, batch_size=4, checkpoint_every=1, device="cpu"
    )
    for file in ("model.safetensors", "discriminator.safetensors"):
        assert load_tensors(run.init / file).keys() == load_tensors(folder / file).keys()
        assert load_tensors(run.model / file).keys() == load_tensors(folder / file).keys()


def test_the_decay_of_an_average_is_read_as_its_half_life():
    train = ganzoo.load(EARLIER / "digits").config.train
    images = train.n_critic * train.batch_size
    assert 0.5 ** (images / train.ema_half_life) == pytest.approx(0.999)


@pytest.mark.parametrize("name", RUNS)
def test_an_earlier_run_goes_on_to_its_new_end(name, earlier):
    run = resume(earlier(name), {"train.steps": 6})
    assert run.config().train.steps == 6
    assert ganzoo.load(run).config.step == 6
    lines = (run.path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2, 3, 4, 5, 6]
    assert lines[:4] == (EARLIER / name / "metrics.jsonl").read_text().splitlines()
    before, after = (path / "checkpoints" for path in (EARLIER / name, run.path))
    for old in (before / "00000004").glob("*.safetensors"):
        assert load_tensors(after / "00000006" / old.name).keys() == load_tensors(old).keys()
    moments = load_tensors(after / "00000006" / "generator_optimizer.safetensors")
    assert {int(value) for key, value in moments.items() if key.endswith(".step")} == {6}


@pytest.mark.parametrize("name", RUNS)
def test_commands_work_on_an_earlier_run(name, earlier, ganzoo_cli):
    run, metric = earlier(name), METRICS[name]
    shown = ganzoo_cli("show", run, "--json")
    assert shown.code == 0, shown
    assert json.loads(shown.out)["config"]["step"] == 4
    judged = ganzoo_cli("eval", run, "--metric", metric, "--samples", 64, "--json")
    assert judged.code == 0, judged
    (score, *_) = json.loads(judged.out)["scores"]
    assert (score["metric"].partition("[")[0], score["step"]) == (metric, 4)
    compared = ganzoo_cli("compare", run, "--json")
    assert compared.code == 0, compared
    drawn = ganzoo_cli("sample", run, "-n", 4, "--out", "drawn.png")
    assert drawn.code == 0, drawn


@pytest.mark.parametrize("name", MODELS)
def test_commands_work_on_an_earlier_model(name, earlier, ganzoo_cli):
    model = earlier(f"models/{name}")
    shown = ganzoo_cli("show", model, "--json")
    assert shown.code == 0, shown
    assert json.loads(shown.out)["config"]["step"] == 4
    judged = ganzoo_cli("eval", model, "--metric", "fid", "--samples", 64, "--json")
    assert judged.code == 0, judged
