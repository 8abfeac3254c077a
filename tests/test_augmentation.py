"""What the discriminator sees is augmented, in every call of a training, and in closed form."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from torch import nn

import ganzoo
from ganzoo import Augmentation, DataSpec, Discriminator, registry
from ganzoo.api.training import resume
from ganzoo.config import RunConfig, TrainOptions, TrainSettings
from ganzoo.errors import InputError, Interrupted, PluginError
from ganzoo.registry import AUGMENTATION, LOSS
from ganzoo.resolve import change_config, resolve
from ganzoo.testing.augmentation import check_gradients, check_samples
from ganzoo.training.prepare import build_trainer
from ganzoo_zoo.augmentations.diffaugment import Color, Cutout, Translation
from tiny import TINY, Stopper, sealed

SMALL = {"train.recipe": "paper", "arch.hidden": (8,), "data.image_size": 8}
ALL = "color,translation,cutout"
BARS = (4, 12, 20)
"""Channels, height and width of images that are not square."""


def train_to(path, augment=(), settings=None, observer=None, **options):
    return ganzoo.train(
        "mlp",
        "non-saturating",
        "digits",
        out=path,
        settings={**SMALL, "train.augment": augment, **(settings or {})},
        observer=observer,
        **{**TINY, **options},
    )


def images(count=64, shape=BARS, seed=0):
    return 2 * torch.rand(count, *shape, generator=torch.Generator().manual_seed(seed)) - 1


@pytest.fixture(autouse=True)
def _seeded():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


# In closed form -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "nothing",
    [Color(brightness=0, saturation=0, contrast=0), Translation(shift=0), Cutout(size=0)],
    ids=["color", "translation", "cutout"],
)
def test_no_strength_is_the_identity(nothing):
    samples = images()
    torch.testing.assert_close(nothing.augment(samples), samples)


@pytest.mark.parametrize(
    "strong",
    [
        Color(brightness=2, saturation=1, contrast=1),
        Translation(shift=1),
        Translation(shift=0.01),
        Cutout(size=1),
        Cutout(size=0.3),
    ],
    ids=repr,
)
@pytest.mark.parametrize("check", [check_samples, check_gradients])
def test_the_bounds_of_options_keep_the_protocol(strong, check):
    check(strong)


@pytest.mark.parametrize(
    "outside",
    ["color.brightness=2.1", "color.contrast=-0.1", "translation.shift=1.1", "cutout.size=-1"],
)
def test_options_have_bounds(outside):
    name, value = outside.split("=")
    with pytest.raises(InputError, match=rf"^option 'augment\.{name}': input should be"):
        resolve("dcgan", settings={"train.augment": ALL, f"augment.{name}": value})


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_brightness_shifts_each_image_and_keeps_its_differences(channels):
    samples = images(2000, (channels, 4, 6))
    shifts = Color(saturation=0, contrast=0).augment(samples) - samples
    colours, transparency = shifts[:, :3], shifts[:, 3:]
    torch.testing.assert_close(colours, colours[:, :1, :1, :1].expand_as(colours))
    lowest, highest = colours.amin(), colours.amax()
    assert -0.5 <= lowest < -0.49
    assert 0.49 < highest <= 0.5
    assert abs(colours.mean()) < 0.03
    assert not transparency.any()


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_contrast_scales_each_image_about_its_mean(channels):
    samples = images(2000, (channels, 4, 6))
    found = Color(brightness=0, saturation=0).augment(samples)
    before, after = samples[:, :3].flatten(1), found[:, :3].flatten(1)
    torch.testing.assert_close(after.mean(1), before.mean(1))
    factors = after.std(1) / before.std(1)
    assert 0.5 <= factors.amin() < 0.51
    assert 1.49 < factors.amax() < 1.501
    centred = [part - part.mean(1, keepdim=True) for part in (before, after)]
    torch.testing.assert_close(centred[1], factors[:, None] * centred[0])
    assert torch.equal(found[:, 3:], samples[:, 3:])


def test_saturation_scales_each_pixel_about_its_grey():
    samples = images(2000)
    found = Color(brightness=0, contrast=0).augment(samples)
    before, after = samples[:, :3], found[:, :3]
    grey = before.mean(1, keepdim=True)
    torch.testing.assert_close(after.mean(1, keepdim=True), grey)
    factors = (after - grey).flatten(1).norm(dim=1) / (before - grey).flatten(1).norm(dim=1)
    assert 0 <= factors.amin() < 0.01
    assert 1.99 < factors.amax() < 2.001
    torch.testing.assert_close(after - grey, factors[:, None, None, None] * (before - grey))
    assert torch.equal(found[:, 3:], samples[:, 3:])


@pytest.mark.parametrize("channels", [1, 3])
def test_saturation_leaves_grey_images_as_they_are(channels):
    samples = images(shape=(1, 8, 8)).expand(-1, channels, -1, -1)
    torch.testing.assert_close(Color(brightness=0, contrast=0).augment(samples), samples)


def test_a_translation_moves_whole_pixels_and_pads_with_zero():
    height, width = 16, 24
    places = 1.0 + torch.arange(height * width).reshape(1, 1, height, width)
    samples = places.repeat(500, 2, 1, 1)
    found = Translation().augment(samples)
    moves = set()
    for image in found:
        seen = image[0].nonzero()[0]
        row, column = divmod(int(image[0, *seen]) - 1, width)
        down, right = int(seen[0]) - row, int(seen[1]) - column
        moves.add((down, right))
        expected = torch.zeros(height, width)
        expected[max(down, 0) : height + down, max(right, 0) : width + right] = places[
            0, 0, max(-down, 0) : height - down, max(-right, 0) : width - right
        ]
        assert torch.equal(image, expected.expand(2, -1, -1))
    # Each move is as likely as another, and none is missing in 500 draws of 35.
    assert moves == {(down, right) for down in range(-2, 3) for right in range(-3, 4)}


def test_a_translation_by_a_whole_side_may_leave_nothing():
    found = Translation(shift=1).augment(1 + images(400, (1, 4, 4)).abs())
    assert (found == 0).flatten(1).all(1).any()
    assert not (found == 0).flatten(1).all(1).all()


@pytest.mark.parametrize(("height", "width"), [(8, 12), (7, 9)])
def test_a_cutout_is_a_rectangle_around_any_point(height, width):
    samples = torch.ones(3000, 2, height, width)
    found = Cutout().augment(samples)
    assert set(found.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(found[:, 0], found[:, 1])
    holes = found[:, 0] == 0
    rows, columns = holes.any(2), holes.any(1)
    assert torch.equal(holes, rows[:, :, None] & columns[:, None])
    for along, side in ((rows, height), (columns, width)):
        length = int(side / 2 + 0.5)
        starts = range(-(length // 2), side + 1 - length % 2 - length // 2)
        expected = {
            tuple(start <= place < start + length for place in range(side)) for start in starts
        }
        assert set(map(tuple, along.tolist())) == expected
        # A line is cut out as often as a start is near enough.
        near = [sum(start <= place < start + length for start in starts) for place in range(side)]
        shares = torch.tensor(near) / len(starts)
        torch.testing.assert_close(along.float().mean(0), shares, rtol=0, atol=0.04)


def test_a_whole_cutout_keeps_what_lies_beyond_its_edge():
    shares = Cutout(size=1).augment(torch.ones(500, 1, 4, 4)).mean((1, 2, 3))
    assert shares.amin() == 0
    assert shares.amax() == 0.75


def test_a_gradient_reaches_the_pixels_that_are_still_seen():
    samples = images().requires_grad_()
    found = Translation().augment(samples)
    (gradient,) = torch.autograd.grad(found.sum(), samples)
    assert set(gradient.unique().tolist()) == {0.0, 1.0}
    assert gradient.sum() == (found != 0).sum()


# What a loss is given as D --------------------------------------------------------------------


class Doubling(Augmentation):
    """Doubles whatever comes."""

    def augment(self, samples):
        return 2 * samples


class Adding(Augmentation):
    """Adds 10 to whatever comes."""

    def augment(self, samples):
        return samples + 10

    def fits(self, data):
        return True


def judge():
    network = nn.Sequential(nn.Linear(2, 1, bias=False), nn.Flatten(0))
    with torch.no_grad():
        network[0].weight.copy_(torch.tensor([[0.6, 0.8]]))
    return network


def test_augmentations_are_applied_in_their_order():
    samples, network = torch.randn(5, 2), judge()
    torch.testing.assert_close(
        Discriminator(network, augmentations=[Doubling(), Adding()])(samples),
        network(2 * samples + 10),
    )
    torch.testing.assert_close(
        Discriminator(network, augmentations=[Adding(), Doubling()])(samples),
        network(2 * (samples + 10)),
    )
    assert torch.equal(Discriminator(network)(samples), network(samples))


def test_other_parameters_see_the_same_augmentations():
    samples, network = torch.randn(5, 2), judge()
    D = Discriminator(network, augmentations=[Doubling()])
    moved = {name: 3 * value for name, value in D.detached_parameters().items()}
    torch.testing.assert_close(D.at(moved)(samples), 6 * network(samples))


def test_an_augmentation_is_not_computed_in_half_precision():
    seen = []

    class Watching(Augmentation):
        def augment(self, samples):
            seen.append((samples @ samples.T).dtype)
            return samples

    D = Discriminator(judge(), half=torch.bfloat16, augmentations=[Watching()])
    assert D(torch.randn(5, 2)).dtype == torch.float32
    assert seen == [torch.float32]


def test_a_penalty_is_on_the_slope_through_the_augmentation():
    """Of slope 1 behind a doubling the slope is 2, and the penalty its distance to 1, squared."""
    loss = registry.get(LOSS, "wgan-gp")()
    D = Discriminator(judge(), augmentations=[Doubling()])
    terms = loss.discriminator_loss(D, torch.randn(6, 2), torch.randn(6, 2))
    torch.testing.assert_close(terms["gradient_penalty"], torch.tensor(10.0))
    terms["gradient_penalty"].backward()
    assert D.network[0].weight.grad.any()


# In training ----------------------------------------------------------------------------------

ADDING = """
import torch
from ganzoo import Augmentation

