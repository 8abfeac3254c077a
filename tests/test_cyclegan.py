"""CycleGAN: routing by class, its own terms, the pool, and a run from two folders."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn

import ganzoo
from ganzoo import DataSpec, Discriminator, GeneratorInput
from ganzoo.errors import InputError
from ganzoo.protocols.host_labels import labels_on_host, note_on_host, rearrange_labels
from ganzoo.storage.tensors import load_tensors
from ganzoo.training.checkpoint import steps as checkpoint_steps
from ganzoo_zoo.families.cyclegan import CycleGAN
from ganzoo_zoo.families.cyclegan.networks import ByClass, ImagePool
from ganzoo_zoo.losses.lsgan import LSGAN

SPEC = DataSpec(shape=(1, 24, 24), classes=2)
SMALL = {"arch.base_channels": 2, "arch.blocks": 1, "arch.pool_size": 3}


class Shift(nn.Module):
    """Adds a number to every pixel."""

    def __init__(self, by):
        super().__init__()
        self.by = nn.Parameter(torch.tensor(float(by)))

    def forward(self, images):
        return images + self.by


def test_each_image_goes_through_the_network_of_its_label():
    network = ByClass([Shift(-1), Shift(1)])
    images = torch.arange(5.0).view(5, 1, 1, 1)
    for labels in ([0, 1, 1, 0, 1], [1, 1, 1, 1, 1], [0, 0, 0, 0, 0]):
        labels = torch.tensor(labels)
        expected = images.flatten() + torch.where(labels == 1, 1.0, -1.0)
        assert network(images, labels).flatten().tolist() == expected.tolist()


def test_terms_of_a_perfect_translator_are_nothing_and_others_are_weighed():
    sources = torch.zeros(2, 1, 24, 24)
    sources[1] = 0.5
    # Class 0 is 0.5 darker than class 1.
    inputs = GeneratorInput(sources, torch.tensor([1, 0]), torch.tensor([0, 1]))
    architecture = CycleGAN(cycle_weight=10.0, identity_weight=4.0)
    perfect = ByClass([Shift(-0.5), Shift(0.5)])
    fake = inputs.through(perfect)
    terms = architecture.generator_terms(perfect, inputs, real=sources.flip(0), fake=fake)
    assert terms["cycle"].item() == 0.0
    # To its own class it should do nothing, and it moves each pixel by 0.5.
    assert terms["identity"].item() == pytest.approx(4.0 * 0.5)
    biased = ByClass([Shift(-0.5), Shift(0.7)])
    fake = inputs.through(biased)
    terms = architecture.generator_terms(biased, inputs, real=sources.flip(0), fake=fake)
    assert terms["cycle"].item() == pytest.approx(10.0 * 0.2, rel=1e-5)
    none = CycleGAN(cycle_weight=0, identity_weight=0)
    assert none.generator_terms(biased, inputs, sources, fake) == {}


def test_the_game_and_the_cycle_are_in_the_papers_balance():
    """Adam does not mind that all of it is halved; against each other, the terms must be right."""
    torch.manual_seed(0)
    architecture = CycleGAN(base_channels=2, blocks=1)
    generator, critic = architecture.generator(SPEC), architecture.discriminator(SPEC)
    inputs = GeneratorInput(
        torch.rand(4, 1, 24, 24) * 2 - 1, torch.tensor([1, 0, 1, 0]), torch.tensor([0, 1, 0, 1])
    )
    real = torch.rand(4, 1, 24, 24) * 2 - 1
    fake = inputs.through(generator)
    ours = {
        **LSGAN().generator_loss(Discriminator(critic, inputs.labels), real, fake),
        **architecture.generator_terms(generator, inputs, real, fake),
    }
    back, same = generator(fake, inputs.source_labels), generator(real, inputs.labels)
    papers = {
        "adversarial": (critic(fake, inputs.labels) - 1).square().mean(),
        "cycle": 10 * (back - inputs.given).abs().mean(),
        "identity": 0.5 * 10 * (same - real).abs().mean(),
    }
    assert ours.keys() == papers.keys()
    for name, term in papers.items():
        assert ours[name].item() == pytest.approx(term.item() / 2, rel=1e-5), name


def test_the_cycle_goes_back_to_the_class_of_the_source():
    gains = []

    class Recorder(nn.Module):
        def forward(self, images, labels):
            gains.append(labels.tolist())
            return images

    inputs = GeneratorInput(torch.zeros(2, 1, 24, 24), torch.tensor([1, 0]), torch.tensor([0, 1]))
    CycleGAN().generator_terms(Recorder(), inputs, inputs.given, inputs.given)
    assert gains == [[0, 1], [1, 0]], "back to where they came from, then to their own class"


def labelled(values):
    """Make fakes that carry their number in each pixel; their class is the number's parity."""
    values = torch.tensor(values, dtype=torch.float32)
    return values.view(-1, 1, 1, 1).expand(-1, *SPEC.shape), values.long() % 2


