"""Models as files of other formats: they give the model's samples, or are not written."""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import onnx
import onnxruntime
import pytest
import torch
from PIL import Image
from torch import nn

import ganzoo
import ganzoo_zoo.apps.export
from ganzoo.errors import GanzooError, InputError
from ganzoo_zoo.apps.export import TOLERANCE, export, formats
from ganzoo_zoo.apps.export.formats import FORMATS
from great_families import FAMILIES

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "how-to" / "export.md"
SMALL = {"arch.z_dim": 5, "data.image_size": 8}
NARROW = {**SMALL, "arch.base_channels": 4}
ENLARGING = {"arch.base_channels": 2, "arch.growth": 2, "arch.blocks": 1}
CASES = {
    "mlp": ("mlp", "ring", {"arch.z_dim": 5, "arch.hidden": (8,)}),
    "mlp-conditional": ("mlp", "digits", {**SMALL, "arch.hidden": (8,), "arch.conditional": True}),
    "dcgan-conditional": ("dcgan", "digits", {**NARROW, "arch.conditional": True}),
    "sngan": ("sngan", "digits", NARROW),
    "resnet": ("resnet", "digits", NARROW),
    "r3gan": ("r3gan", "digits", {**SMALL, "arch.base_channels": 8, "arch.growth": 2}),
    "cyclegan": ("cyclegan", None, {"arch.base_channels": 2, "arch.blocks": 1}),
    "srgan": ("srgan", "digits", {"arch.base_channels": 2, "arch.blocks": 1}),  # a residual one
    "esrgan": ("esrgan", "digits", {**ENLARGING, "arch.scale": 2, "arch.pixel_unshuffle": True}),
    **{name: (name, "digits", each.by_name(each.in_models)) for name, each in FAMILIES.items()},
}
"""Architecture, data and settings; the data of None are two folders of pictures."""
FILES = [
    (case, format)
    for case in CASES
    for format in FORMATS
    if case not in FAMILIES or format == "onnx"  # which is made from torch's own
]

SNIPPETS = {"torch-export": ("model.pt2", "torch"), "onnx": ("model.onnx", "numpy")}
"""What the page's snippet of a format reads, and what kind of array it ends with."""


@pytest.fixture(scope="module")
def model_of(tmp_path_factory):
    """Give the model of a case, whose weights are all alive."""
    made = {}

    def make(case):
        if case not in made:
            architecture, data, settings = CASES[case]
            folder = tmp_path_factory.mktemp(case)
            run = ganzoo.train(
                architecture,
                data=data or str(pictures(folder / "pictures")),
                settings=settings,
                steps=0,
                batch_size=2,
                device="cpu",
                out=folder / "run",
            )
            made[case] = ganzoo.load(run)
            rng = torch.Generator().manual_seed(0)
            for parameter in made[case].generator.parameters():
                parameter.add_(torch.randn(parameter.shape, generator=rng), alpha=0.2)
        return made[case]

    return make


@pytest.fixture(scope="module")
def file_of(model_of, tmp_path_factory):
    """Give what was said of the file of a case in a format."""
    made = {}

    def make(case, format):
        if (case, format) not in made:
            path = tmp_path_factory.mktemp("files") / f"{case}{FORMATS[format].suffix}"
            made[case, format] = export(model_of(case), path, format)
        return made[case, format]

    return make


def pictures(folder):
    for name, shade in (("dark", 20), ("light", 200)):
        (folder / name).mkdir(parents=True)
        for i in range(2):
            Image.new("L", (24, 24), shade + i).save(folder / name / f"{i}.png")
    return folder


def inputs_of(model, count):
    """Return inputs by their names, and what the model makes of them."""
    if model.architecture.takes_sources:
        labels = torch.arange(count) % 10 if model.conditional else None
        given = {"images": torch.rand(count, *model.config.spec.source) * 2 - 1}
        samples = model.translate(given["images"], labels)
    elif not model.architecture.takes_images:
        labels = torch.arange(count) % 10 if model.conditional else None
        given = {"latents": model.inputs.latents(count, seed=7)}
        samples = model.sample(count, seed=7, label=labels)
    else:
        labels = (torch.arange(count) + 1) % 2
        given = {"images": torch.rand(count, *model.config.spec.shape) * 2 - 1}
        samples = model.translate(given["images"], labels)
    return given if labels is None else {**given, "labels": labels}, samples


