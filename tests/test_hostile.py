"""Hostile model folders are refused: at once, in little memory, and nothing of them runs.

The folders are made by ``hostile.py``, and tried by ``hostile_probe.py`` in one process that has
all of torch and ganzoo ready, so that what is measured is the refusal.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import hostile
from hostile_probe import SECONDS
from hub import CallError

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="memory is read as Linux tells it"
)

MEGABYTES = 300
LONGEST = 1000


@pytest.fixture(scope="module")
def folders(tiny_run, tmp_path_factory):
    """Every hostile folder, by the name of its case."""
    root = tmp_path_factory.mktemp("hostile")
    found = {}
    for name, case in hostile.CASES.items():
        path = shutil.copytree(tiny_run.model, root / name / "model")
        victim = found[name] = hostile.Victim(path, root / name / "sung")
        case.spoil(victim)
        if case.sealed:
            victim.seal()
    yield found
    shutil.rmtree(root)  # some are large


def asked(victim, second):
    """Return what the process is told of a folder."""
    command = ["sample", victim.path, "-n", "1", "--device", "cpu", "--out", victim.canary.parent]
    if second:  # the command that reads the discriminator of a folder
        command = ["publish", victim.path, "somebody/model", "--dry-run"]
    told = {"path": victim.path, "canary": victim.canary, "command": command}
    return json.loads(json.dumps(told, default=str)) | {"command": list(map(str, command))}


@pytest.fixture(scope="module")
def results(tiny_run, folders, tmp_path_factory):
    """What became of each, by the name of its case."""
    place = tmp_path_factory.mktemp("probe")
    good = hostile.Victim(tiny_run.model, place / "sung")
    good = {**asked(good, second=False)}
    good["command"][-1] = str(place / "good.png")
    cases = [asked(victim, hostile.CASES[name].second) for name, victim in folders.items()]
    tests = str(Path(__file__).parent)
    done = subprocess.run(
        [sys.executable, str(Path(tests) / "hostile_probe.py")],
        input=json.dumps([good, *cases]),
        capture_output=True,
        text=True,
        cwd=place,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            "OMP_NUM_THREADS": "1",
        },
    )
    assert done.returncode == 0, done.stderr
    found = dict(zip(folders, map(json.loads, done.stdout.splitlines()), strict=True))
    if path := os.environ.get("HOSTILE_REPORT"):
        Path(path).write_text(json.dumps(found, indent=1))
    return found


def test_there_are_enough_of_them():
    assert len(hostile.CASES) >= 40


@pytest.mark.parametrize("name", hostile.CASES)
def test_a_hostile_folder_is_refused(results, name):
    case, found = hostile.CASES[name], results[name]
    assert found["status"] == 0, "it hung, or the process was ended"
    assert "InputError" in found["kinds"], found
    assert re.search(case.said, found["said"]), found["said"]
    assert found["second"] == case.second
    lines = found["said"].split("\n")
    assert len(lines) <= 2
    assert all(line.isprintable() for line in lines)
    assert max(map(len, lines)) < LONGEST
    assert hostile.SECRET not in found["said"]
    assert found["seconds"] < SECONDS
    assert found["added"] < MEGABYTES


@pytest.mark.parametrize("name", hostile.CASES)
def test_the_command_line_refuses_it_too(results, name):
    found = results[name]
    assert found["code"] == 2, found
    assert found["out"] == ""
    lines = found["err"].splitlines()
    assert lines[0].startswith("Error: ")
    assert len(lines) <= 2
    assert "Traceback" not in found["err"]
    assert found["command_seconds"] < SECONDS
    assert found["command_added"] < MEGABYTES


@pytest.mark.parametrize("name", hostile.CASES)
def test_nothing_of_it_runs(results, name):
    found = results[name]
    assert not found["canary"]
    assert not found["environment"]
    assert not found["modules"]
    assert not found["events"]


# From the Hub: whatever can be known of the weights beforehand keeps them from being downloaded.

AFAR = (
    *("json_nested_10000", "config_unknown_key", "name_of_a_function", "options_huge_latent"),
    *("options_mlp_deep", "weights_as_pickles_only", "manifest_name_upwards"),
    *("manifest_size_of_2_70", "sparse_weights_of_a_terabyte"),
)


def downloads(hub):
    """Return what was downloaded, by its name."""
    return {request.path.rpartition("/")[2] for request in hub.calls("GET", "/resolve/")}


@pytest.mark.parametrize("name", AFAR)
def test_a_hostile_repository_is_refused_before_its_weights_are_downloaded(
    name, folders, hub, client
):
    path = folders[name].path
    files = {each.name: each for each in path.iterdir()}
    sizes = {each: file.stat().st_size for each, file in files.items()}
    small = {
        each: file.read_bytes() if sizes[each] < 1 << 30 else b"sparse"
        for each, file in files.items()
    }
    hub.repo("bob/evil", small)
    for each, size in sizes.items():
        if size != len(small[each]):
            hub.oversize("bob/evil", each, size)
    with pytest.raises(CallError) as caught:
        client.call("import ganzoo; ganzoo.load('bob/evil')")
    assert "InputError" in caught.value.kinds
    assert len(caught.value.message.splitlines()) <= 2
    assert downloads(hub) <= {hostile.MANIFEST, hostile.CONFIG}
    assert not list(client.home.rglob("passwd"))


def test_weights_that_are_a_pickle_on_the_hub(folders, hub, client):
    victim = folders["weights_a_pickle"]
    hub.repo("bob/evil", {path.name: path.read_bytes() for path in victim.path.iterdir()})
    with pytest.raises(CallError, match="cannot be read as safetensors") as caught:
        client.call("import ganzoo; ganzoo.load('bob/evil')")
    assert "InputError" in caught.value.kinds
    assert not victim.canary.exists()


# Others, drawn at random.


def test_some_of_the_random_ones(tmp_path):
    done = subprocess.run(
        [sys.executable, hostile.__file__, "--cases", "24", "--seed", "7"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "24 cases of seed 7" in done.stdout
    assert "0 failed" in done.stdout