def test_the_pool_fills_before_it_gives_back_and_keeps_classes_apart():
    torch.manual_seed(0)
    pool = ImagePool(2, SPEC)
    for batch in ([0, 1], [2, 3]):
        fakes, labels = labelled(batch)
        assert torch.equal(pool(fakes, labels), fakes), "while it fills, fakes pass"
    assert pool.filled.tolist() == [2, 2]
    seen, earlier, rounds = set(), 0, 200
    for i in range(rounds):
        given = [2 * i + 4, 2 * i + 5]
        fakes, labels = labelled(given)
        shown = pool(fakes, labels)[:, 0, 0, 0].long()
        assert (shown % 2).tolist() == labels.tolist(), "an even one for an even one"
        earlier += int((shown != torch.tensor(given)).sum())
        seen |= set(shown.tolist())
    assert 0.4 < earlier / (2 * rounds) < 0.6, "half of the time an earlier one"
    repeated = 2 * rounds - len(seen - {0, 1, 2, 3})
    assert repeated > 0
    held = pool.images[:, 0, 0, 0].long()
    assert (held % 2).tolist() == [0, 0, 1, 1]


def test_what_the_pool_gives_back_was_once_given_and_is_given_once():
    torch.manual_seed(1)
    pool = ImagePool(3, SPEC)
    shown = []
    for i in range(60):
        fakes, labels = labelled([2 * i])
        shown += pool(fakes, labels)[:, 0, 0, 0].long().tolist()
    late = shown[3:]
    assert len(set(late)) == len(late), "an earlier one is replaced by what came in its place"
    assert set(shown) <= set(range(0, 120, 2))


def test_several_of_one_class_in_a_batch_take_places_of_their_own():
    pool = ImagePool(4, SPEC)
    fakes, labels = labelled([0, 2, 4])
    pool(fakes, labels)
    assert sorted(pool.images[:3, 0, 0, 0].tolist()) == [0, 2, 4]
    assert pool.filled.tolist() == [3, 0]


def test_without_a_pool_there_is_no_history():
    assert CycleGAN(pool_size=0).history(SPEC) is None


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (DataSpec(shape=(2,), classes=2), "images are needed, and these samples are vectors of 2"),
        (DataSpec(shape=(1, 24, 24)), "two classes are needed, and these data have none"),
        (DataSpec(shape=(1, 24, 24), classes=3), "two classes are needed, and these data have 3"),
        (DataSpec(shape=(1, 30, 32), classes=2), "multiples of 4, not 30 x 32"),
        (DataSpec(shape=(3, 20, 20), classes=2), "at least 24 pixels"),
    ],
)
def test_what_it_cannot_translate_is_refused(data, message):
    for build in (CycleGAN().generator, CycleGAN().discriminator):
        with pytest.raises(InputError, match=message):
            build(data)


def test_the_networks_are_those_of_the_paper():
    data = DataSpec(shape=(3, 256, 256), classes=2)
    generator = CycleGAN().generator(data)
    residual = [m for m in generator.networks[0] if type(m).__name__ == "_Residual"]
    assert len(residual) == 9
    assert (
        len(CycleGAN().generator(DataSpec(shape=(3, 128, 128), classes=2)).networks[0])
        == len(generator.networks[0]) - 3
    )
    # 11.4 million parameters a generator and 2.8 million a discriminator, as in the authors' code.
    counts = [
        sum(p.numel() for p in networks.networks[0].parameters()) / 1e6
        for networks in (generator, CycleGAN().discriminator(data))
    ]
    assert counts == pytest.approx([11.37, 2.76], abs=0.02)
    with torch.no_grad():
        logits = CycleGAN(base_channels=2).discriminator(data)(
            torch.zeros(1, 3, 256, 256), torch.tensor([0])
        )
    assert logits.shape == (1, 30 * 30), "70 x 70 patches of 256 x 256 pixels"


@pytest.fixture
def domains(tmp_path):
    """Dark and light images in two folders."""
    torch.manual_seed(0)
    for name, low in (("dark", 0), ("light", 155)):
        folder = tmp_path / "sets" / name
        folder.mkdir(parents=True)
        for i in range(6):
            pixels = torch.randint(low, low + 100, (24, 24), dtype=torch.uint8)
            Image.fromarray(pixels.numpy()).save(folder / f"{name}{i}.png")
    return tmp_path / "sets"


def train(domains, out, steps=4, **options):
    return ganzoo.train(
        "cyclegan",
        data=str(domains),
        out=out,
        settings=SMALL,
        steps=steps,
        device="cpu",
        log_every=1,
        sample_every=4,
        checkpoint_every=2,
        **options,
    )