class Adding(Augmentation):
    "Adds 10 to whatever comes."
    def augment(self, samples):
        return samples + 10
    def fits(self, data):
        return True
"""


@pytest.fixture
def adding(plugin):
    plugin("acme", ADDING, {"ganzoo.augmentations": {"adding": "acme:Adding"}})


def trainer_of(config):
    return build_trainer(config, config.data.build(registry.DATASET).read())


@pytest.mark.parametrize(
    ("loss", "calls"),
    [("non-saturating", 3), ("wgan-gp", 3 * 2 + 1), ("r3gan", 4), ("unrolled", 13)],
)
def test_all_that_a_discriminator_sees_in_a_step_is_augmented(adding, loss, calls):
    settings = {**SMALL, "train.augment": "adding", "train.device": "cpu", "train.batch_size": 4}
    settings |= {"train.n_critic": 2} if loss == "wgan-gp" else {}
    trainer = trainer_of(resolve("mlp", loss, "digits", settings))
    seen = []
    trainer.state.discriminator.register_forward_pre_hook(
        lambda network, given: seen.append(given[0].detach())
    )
    trainer.step()
    assert len(seen) == calls
    assert all(samples.amin() >= 9 for samples in seen)


def test_the_generator_learns_through_the_augmentation():
    settings = {**SMALL, "train.augment": ALL, "train.device": "cpu"}
    trainer = trainer_of(resolve("mlp", "non-saturating", "digits", settings))
    trainer.step()
    gradients = [parameter.grad for parameter in trainer.state.generator.parameters()]
    assert all(gradient.isfinite().all() for gradient in gradients)
    assert any(gradient.any() for gradient in gradients)


def weights(run):
    return (run.path / "model" / "model.safetensors").read_bytes()


def test_training_differs_with_an_augmentation_and_with_no_strength_it_agrees(tmp_path):
    plain = train_to(tmp_path / "plain")
    augmented = train_to(tmp_path / "augmented", ["cutout"])
    nothing = train_to(tmp_path / "nothing", ["cutout"], {"augment.cutout.size": 0})
    assert weights(plain) != weights(augmented)
    # It draws all the same, and nothing else in these networks does.
    assert weights(plain) == weights(nothing)
    assert weights(train_to(tmp_path / "again", ["cutout"])) == weights(augmented)
    assert weights(train_to(tmp_path / "seed", ["cutout"], seed=1)) != weights(augmented)


def test_a_stopped_run_goes_on_to_the_same_bytes_with_its_augmentations(tmp_path):
    options = {"steps": 5, "checkpoint_every": 2}
    whole = train_to(tmp_path / "whole", ALL, **options)
    with pytest.raises(Interrupted):
        train_to(tmp_path / "halves", ALL, observer=Stopper(3), **options)
    halves = ganzoo.runs.folder.Run(tmp_path / "halves")
    shutil.rmtree(halves.checkpoints / "00000003")
    resume(halves.path)
    assert weights(halves) == weights(whole)
    assert (halves.path / "config.json").read_bytes() == (whole.path / "config.json").read_bytes()


def test_an_augmentation_in_half_precision(tmp_path):
    run = train_to(tmp_path / "run", ALL, steps=2, precision="bf16")
    assert ganzoo.load(run).config.step == 2


def test_what_does_not_fit_is_refused_before_anything_is_written(refused, tmp_path):
    assert refused("train", "mlp", "--data", "ring", "--set", f"train.augment={ALL}") == (
        "Error: the augmentation 'color' does not fit these samples, vectors of 2; "
        "remove it from train.augment"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("augmentation", [Color(), Translation(), Cutout()])
def test_images_fit_and_vectors_do_not(augmentation):
    assert augmentation.fits(DataSpec(shape=(1, 4, 4)))
    assert not augmentation.fits(DataSpec(shape=(4,)))


# What is chosen -------------------------------------------------------------------------------


def chosen(augment, **options):
    settings = {"train.augment": augment}
    settings |= {f"augment.{name.replace('__', '.')}": value for name, value in options.items()}
    return resolve("dcgan", settings=settings)


@pytest.mark.parametrize(
    "given", ["cutout,color", " cutout , color,", ["cutout", "color"], ("cutout", "ganzoo:color")]
)
def test_names_are_given_as_a_list_in_their_order(given):
    config = chosen(given, color__contrast="0.25")
    assert [choice.name for choice in config.augmentations] == ["cutout", "color"]
    assert [choice.options for choice in config.augmentations] == [
        {"size": 0.5},
        {"brightness": 0.5, "saturation": 1.0, "contrast": 0.25},
    ]
    again = RunConfig.model_validate(json.loads(json.dumps(config.model_dump(mode="json"))))
    assert again == config
    assert again.augmentations[1].build(AUGMENTATION) == Color(contrast=0.25)


@pytest.mark.parametrize("given", ["", [], ()])
def test_no_name_is_no_augmentation(given):
    assert chosen(given) == resolve("dcgan")
    assert resolve("dcgan").augmentations == ()


def test_the_names_stand_once_in_a_configuration():
    stored = chosen(ALL).model_dump(mode="json")
    assert stored["train"].keys() == TrainOptions.model_fields.keys()
    assert TrainSettings.model_fields.keys() - TrainOptions.model_fields.keys() == {
        "augment",
        "penalty",
    }


def test_a_configuration_without_the_field_still_loads(tmp_path):
    run = train_to(tmp_path / "run", steps=1)
    for file in (run.path / "config.json", run.path / "model" / "config.json"):
        config = json.loads(file.read_text())
        del config["augmentations"]
        file.write_text(json.dumps(config))
    sealed(run.model)
    assert ganzoo.load(run).config.augmentations == ()
    assert resume(run.path, {"train.steps": 2}).config().augmentations == ()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"train.augment": "colour"}, "no augmentation is called 'colour'; did you mean 'color'?"),
        ({"train.augmnet": "color"}, "unknown option 'train.augmnet'; did you mean 'augment'?"),
        ({"train.augment": 3}, "option 'train.augment': input should be a valid tuple, got 3"),
        ({"train.augment": [3]}, "option 'train.augment': input should be a valid string, got 3"),
        (
            {"train.augment": "color,color"},
            "two augmentations of this run are called the same: color, color",
        ),
        (
            {"train.augment": "color", "augment.cutout.size": 1},
            "'augment.cutout.size' is an option of no augmentation of this run; "
            "write augment.NAME.OPTION beside --set train.augment=NAME",
        ),
        (
            {"train.augment": "color", "augment.contrast": 1},
            "'augment.contrast' is an option of no augmentation of this run; "
            "write augment.NAME.OPTION beside --set train.augment=NAME",
        ),
        (
            {"train.augment": "color", "augment.color.contrst": 1},
            "unknown option 'augment.color.contrst'; did you mean 'contrast'?",
        ),
    ],
)
def test_what_cannot_be_chosen_is_refused(settings, message):
    with pytest.raises(InputError) as caught:
        resolve("dcgan", settings=settings)
    assert str(caught.value) == message


def test_two_of_a_name_are_chosen_by_their_package(plugin):
    plugin("acme", ADDING, {"ganzoo.augmentations": {"color": "acme:Adding"}})
    with pytest.raises(PluginError, match="is claimed by acme and ganzoo"):
        chosen("color")
    for key in ("color.contrast", "ganzoo:color.contrast"):
        config = resolve(
            "dcgan", settings={"train.augment": "ganzoo:color", f"augment.{key}": 0.25}
        )
        assert config.augmentations[0].options["contrast"] == 0.25
    # A run that names its package is not confused by another one of the name.
    assert change_config(config, {}, {"augment.color.contrast": 0.25}) == config
    again = change_config(config, {}, {"train.augment": "acme:color"})
    assert "augment.color.package: ganzoo -> acme" in config.differences(again)


CHANGES = {
    "another": ({"train.augment": "cutout"}, ["train.augment: color,cutout -> cutout"]),
    "another order": (
        {"train.augment": ["cutout", "color"]},
        ["train.augment: color,cutout -> cutout,color"],
    ),
    "none": ({"train.augment": ""}, ["train.augment: color,cutout -> None"]),
    "an option": (
        {"augment.color.contrast": 0.1},
        ["augment.color.contrast: 0.25 -> 0.1"],
    ),
    "both": (
        {"train.augment": "translation,cutout", "augment.cutout.size": "0.2"},
        ["augment.cutout.size: 0.5 -> 0.2", "train.augment: color,cutout -> translation,cutout"],
    ),
    "nothing": ({}, []),
    "the same": ({"train.augment": "color,cutout", "augment.color.contrast": 0.25}, []),
    "the same without its option": ({"train.augment": "color,cutout"}, []),
}


@pytest.mark.parametrize(("settings", "lines"), CHANGES.values(), ids=CHANGES.keys())
def test_changes_are_said_as_they_are_set(settings, lines):
    config = chosen("color,cutout", color__contrast=0.25)
    assert config.differences(change_config(config, {}, settings)) == lines


def test_a_run_is_resumed_under_its_own_augmentations_alone(tmp_path, ganzoo_cli, refused):
    run = train_to(tmp_path / "run", "cutout", {"augment.cutout.size": 0.25}, steps=1)
    again = ["train", "--resume", "run", "--steps", "2"]
    assert refused(*again, "--set", "train.augment=color,cutout") == (
        "Error: the run was started under other options: "
        "train.augment: cutout -> color,cutout; train a new run"
    )
    assert refused(*again, "--set", "augment.cutout.size=0.5") == (
        "Error: the run was started under other options: "
        "augment.cutout.size: 0.25 -> 0.5; train a new run"
    )
    assert ganzoo_cli(*again, "--set", "train.augment=cutout").code == 0
    (cutout,) = run.config().augmentations
    assert cutout.options == {"size": 0.25}


def test_a_plain_run_does_not_become_an_augmented_one(tmp_path, refused):
    train_to(tmp_path / "run", steps=1)
    assert "train.augment: None -> cutout" in refused(
        *("train", "--resume", "run", "--steps", "2", "--set", "train.augment=cutout")
    )


def test_the_command_line_says_how(ganzoo_cli):
    given = ["--set", f"train.augment={ALL}", "--set", "augment.translation.shift=0.25"]
    tiny = [f"--{key.replace('_', '-')}={TINY[key]}" for key in ("steps", "batch_size", "device")]
    run = ganzoo_cli(
        *("train", "mlp", "--data", "digits", "--image-size", "8", *given, *tiny, "--out", "run")
    )
    assert run.code == 0, run
    assert "warning" not in run.err
    assert "  augmentation translation (ganzoo " in ganzoo_cli("show", "run").out
    assert "shift=0.25" in ganzoo_cli("show", "run").out
    assert "train.augment=NAME,NAME" in ganzoo_cli("train", "--help").out
    shown = ganzoo_cli("show", "color").out
    assert "arXiv:2006.10738" in shown
    assert "contrast = 0.5" in shown
    names = [line.split()[0] for line in ganzoo_cli("list", "augmentations").out.splitlines()[1:]]
    assert names == ["ada", "color", "cutout", "translation"]
    assert json.loads(Path("run/model/config.json").read_text())["augmentations"][1]["options"] == {
        "shift": 0.25
    }
