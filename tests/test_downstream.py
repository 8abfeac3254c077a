"""Packages of other people, built and installed as wheels, through the real command line."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ganzoo import registry

SOURCES = Path(__file__).parent / "downstream"
TINY = [
    *("--steps", "3", "--batch-size", "8", "--device", "cpu", "--image-size", "16"),
    *("--set", "train.log_every=1", "--sample-every", "3", "--checkpoint-every", "3"),
]
ADDED = {
    "loss": "relativistic",
    "architecture": "linear",
    "dataset": "squares",
    "augmentation": "mirror",
    "evaluator": "darkness",
    "feature extractor": "thumbnails",
    "tracker": "last-row",
    "command": "shapes",
}
DCGAN = ["train", "dcgan", *TINY, "--set", "arch.base_channels=4", "--set", "arch.z_dim=4"]


def run(command, sites, cwd):
    """Run a Python command with packages on its path."""
    found_first = [*map(str, sites), *filter(None, [os.environ.get("PYTHONPATH")])]
    done = subprocess.run(
        [sys.executable, "-m", *map(str, command)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(found_first)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


def works(command, sites, cwd):
    done = run(["ganzoo", *command], sites, cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def sites(tmp_path_factory):
    """Build both wheels as an index would get them, and install each into a folder of its own."""
    root = tmp_path_factory.mktemp("downstream")
    # Copied, so that building leaves nothing in the sources.
    shutil.copytree(SOURCES, root / "sources", ignore=shutil.ignore_patterns("__pycache__"))
    packages = sorted(path.parent for path in (root / "sources").glob("*/pyproject.toml"))
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    options = ["--no-deps", "--no-build-isolation", "--no-index", "-w", root / "wheels"]
    subprocess.run([*pip, "wheel", *options, *packages], check=True)
    found = {}
    for package in packages:
        (wheel,) = (root / "wheels").glob(f"{package.name.replace('-', '_')}-*.whl")
        found[package.name] = root / "site" / package.name
        options = ["--no-deps", "--no-index", "--target", found[package.name]]
        subprocess.run([*pip, "install", *options, wheel], check=True)
    return found


@pytest.fixture(scope="module")
def trained(sites, tmp_path_factory):
    """Train the stranger's architecture with the stranger's loss, on the digits."""
    cwd = tmp_path_factory.mktemp("trained")
    path = works(
        ["train", "linear", "--loss", "relativistic", "--data", "digits", *TINY, "--out", "run"],
        [sites["ganzoo-shapes"]],
        cwd,
    )
    assert path == "run\n"
    return cwd / "run"


def test_what_a_package_adds_is_listed_and_documented(sites, tmp_path):
    site = [sites["ganzoo-shapes"]]
    listed = {
        (row["kind"], row["name"]): row for row in json.loads(works(["list", "--json"], site, "."))
    }
    for kind, name in ADDED.items():
        row = listed[kind, name]
        assert (row["package"], row["version"]) == ("ganzoo-shapes", "0.3.0")
    shown = works(["show", "ganzoo_shapes:relativistic"], site, tmp_path)
    assert shown.startswith("loss relativistic, ganzoo-shapes 0.3.0\n")
    assert "Jolicoeur-Martineau 2018, arXiv:1807.00734" in shown
    assert "generator_lr=0.0002" in shown


def test_it_trains_and_the_run_says_where_it_came_from(trained):
    config = json.loads((trained / "config.json").read_text())
    assert config["architecture"] == {
        "name": "linear",
        "package": "ganzoo-shapes",
        "version": "0.3.0",
        "options": {"z_dim": 16},
    }
    loss = config["loss"]
    assert (loss["name"], loss["package"]) == ("relativistic", "ganzoo-shapes")
    assert config["data"]["package"] == "ganzoo"
    rows = [json.loads(line) for line in (trained / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 2, 3]
    assert {"discriminator/relativistic", "generator/relativistic"} <= rows[0].keys()
    card = (trained / "model" / "README.md").read_text()
    assert "pip install 'ganzoo>=0.1' ganzoo-shapes" in card
    assert "`ganzoo-shapes`; the model was made with version `0.3.0`" in card


def test_it_is_judged_and_sampled_like_any_other(sites, trained, tmp_path):
    site = [sites["ganzoo-shapes"]]
    judged = works(["eval", trained, "--samples", "40", "--json"], site, tmp_path)
    metrics = [row["metric"] for row in json.loads(judged)["scores"]]
    assert {"fid[digits-cnn]", "is[digits-cnn]"} <= set(metrics)
    works(["sample", trained, "-n", "2", "--out", "images"], site, tmp_path)
    assert len(list((tmp_path / "images").glob("*.png"))) == 2


def test_every_kind_that_a_package_adds_is_used(sites, tmp_path):
    site = [sites["ganzoo-shapes"]]
    chosen = ["--loss", "relativistic", "--data", "squares", "--tracker", "last-row"]
    options = [option for option in TINY if option not in ("--image-size", "16")]
    options += ["--set", "train.augment=mirror", "--set", "augment.mirror.share=0.3"]
    assert works(["train", "linear", *chosen, *options, "--out", "run"], site, tmp_path) == "run\n"
    assert json.loads((tmp_path / "run" / "last-row.json").read_text())["step"] == 3
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    (mirror,) = config["augmentations"]
    assert (mirror["package"], mirror["options"]) == ("ganzoo-shapes", {"share": 0.3})
    metrics = ["--metric", "darkness", "--metric", "fid", "--features", "thumbnails"]
    judged = works(["eval", "run", *metrics, "--json"], site, tmp_path)
    rows = {row["metric"]: row for row in json.loads(judged)["scores"]}
    assert rows.keys() == {"darkness", "fid[thumbnails]"}
    assert rows["darkness"]["data"]["name"] == "squares"
    assert works(["shapes", "square", "--side", "2"], site, tmp_path) == "##\n##\n"


def test_without_the_package_its_models_say_what_to_install(trained, refused, ganzoo_cli):
    assert "linear" not in {entry.name for entry in registry.entries(registry.ARCHITECTURE)}
    for command in (["sample", trained], ["eval", trained], ["train", "--resume", trained]):
        assert refused(*command) == (
            "Error: architecture 'linear' comes from the package ganzoo-shapes 0.3.0, "
            "which is not installed here: pip install ganzoo-shapes\n"
            "that name comes from the configuration, which anybody may have written: check the "
            "package before you install it"
        )
    assert "No such command 'shapes'" in refused("shapes", "square")
    for command in (["list"], [*DCGAN, "--out", "run"]):
        result = ganzoo_cli(*command)
        assert result.code == 0, result


def test_beside_a_broken_package_everything_else_works(sites, tmp_path):
    both = list(sites.values())
    rows = json.loads(works(["list", "--check", "--json"], both, tmp_path))
    states = {row["name"]: row["state"] for row in rows}
    for name in ("shattered", "cracked", "lost", "warped", "blind", "dim", "astray", "mute"):
        assert states.pop(name).startswith("broken: ")
    assert set(ADDED.items()) <= {(row["kind"], row["name"]) for row in rows}
    assert set(states.values()) == {"works"}
    shown = works(["--help"], both, tmp_path)
    assert "Draw shapes in a terminal. [ganzoo-shapes 0.3.0]" in shown
    assert "A module that cannot be imported. [ganzoo-broken 0.0.7]" in shown
    assert works([*DCGAN, "--loss", "relativistic", "--out", "run"], both, tmp_path) == "run\n"


@pytest.mark.parametrize(
    ("command", "what"),
    [
        (["train", "cracked"], "architecture 'cracked'"),
        (["train", "mlp", "--loss", "shattered"], "loss 'shattered'"),
        (["train", "mlp", "--data", "lost"], "dataset 'lost'"),
        (["train", "mlp", "--set", "train.augment=warped"], "augmentation 'warped'"),
        (["train", "mlp", "--tracker", "astray"], "tracker 'astray'"),
        (["show", "blind"], "evaluator 'blind'"),
        (["show", "dim"], "feature extractor 'dim'"),
        (["mute", "--help"], "command 'mute'"),
        (["show", "shattered"], "loss 'shattered'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_using_what_is_broken_names_package_version_and_cause(sites, tmp_path, command, what):
    done = run(["ganzoo", *command], [sites["ganzoo-broken"]], tmp_path)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"Error: {what} of ganzoo-broken 0.0.7 fails to import (ganzoo_broken:")
    assert line.endswith("RuntimeError: this package was built for another world")
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_the_packages_own_conformance_tests_pass_against_its_wheel(sites, tmp_path):
    tests = shutil.copytree(SOURCES / "ganzoo-shapes" / "tests", tmp_path / "tests")
    done = run(
        ["pytest", "-q", "-p", "no:cacheprovider", "--rootdir", tmp_path, tests],
        [sites["ganzoo-shapes"]],
        tmp_path,
    )
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout
    assert "failed" not in done.stdout