def test_a_run_logs_its_cycle_error_and_resumes_to_the_same_bytes(domains, ganzoo_cli):
    whole = train(domains, "whole")
    rows = [json.loads(line) for line in (whole.path / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 2, 3, 4]
    assert {"generator/cycle", "generator/identity", "generator/adversarial"} <= rows[0].keys()
    assert whole.config().train.batch_size == 2, "the recipe of the architecture's paper"
    assert whole.config().train.lr_decay == "linear"
    # Started with as many steps, but stopped: only its checkpoint of step 2 is there.
    import shutil

    shutil.copytree(whole.path, "stopped")
    shutil.rmtree(Path("stopped/checkpoints/00000004"))
    assert checkpoint_steps(Path("stopped/checkpoints")) == [2]
    assert ganzoo_cli("train", "--resume", "stopped").code == 0
    for file in ("generator", "discriminator", "history", "generator_optimizer"):
        ours, theirs = (
            load_tensors(Path(run) / "checkpoints" / "00000004" / f"{file}.safetensors")
            for run in ("whole", "stopped")
        )
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[name], theirs[name]) for name in ours), file
    assert not (whole.model / "history.safetensors").exists(), "no part of the model"


def test_a_model_translates_and_is_judged(domains):
    run = train(domains, "run", steps=2)
    model = ganzoo.load(run)
    assert model.config.spec.class_names == ("dark", "light")
    sources = torch.rand(3, 1, 24, 24) * 2 - 1
    out = model.translate(sources, 1)
    assert out.shape == (3, 1, 24, 24)
    assert out.abs().max() <= 1
    assert not torch.equal(out, model.translate(sources, 0))
    with pytest.raises(InputError, match="translates images: pass some with --source"):
        model.sample(4)
    with pytest.raises(InputError, match="images of 1 x 24 x 24, not of 1 x 28 x 28"):
        model.translate(torch.zeros(1, 1, 28, 28), 1)
    with pytest.raises(InputError, match="classes are 0 to 1"):
        model.translate(sources, 2)
    rows = ganzoo.evaluate(model, ["fid"], features="digits-cnn")
    assert rows[0].fake_samples == 12


def test_the_picture_has_sources_above_their_translations(domains):
    run = train(domains, "run", steps=0)
    with Image.open(run.path / "samples" / "00000000.png") as picture:
        side = 24 * 2 + 2
        assert picture.size == (8 * side + 2, 8 * side + 2)
        grey = torch.frombuffer(bytearray(picture.convert("L").tobytes()), dtype=torch.uint8)
    rows = grey.view(8 * side + 2, 8 * side + 2).float()
    means = [rows[i * side + 2 : (i + 1) * side, 2:-2].mean().item() for i in range(0, 8, 2)]
    # The sources of the two light-ward rows are dark, those of the dark-ward rows are light.
    assert sorted(mean > 128 for mean in means) == [False, False, True, True]


def test_two_folders_from_anywhere_are_domains(domains, tmp_path):
    samples = ganzoo.open_dataset(
        "domains", a=str(domains / "dark"), b=str(domains / "light"), image_channels=3
    )
    assert samples.spec.shape == (3, 24, 24)
    assert samples.spec.class_names == ("dark", "light")
    assert samples.labels.tolist() == [0] * 6 + [1] * 6
    assert samples.names[0] == "dark/dark0.png"
    assert samples.stored[:6].float().mean() < 100 < samples.stored[6:].float().mean()


def test_domains_of_different_channels_and_sizes(domains, tmp_path):
    other = tmp_path / "colour"
    other.mkdir()
    Image.new("RGB", (30, 30), (200, 10, 10)).save(other / "one.png")
    with pytest.warns(UserWarning, match="such as 24 x 24 and 30 x 30, and are resized to 32 x 32"):
        samples = ganzoo.open_dataset("domains", a=str(domains / "dark"), b=str(other))
    assert samples.spec.shape == (3, 32, 32)
    samples = ganzoo.open_dataset("domains", a=str(domains / "dark"), b=str(other), image_size=24)
    assert samples.spec.shape == (3, 24, 24), "the grey ones are repeated"
    same = ganzoo.open_dataset("domains", a=str(other), b=str(other))
    assert same.spec.class_names == ("a", "b")


class Unread(torch.Tensor):
    """Labels that fail if the host reads them."""

    def cpu(self):
        raise AssertionError("the host reads the labels")


def test_labels_that_the_host_knows_are_not_read():
    images = torch.arange(4.0).view(4, 1, 1, 1)
    labels = torch.tensor([0, 1, 1, 0])
    network = ByClass([Shift(-1), Shift(1)])
    unread = note_on_host(labels.as_subclass(Unread), labels)
    assert torch.equal(network(images, unread), network(images, labels))
    inputs = GeneratorInput(images, unread, rearrange_labels(unread, lambda each: each.roll(2, 0)))
    for part in inputs.parts(2, torch.device("cpu")):
        assert torch.equal(labels_on_host(part.labels), torch.as_tensor(part.labels))
        assert torch.equal(labels_on_host(part.source_labels), torch.as_tensor(part.source_labels))
    with pytest.raises(AssertionError, match="the host reads"):
        network(images, labels.as_subclass(Unread))
