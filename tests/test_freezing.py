"""Runs that keep the discriminator's lower layers as the model has them (FreezeD)."""

import json
import shutil

import pytest
import torch

import crash
import ganzoo
from ganzoo import DataSpec, registry
from ganzoo.api.training import resume
from ganzoo.config import find_other_words
from ganzoo.errors import Interrupted
from ganzoo.models.size_check import build_on_meta
from ganzoo.registry import ARCHITECTURE
from ganzoo.storage.tensors import load_tensors
from tiny import TINY, Stopper

WEIGHTS = "model/discriminator.safetensors"
FAMILIES = {
    "dcgan": {"data.image_size": 16, "arch.base_channels": 4, "arch.z_dim": 4},
    "progan": {
        **{"data.image_size": 16, "arch.channel_max": 4, "arch.z_dim": 4},
        "arch.phase_images": 0,
    },
}
FROZEN = {
    "dcgan": ("0.", "2.", "3."),
    "progan": ("from_image.", "blocks.2."),
}
"""The beginnings of the names in the first two layers."""


def train(name, out, **options):
    return ganzoo.train(name, out=out, settings=FAMILIES[name], **{**TINY, **options})


@pytest.mark.parametrize("name", FAMILIES)
def test_lower_layers_stay_to_the_byte_and_others_learn(name):
    first = train(name, "first")
    whole = train(name, "a/run", init=first, freeze_discriminator=2)
    before, after = (load_tensors(each.path / WEIGHTS) for each in (first, whole))
    weights = dict(ganzoo.load(first).discriminator.named_parameters())
    moved = {key for key in weights if not torch.equal(before[key], after[key])}
    frozen = {key for key in weights if key.startswith(FROZEN[name])}
    unused = {key for key in weights if key.startswith("from_image.")}
    assert frozen
    assert moved == weights.keys() - frozen - unused
    with pytest.raises(Interrupted):
        train(name, "b/run", init=first, freeze_discriminator=2, observer=Stopper(1))
    shutil.rmtree("first")
    resumed = resume("b/run")
    assert not crash.difference(crash.content(whole.path), crash.content(resumed.path))
    config = json.loads((whole.path / "config.json").read_text())
    assert config["train"]["freeze_discriminator"] == 2


def test_it_needs_a_model_and_a_layer_that_learns(refused):
    words = [
        "train",
        "dcgan",
        *(f"--set={key}={value}" for key, value in FAMILIES["dcgan"].items()),
    ]
    set_to = "--set=train.freeze_discriminator="
    assert "give the model by --init" in refused(*words, "--steps=1", f"{set_to}1")
    first = train("dcgan", "first", steps=0)
    message = refused("train", f"--init={first.path}", "--steps=1", f"{set_to}3")
    assert message == (
        "Error: train.freeze_discriminator=3: the discriminator of 'dcgan' has 3 layers, and one "
        "must learn; give at most 2"
    )


@pytest.mark.parametrize("word", ["freezed", "freeze-d"])
def test_it_is_found_by_other_words(word):
    assert find_other_words(word) == ("train.freeze_discriminator",)


@pytest.mark.parametrize("entry", registry.entries(ARCHITECTURE), ids=lambda entry: entry.name)
def test_each_parameter_is_in_one_layer(entry):
    architecture = entry.load()()
    data = DataSpec(shape=(3, 32, 32), classes=2)
    if entry.name == "wavegan":
        data = DataSpec(shape=(1, 1024))
    if architecture.takes_sources:
        data = data.model_copy(update={"source": (3, 32, 32)})
    network = build_on_meta(lambda: architecture.discriminator(data))
    layers = architecture.discriminator_layers(network)
    assert len(layers) > 2
    for name, _ in network.named_parameters():
        assert sum(name.startswith(layer) for layer in layers) == 1, name