def opened(done):
    """Return the function that a file is, by the format's own library alone."""
    if done.format == "torch-export":
        module = torch.export.load(done.file).module()
        return lambda given: module(**given)
    session = onnxruntime.InferenceSession(done.file)

    def run(given):
        (samples,) = session.run(["samples"], {name: each.numpy() for name, each in given.items()})
        return torch.from_numpy(samples)

    return run


def written(file):
    """Return all bytes of a file, those that are packed in it too."""
    if not zipfile.is_zipfile(file):
        return file.read_bytes()
    with zipfile.ZipFile(file) as archive:
        return b"".join(archive.read(name) for name in archive.namelist())


def about(file):
    """Return what a file says that it is."""
    if file.suffix == ".onnx":
        (found,) = onnx.load(file).metadata_props
        return json.loads({found.key: found.value}["ganzoo.json"])
    found = {"ganzoo.json": ""}
    torch.export.load(file, extra_files=found)
    return json.loads(found["ganzoo.json"])


# Files that are good ----------------------------------------------------------------------------


@pytest.mark.parametrize(("case", "format"), FILES)
def test_a_file_gives_the_models_samples_in_any_number(case, format, model_of, file_of):
    model, done = model_of(case), file_of(case, format)
    run = opened(done)
    for count in (1, 3, 7):
        given, samples = inputs_of(model, count)
        assert done.inputs.keys() == given.keys()
        assert samples.std() > 0.01, "there is something to compare"
        torch.testing.assert_close(run(given), samples, rtol=0, atol=TOLERANCE)
    assert 0 <= done.largest_difference <= TOLERANCE


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("case", ["mlp-conditional", "dcgan-conditional", "cyclegan"])
def test_labels_matter_in_a_file(case, format, model_of, file_of):
    given, _ = inputs_of(model_of(case), 2)
    run = opened(file_of(case, format))
    swapped = run({**given, "labels": given["labels"].flip(0)})
    assert (run(given) - swapped).abs().max() > 0.01


@pytest.mark.parametrize("format", FORMATS)
def test_a_file_says_what_it_takes_and_gives(format, file_of):
    images = {"dtype": "float32", "shape": ["N", 1, 24, 24]}
    labels = {"dtype": "int64", "shape": ["N"]}
    assert file_of("cyclegan", format).inputs == {"images": images, "labels": labels}
    assert file_of("cyclegan", format).outputs == {"samples": images}
    done = file_of("mlp", format)
    assert done.inputs == {"latents": {"dtype": "float32", "shape": ["N", 5]}}
    assert done.outputs == {"samples": {"dtype": "float32", "shape": ["N", 2]}}


def test_onnx_names_its_dimensions_and_holds_its_weights(file_of):
    done = file_of("dcgan-conditional", "onnx")
    graph = onnx.load(done.file, load_external_data=False).graph
    found = {
        value.name: [size.dim_param or size.dim_value for size in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.output)
    }
    described = {**done.inputs, **done.outputs}
    assert found == {name: each["shape"] for name, each in described.items()}
    assert os.listdir(done.file.parent) == [done.file.name]


@pytest.mark.parametrize("format", FORMATS)
def test_a_file_says_what_model_it_is_and_no_place_of_the_machine(format, model_of, file_of):
    model, file = model_of("cyclegan"), file_of("cyclegan", format).file
    said = about(file)
    whole = model.config.model_dump(mode="json")
    assert "options" not in said["data"]
    assert "trackers" not in said
    whole.pop("trackers")
    place = whole["data"].pop("options")["path"]
    assert said == whole
    found = written(file)
    for text in (place, str(model.folder), str(ROOT), str(Path.home()), sys.prefix):
        assert text.encode() not in found, text


