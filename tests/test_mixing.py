"""Style mixing: the styles of some layers from one sample, and those of the others from another."""

import json
import shutil
from pathlib import Path

import pytest
import torch

import ganzoo
from ganzoo.arguments import parse_layers
from ganzoo.errors import InputError
from ganzoo.media.images import grid, load_png, to_uint8
from ganzoo.models.mixing import mix_styles
from ganzoo_zoo.families.cyclegan import CycleGAN


@pytest.fixture
def model(styled_run):
    return ganzoo.load(styled_run)


def test_samples_stand_in_the_first_row_and_column(model):
    mixed = model.mix(3, [1], seed=5)
    assert mixed.shape == (4, 4, 1, 16, 16)
    plain = model.sample(6, seed=5)
    torch.testing.assert_close(mixed[0, 1:], plain[:3])
    torch.testing.assert_close(mixed[1:, 0], plain[3:])
    assert bool((mixed[0, 0] == 1).all())


@pytest.mark.parametrize("layers", [[0], [1]])
def test_each_other_image_is_made_of_styles_mixed_by_hand(model, layers):
    mixed = model.mix(2, layers, seed=3)
    generator, latents = model.generator, model.inputs.latents(4, 3)
    for row in range(2):
        for column in range(2):
            own, above = (generator.mapping(latents[i : i + 1])[0] for i in (2 + row, column))
            styles = torch.stack([(above if layer in layers else own)[layer] for layer in (0, 1)])
            wanted = generator.synthesis(styles[None])["samples"][0]
            torch.testing.assert_close(mixed[row + 1, column + 1], wanted)


def test_all_layers_mixed_are_the_sample_above(model):
    mixed = model.mix(3, [0, 1])
    torch.testing.assert_close(mixed[1:, 1:], mixed[:1, 1:].expand(3, -1, -1, -1, -1))


def test_styles_are_mixed_by_layer():
    rows, columns = (torch.arange(6.0).view(2, 3, 1) + start for start in (0, 100))
    mixed = mix_styles(rows, columns[:1], [0, 2])
    assert mixed[:, 0, :, 0].tolist() == [[100, 1, 102], [100, 4, 102]]
    assert rows.flatten().tolist() == [0, 1, 2, 3, 4, 5]


def test_truncation_moves_styles_to_their_mean(model):
    styles, latents = model.styles, model.inputs.latents(4, 0)
    half = styles.mean + 0.5 * (styles.mapping(latents) - styles.mean)
    wanted = styles.synthesis(half)["samples"]
    found = model.mix(2, [0], truncation=0.5)
    torch.testing.assert_close(torch.cat([found[0, 1:], found[1:, 0]]), wanted)
    torch.testing.assert_close(model.mix(2, [0], truncation=10), model.mix(2, [0]))
    with pytest.raises(InputError, match="truncation must be a number above 0, not 0"):
        model.mix(2, [0], truncation=0)


@pytest.mark.parametrize(
    ("text", "layers"),
    [("0", (0,)), ("0-3", (0, 1, 2, 3)), ("7, 4-5,4", (4, 5, 7)), ("2-2", (2,))],
)
def test_layers_are_named_by_ranges(text, layers):
    assert parse_layers("--mix", text) == layers


@pytest.mark.parametrize("text", ["", "a", "-1", "1-", "3-1", "1-2-3", "0,,2", "99999", "0.5"])
def test_what_names_no_layers_is_refused(text):
    with pytest.raises(InputError, match=f"^--mix {text}: "):
        parse_layers("--mix", text)


def test_models_that_cannot_mix_say_so(model, tiny_run):
    with pytest.raises(InputError, match="no styles: its generator does not map latents"):
        ganzoo.load(tiny_run).mix(2, [0])
    with pytest.raises(InputError, match="this model's layers are 0 to 1: there is no layer 2"):
        model.mix(2, [1, 2])
    with pytest.raises(InputError, match="this model's layers are 0 to 1: give some"):
        model.mix(2, [])
    with pytest.raises(InputError, match="no classes to choose from"):
        model.mix(2, [0], label=1)
    translator = ganzoo.Model(model.folder, model.config, CycleGAN(), model.generator)
    with pytest.raises(InputError, match="this model translates images"):
        translator.mix(2, [0])


# The command ------------------------------------------------------------------------------------


@pytest.fixture
def run(styled_run):
    return shutil.copytree(styled_run.path, "run")


def test_the_command_writes_what_python_draws(run, model, ganzoo_cli):
    asked = ["--mix", "1", "-n", "2", "--seed", "4", "--truncation", "0.7", "--device", "cpu"]
    result = ganzoo_cli("sample", "run", *asked, "--json")
    assert (result.code, result.err) == (0, "")
    told = json.loads(result.out)
    assert (told["layers"], told["seed"], told["truncation"]) == ([1], 4, 0.7)
    assert told["files"] == ["mix-4.png"]
    picture, texts = load_png(Path("mix-4.png"))
    wanted = to_uint8(model.mix(2, [1], seed=4, truncation=0.7).flatten(0, 1))
    assert torch.equal(picture, grid(wanted, 3))
    assert (texts["ganzoo:mixed-layers"], texts["ganzoo:seed"]) == ("1", "4")
    assert texts["Description"].endswith("Seed: 4. Truncation: 0.7.")


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (["--mix", "0-2"], "this model's layers are 0 to 1: there is no layer 2"),
        (["--mix", "fine"], "--mix fine: give layers such as 0-3 or 0,4-7"),
        (["--mix", "0", "--walk", "0,1"], "choose one of them"),
        (["--mix", "0", "--source", "digits"], "--mix draws from seeds: drop --source"),
        (["--mix", "0", "--out", "x.csv"], "--out x.csv: write mixed styles to a .png"),
        (["--mix", "0", "--label", "1"], "no classes to choose from: drop --label"),
    ],
)
def test_the_command_refuses_in_one_line(run, refused, asked, message):
    assert message in refused("sample", "run", *asked)
    assert not list(Path().glob("*.png"))


def test_a_model_without_styles_is_refused(tiny_run, refused):
    shutil.copytree(tiny_run.path, "run")
    assert refused("sample", "run", "--mix", "0") == (
        "Error: this model has no styles: its generator does not map latents to them first"
    )
    Path("there.png").touch()
    assert "already exists" in refused("sample", "run", "--mix", "0", "--out", "there.png")
