"""The conformance kit over every component that is installed."""

import shutil
from pathlib import Path

import pytest
from PIL import Image

from ganzoo import registry
from ganzoo.errors import InputError
from ganzoo.testing import (
    ConformanceError,
    architecture_checks,
    check_options,
    conformance_tests,
    dataset_checks,
    loss_checks,
)

SMALL = {
    "dcgan": {"base_channels": 16},
    "sngan": {"base_channels": 16},
    "sngan-resnet": {"base_channels": 16},
    "resnet": {"base_channels": 16},
    "architecture cyclegan": {"base_channels": 8, "blocks": 1},
    "architecture pix2pix": {"base_channels": 2},
    "sagan": {"base_channels": 2, "z_dim": 8},
    "architecture biggan": {
        "base_channels": 2,
        "z_dim": 24,
        "shared_dim": 8,
        "standing_batches": 1,
    },
    "architecture r3gan": {"base_channels": 16},
    "stylegan2": {"z_dim": 8, "w_dim": 8, "channel_max": 8},
    "progan": {"channel_max": 16},
    "acgan": {"base_channels": 8, "discriminator_channels": 4},
    "infogan": {"base_channels": 8, "dense": 32},
    "srgan": {"base_channels": 4, "blocks": 1, "pretrain_images": 4},
    "esrgan": {"base_channels": 4, "growth": 2, "blocks": 1, "pretrain_images": 4},
    "fastgan": {"base_channels": 2, "z_dim": 8, "standing_batches": 1},
    "wavegan": {"base_channels": 4},
    "sines": {"samples": 200},
    "ring": {"samples": 500},
    "grid": {"samples": 500},
    "gaussian": {"samples": 500},
    "blobs": {"samples": 500},
    "line": {"samples": 500},
    "spiral": {"samples": 500},
    "moons": {"samples": 500},
    "drawn": {"samples": 500},
}
"""Options for speed."""
NETWORKS = (
    *("inception-v3-compat", "vgg16"),
    *("clip-rn50", "clip-vit-b-16", "clip-vit-b-32", "clip-vit-l-14"),
    *("dinov2-vit-b-14", "dinov2-vit-l-14", "dinov2-vit-s-14"),
)
ELSEWHERE = {
    # Downloaded: read from folders that tests/test_published_data.py and test_celeba.py make.
    **dict.fromkeys(("mnist", "fashion-mnist", "stacked-mnist", "cifar10", "celeba")),
    # Downloaded: made tiny in tests/test_extractors.py, which tries them by the kit.
    **dict.fromkeys(NETWORKS),
    # Downloaded: tried by the kit in tests/test_paired.py.
    "lpips": None,
    # Needs a network of the discriminator: tried by the kit in tests/test_fastgan.py.
    "reconstruction": None,
    # Slow to start: tried by the kit in tests/test_trackers_of_others.py.
    **dict.fromkeys(("tracker wandb", "tracker mlflow", "tracker trackio")),
    # Read from files that are made below.
    **dict.fromkeys(("folder", "zip", "domains")),
    # Read from tables that tests/test_hub_data.py makes, which tries it by the kit.
    "hf": None,
    # Read from files or from memory: tried by the kit in tests/test_shapes.py.
    **dict.fromkeys(("csv", "wav", "series", "given-signals")),
}

test_conformance = conformance_tests("ganzoo", {**SMALL, **ELSEWHERE}, scores=False)


def test_every_kind_has_something_in_the_box():
    assert all(registry.entries(kind) for kind in registry.KINDS)


@pytest.mark.parametrize("check", loss_checks, ids=lambda check: check.__name__)
def test_unrolled_above_a_penalty(check):
    unrolled = registry.get(registry.LOSS, "unrolled")
    check(unrolled(base="wgan-gp", base_options={"gp_weight": 5.0}, unrolled_steps=2))


@pytest.mark.parametrize("check", architecture_checks, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", ["mlp", "dcgan", "progan", "r3gan"])
def test_conditional_architecture(name, check):
    check(registry.get(registry.ARCHITECTURE, name)(conditional=True, **SMALL.get(name, {})))


@pytest.mark.parametrize("check", architecture_checks, ids=lambda check: check.__name__)
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("biggan", {**SMALL["architecture biggan"], "z_dim": 8, "deep": True}),
        (
            "sngan-resnet",
            {"base_channels": 4, "tapered": True, "upsampling": "bilinear", "conditional": True},
        ),
    ],
    ids=["biggan-deep", "sngan-tapered"],
)
def test_other_forms_of_an_architecture(name, options, check):
    check(registry.get(registry.ARCHITECTURE, name)(**options))