@pytest.mark.parametrize("format", FORMATS)
def test_the_snippets_of_the_page_run_without_ganzoo(format, file_of, tmp_path):
    name, kind = SNIPPETS[format]
    snippets = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (snippet,) = [code for code in snippets if name in code]
    shutil.copyfile(file_of("sngan", format).file, tmp_path / name)
    without = (
        "import sys\nsys.modules['ganzoo'] = sys.modules['ganzoo_zoo.families.sngan'] = None\n"
    )
    code = f"{without}{snippet}\nprint(tuple(samples.shape), type(samples).__module__)"
    done = subprocess.run(
        [sys.executable, "-c", code.replace("(16, 128)", "(16, 5)")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == [f"(16, 1, 8, 8) {kind}"]


def test_the_page_says_the_tolerance():
    assert f"The tolerance is {TOLERANCE:.0e}" in PAGE.read_text()


def test_nothing_of_the_caller_changes(model_of, tmp_path):
    model = model_of("sngan")
    before = torch.get_rng_state()
    state = {name: value.clone() for name, value in model.generator.state_dict().items()}
    model.generator.train()
    try:
        done = export(model, tmp_path / "model.pt2")
        assert all(module.training for module in model.generator.modules())
    finally:
        model.generator.eval()
    assert torch.equal(before, torch.get_rng_state())
    for name, value in model.generator.state_dict().items():
        assert torch.equal(value, state[name]), name
    given, samples = inputs_of(model, 3)
    torch.testing.assert_close(opened(done)(given), samples, rtol=0, atol=TOLERANCE)


# Files that are not written ---------------------------------------------------------------------


class Changed(nn.Module):
    """A generator with something behind it."""

    def __init__(self, generator, change):
        super().__init__()
        self.generator = generator
        self.change = change

    def forward(self, latents):
        return self.change(self.generator(latents))


@pytest.fixture
def changed(tiny_run):
    """Give a model with something behind its generator."""

    def make(change):
        model = ganzoo.load(tiny_run)
        model.generator = Changed(model.generator, change)
        return model

    return make


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda samples: samples + torch.randn(1), r"differ by [\d.]+e[+-]\d+, and 1e-04 is"),
        (lambda samples: (samples - 2).log(), r"differ by nan, and 1e-04 is allowed"),
        (lambda samples: samples if samples.sum() > 0 else -samples, "cannot be exported as torch"),
    ],
    ids=["random", "nan", "branching"],
)
def test_what_does_not_give_the_models_samples_is_not_written(change, said, changed, tmp_path):
    file = tmp_path / "files" / "model.pt2"
    for replace in (False, True):
        with pytest.raises(GanzooError, match=said) as caught:
            export(changed(change), file, replace=replace)
        assert caught.value.exit_code == 1
        assert not file.parent.exists() or os.listdir(file.parent) == [file.name] * replace
        file.parent.mkdir(exist_ok=True)
        file.write_text("an earlier one")
    assert file.read_text() == "an earlier one"


def test_an_operator_that_onnx_lacks_is_said(changed, tmp_path):
    with pytest.raises(GanzooError, match="generator of dcgan cannot be exported as onnx: "):
        export(changed(torch.special.bessel_j0), tmp_path / "model.onnx", "onnx")
    assert os.listdir(tmp_path) == []


def test_misshapen_samples_differ(tiny_run, tmp_path, monkeypatch):
    loaded = FORMATS["torch-export"].load

    def half(path):
        run = loaded(path)
        return lambda inputs: run(inputs)[..., :8]

    monkeypatch.setattr(FORMATS["torch-export"], "load", half, raising=False)
    with pytest.raises(GanzooError, match="differ by inf"):
        export(tiny_run, tmp_path / "model.pt2")
    assert os.listdir(tmp_path) == []


def test_a_network_that_onnx_cannot_hold_is_refused(tiny_run, tmp_path, monkeypatch):
    monkeypatch.setattr(formats, "ONNX_LIMIT", 1000)
    with pytest.raises(InputError, match=r"less than 2 GiB, .* --format torch-export"):
        export(tiny_run, tmp_path / "model.onnx", "onnx")
    assert os.listdir(tmp_path) == []


# The command ------------------------------------------------------------------------------------


def test_the_command_writes_a_file_and_says_how_far_it_is_off(tiny_run, ganzoo_cli, refused):
    result = ganzoo_cli("export", tiny_run.path)
    assert (result.code, result.out) == (0, "model.pt2\n")
    assert re.fullmatch(r"its samples differ .* by \S+ at most; 1e-04 is allowed\n", result.err)
    model = ganzoo.load(tiny_run)
    given, samples = inputs_of(model, 3)
    found = torch.export.load("model.pt2").module()(**given)
    torch.testing.assert_close(found, samples, rtol=0, atol=TOLERANCE)
    before = Path("model.pt2").stat().st_ino
    assert "model.pt2 already exists" in refused("export", tiny_run.path)
    assert Path("model.pt2").stat().st_ino == before
    assert ganzoo_cli("export", tiny_run.path, "--force").code == 0
    assert Path("model.pt2").stat().st_ino != before


def test_json_is_one_document(tiny_run, ganzoo_cli):
    result = ganzoo_cli(
        "export", tiny_run.model, "--format", "onnx", "--out", "new/a.onnx", "--json"
    )
    assert (result.code, result.err) == (0, "")
    said = json.loads(result.out)
    assert 0 < said.pop("largest_difference") < TOLERANCE
    assert said == {
        "format": "onnx",
        "file": "new/a.onnx",
        "inputs": {"latents": {"dtype": "float32", "shape": ["N", 8]}},
        "outputs": {"samples": {"dtype": "float32", "shape": ["N", 1, 16, 16]}},
        "tolerance": TOLERANCE,
    }
    assert os.listdir("new") == ["a.onnx"]


def test_a_file_that_is_off_ends_the_command(tiny_run, refused, monkeypatch):
    monkeypatch.setattr(ganzoo_zoo.apps.export, "TOLERANCE", -1.0)
    said = refused("export", tiny_run.path, code=1)
    assert re.search(r"they differ by 0\.0e\+00, .* model\.pt2 was not written", said)
    assert os.listdir() == []


@pytest.mark.parametrize("package", ["onnx", "onnxscript", "onnxruntime"])
def test_without_the_extra_the_command_says_what_to_install(package, refused, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    said = refused("export", "nothing", "--format", "onnx")
    assert said.endswith("packages that are not installed here: pip install 'ganzoo[onnx]>=0.1'")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--format", "onxx"], "there is no format 'onxx'; did you mean 'onnx'?"),
        (["--format", "tflite"], "there is no format 'tflite'; there are torch-export and onnx"),
        (["--out", "model.onnx"], "the format torch-export needs the suffix .pt2"),
        (["--out", "folder.pt2", "--force"], "folder.pt2 is a folder"),
        ([], "no run or model folder named 'nothing'"),
    ],
)
def test_unfit_requests_are_refused(arguments, said, refused):
    Path("folder.pt2").mkdir()
    assert said in refused("export", "nothing", *arguments)
    assert os.listdir() == ["folder.pt2"]


def test_nothing_in_the_models_folder_runs(tiny_run, ganzoo_cli, refused, tmp_path):
    folder = shutil.copytree(tiny_run.model, tmp_path / "model")
    canary = tmp_path / "ran"
    for name in ("__init__", "model", "dcgan", "ganzoo_zoo.families.dcgan", "sitecustomize"):
        (folder / f"{name}.py").write_text(f"open({str(canary)!r}, 'w').close()\n")
    assert ganzoo_cli("export", folder).code == 0
    config = json.loads((folder / "config.json").read_text())
    config["architecture"]["name"] = "model:Model"
    (folder / "config.json").write_text(json.dumps(config))
    refused("export", folder, "--force")
    assert not canary.exists()