@pytest.mark.parametrize("check", dataset_checks, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", ["folder", "zip", "domains"])
def test_dataset_of_files(name, check, tmp_path):
    paths = {
        "folder": lambda: {"path": some_images(tmp_path)},
        "zip": lambda: {"path": zipped(some_images(tmp_path))},
        "domains": lambda: {
            "a": some_images(tmp_path) / "dark",
            "b": zipped(some_images(tmp_path) / "light"),
        },
    }
    options = {word: str(path) for word, path in paths[name]().items()}
    check(registry.get(registry.DATASET, name)(**options))


@pytest.mark.parametrize("name", NETWORKS)
def test_options_of_a_feature_extractor_that_is_downloaded(name):
    check_options(registry.get(registry.FEATURE_EXTRACTOR, name)())


def some_images(folder: Path) -> Path:
    root = folder / "images"
    for i, level in enumerate((10, 120, 250)):
        file = root / ("dark" if i == 0 else "light") / f"{i}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 12), (level, 0, 255 - level)).save(file)
    return root


def zipped(folder: Path) -> Path:
    return Path(shutil.make_archive(str(folder), "zip", folder))


# The one line for a package's tests -----------------------------------------------------------

TWO = """
from pathlib import Path
import torch
import torch.nn.functional as F
from pydantic import Field
from ganzoo import Dataset, DataSpec, Loss, Samples
from ganzoo.component import AbsolutePath

class Mine(Loss):
    "Plays."
    def discriminator_loss(self, D, real, fake):
        return {"both": (F.softplus(D(fake)).mean() + F.softplus(-D(real)).mean())}
    def generator_loss(self, D, real, fake):
        return {"adversarial": F.softplus(-D(fake)).sum()}

class Points(Dataset):
    "Reads."
    path: AbsolutePath = Field(description="A file of points.")
    def read(self):
        return Samples(DataSpec(shape=(2,)), torch.ones(3, 2) * float(Path(self.path).read_text()))
"""
POINTS = {
    "ganzoo.losses": {"mine": "acme_gan:Mine", "lost": "acme_gan:Lost"},
    "ganzoo.datasets": {"mine": "acme_gan:Points"},
}


def cases(test):
    (mark,) = test.pytestmark
    assert mark.args[0] == ("entry", "check")
    return {case.id: case.values for case in mark.args[1]}


def run(test, id):
    test(*cases(test)[id])


@pytest.fixture
def acme(plugin):
    plugin("acme-gan", TWO, POINTS)


@pytest.mark.usefixtures("acme")
@pytest.mark.parametrize("package", ["acme-gan", "Acme_Gan", "acme.gan"])
def test_a_package_is_found_by_any_spelling_of_its_name(package):
    found = cases(conformance_tests(package))
    assert "loss mine: check_finite" in found
    assert "dataset mine: check_labels" in found
    assert {id.partition(":")[0] for id in found} == {"loss mine", "loss lost", "dataset mine"}


@pytest.mark.usefixtures("acme")
def test_each_check_meets_the_component_with_its_options(tmp_path):
    (tmp_path / "points.txt").write_text("2.5")
    test = conformance_tests("acme-gan", {"dataset mine": {"path": str(tmp_path / "points.txt")}})
    for id in cases(test):
        if id.startswith("dataset mine"):
            run(test, id)
    run(test, "loss mine: check_finite")
    with pytest.raises(ConformanceError, match="when the batch is doubled"):
        run(test, "loss mine: check_batch_size")


@pytest.mark.usefixtures("acme")
def test_a_component_without_the_options_it_needs_says_which():
    with pytest.raises(InputError, match=r"option 'mine\.path': field required"):
        run(conformance_tests("acme-gan"), "dataset mine: check_samples")


@pytest.mark.usefixtures("acme")
def test_a_component_that_does_not_import_fails_its_own_checks_alone():
    test = conformance_tests("acme-gan")
    with pytest.raises(InputError, match=r"loss 'lost' of acme-gan 1\.0 fails to import"):
        run(test, "loss lost: check_terms")
    run(test, "loss mine: check_terms")


@pytest.mark.usefixtures("acme")
def test_none_leaves_a_component_out():
    found = cases(conformance_tests("acme-gan", {"dataset mine": None, "lost": None}))
    assert {id.partition(":")[0] for id in found} == {"loss mine"}


@pytest.mark.usefixtures("acme")
def test_options_of_nothing_are_refused():
    with pytest.raises(InputError, match=r"announces no 'mime' .* did you mean 'mine'"):
        conformance_tests("acme-gan", {"mime": {}})


def test_a_package_that_announces_nothing_is_to_be_installed_first():
    with pytest.raises(InputError, match=r"called acme-gan announces .* pip install -e \."):
        conformance_tests("acme-gan")
