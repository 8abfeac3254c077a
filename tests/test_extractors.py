"""Networks whose weights are published: tiny ones in their place, and every way to miss a file."""

import hashlib
import math
import pickle
import warnings
from urllib.error import URLError

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import nn
from torch_fidelity import feature_extractor_clip as theirs
from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x

import ganzoo_zoo.metrics.fidelity
from ganzoo import registry
from ganzoo.errors import GanzooError, InputError
from ganzoo.storage.files import sha256
from ganzoo.storage.tensors import save_tensors
from ganzoo.testing import feature_extractor_checks

CPU = torch.device("cpu")
NAMES = [
    entry.name
    for entry in registry.entries(registry.FEATURE_EXTRACTOR)
    if entry.target.startswith("ganzoo_zoo.metrics.fidelity")
]
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
OPENAI = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


@pytest.fixture
def images():
    rng = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (3, 3, 20, 16), generator=rng, dtype=torch.uint8)


def prepared(images, side, mean, std):
    """Resize as TensorFlow 1 did, and normalise."""
    resized = interpolate_bilinear_2d_like_tensorflow1x(
        images.float(), size=(side, side), align_corners=False
    )
    return torchvision.transforms.functional.normalize(resized / 255, mean, std)


def drawn(module, seed=0):
    """Fill a network with numbers that leave none of its parts without effect."""
    rng = torch.Generator().manual_seed(seed)
    return {
        name: tensor
        if not tensor.is_floating_point()
        else (0.5 + 0.1 * torch.randn(tensor.shape, generator=rng).abs())
        if name.endswith("running_var")
        else 0.3 * torch.randn(tensor.shape, generator=rng)
        for name, tensor in module.state_dict().items()
    }


# CLIP -------------------------------------------------------------------------------------------


class Tiny(ganzoo_zoo.metrics.fidelity.CLIPViTB32):
    """As ViT-B/32, of one head, two layers and four patches."""

    shapes = {"visual.conv1.weight": (64, 3, 32, 32)}


class TinyResNet(ganzoo_zoo.metrics.fidelity.CLIPRN50):
    """As ResNet-50, of a few channels."""

    shapes = {"visual.conv1.weight": (4, 3, 3, 3)}


def clip_tensors(layers):
    width, patch = (64, 32) if isinstance(layers, int) else (8, None)
    network = theirs.CLIPVisual(16, 64, layers, width, patch)
    tensors = {name: tensor.half().float() for name, tensor in drawn(network).items()}
    return {**tensors, "text_projection": torch.zeros(8, 16), "logit_scale": torch.zeros(())}


@pytest.mark.parametrize(("kind", "layers"), [(Tiny, 2), (TinyResNet, (1, 1, 1, 1))])
@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_clip_of_tensors(kind, layers, suffix, images, tmp_path):
    tensors, file = clip_tensors(layers), tmp_path / f"clip.{suffix}"
    save_tensors(file, tensors) if suffix == "safetensors" else torch.save(tensors, file)
    before = torch.get_rng_state()
    loaded = kind().load(file, CPU)
    assert torch.equal(before, torch.get_rng_state())
    assert not loaded.published
    assert loaded.weights_sha256 == sha256(file)
    width, patch = (64, 32) if kind is Tiny else (8, None)
    network = theirs.CLIPVisual(16, 64, layers, width, patch).eval()
    visual = {name: tensor for name, tensor in tensors.items() if name.startswith("visual.")}
    network.load_state_dict(visual)
    with torch.no_grad():
        expected = network.visual(prepared(images, 64, *OPENAI))
        found = loaded.extract(images)
    assert found.logits is None
    assert found.pooled.std() > 1e-3
    assert torch.allclose(found.pooled, expected, rtol=1e-3, atol=1e-4)
    for check in feature_extractor_checks:
        check(loaded)


class Whole(nn.Module):
    """A text model's tensors beside an image encoder, as OpenAI's archive holds them."""

    def __init__(self, visual):
        super().__init__()
        self.visual = visual
        self.text_projection = nn.Parameter(torch.zeros(8, 16))

    def forward(self, images):
        return self.visual(images)


@pytest.fixture
def archive(tmp_path):
    """A program as torch.jit writes it, of a tiny CLIP."""
    network = theirs.CLIPVisual(16, 64, 2, 64, 32).eval()
    network.load_state_dict(
        {name: tensor.half().float() for name, tensor in drawn(network).items()}
    )
    file = tmp_path / "archive.pt"
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.jit.trace(Whole(network.visual), torch.zeros(1, 3, 64, 64)).save(str(file))
    return file


def test_clip_as_published_is_known_by_its_hash(archive, images, tmp_path, monkeypatch):
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    metadata = {**theirs.MODEL_METADATA["clip-vit-b-32"], "hash": digest}
    monkeypatch.setitem(theirs.MODEL_METADATA, "clip-vit-b-32", metadata)
    loaded = Tiny().load(archive, CPU)
    assert loaded.published
    alone = tmp_path / "alone.pt"
    torch.save(clip_tensors(2), alone)
    found, expected = (each.extract(images).pooled for each in (loaded, Tiny().load(alone, CPU)))
    assert torch.allclose(found, expected)


def test_another_program_is_not_run(archive, monkeypatch):
    monkeypatch.setattr(torch.jit, "load", lambda *args, **more: pytest.fail("it was run"))
    with pytest.raises(InputError, match="clip-vit-b-32: it is damaged, or holds more than tens"):
        Tiny().load(archive, CPU)


# DINOv2 -----------------------------------------------------------------------------------------


class TinyDINO(ganzoo_zoo.metrics.fidelity.DINOv2S14):
    """As ViT-S/14, of two heads and two layers, trained on 5 x 5 patches."""

    shapes = {"cls_token": (1, 1, 128)}


def dino_tensors(width=128, layers=2, side=5):
    rng = torch.Generator().manual_seed(1)

    def some(*shape):
        return 0.2 * torch.randn(shape, generator=rng)

    tensors = {
        "cls_token": some(1, 1, width),
        "mask_token": some(1, width),
        "pos_embed": some(1, 1 + side * side, width),
        "patch_embed.proj.weight": some(width, 3, 14, 14),
        "patch_embed.proj.bias": some(width),
        "norm.weight": 1 + some(width),
        "norm.bias": some(width),
    }
    for i in range(layers):
        for name, shape in (
            ("norm1.weight", (width,)),
            ("norm1.bias", (width,)),
            ("attn.qkv.weight", (3 * width, width)),
            ("attn.qkv.bias", (3 * width,)),
            ("attn.proj.weight", (width, width)),
            ("attn.proj.bias", (width,)),
            ("ls1.gamma", (width,)),
            ("norm2.weight", (width,)),
            ("norm2.bias", (width,)),
            ("mlp.fc1.weight", (4 * width, width)),
            ("mlp.fc1.bias", (4 * width,)),
            ("mlp.fc2.weight", (width, 4 * width)),
            ("mlp.fc2.bias", (width,)),
            ("ls2.gamma", (width,)),
        ):
            tensors[f"blocks.{i}.{name}"] = some(*shape)
    return tensors


def dino_features(w, images):
    """DINOv2 from its definition (Oquab et al. 2024; Dosovitskiy et al. 2021), step by step."""
    width = w["cls_token"].shape[-1]
    heads, count = width // 64, len(images)

    def norm(x, name):
        return F.layer_norm(x, (width,), w[f"{name}.weight"], w[f"{name}.bias"], eps=1e-6)

    def linear(x, name):
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    patches = F.conv2d(images, w["patch_embed.proj.weight"], w["patch_embed.proj.bias"], stride=14)
    x = torch.cat([w["cls_token"].expand(count, -1, -1), patches.flatten(2).mT], dim=1)
    side = math.isqrt(w["pos_embed"].shape[1] - 1)
    grid = w["pos_embed"][:, 1:].mT.unflatten(2, (side, side))
    grid = F.interpolate(grid, scale_factor=((16 + 0.1) / side,) * 2, mode="bicubic")
    x = x + torch.cat([w["pos_embed"][:, :1], grid.flatten(2).mT], dim=1)
    for name in sorted({".".join(name.split(".")[:2]) for name in w if name.startswith("blocks")}):
        qkv = linear(norm(x, f"{name}.norm1"), f"{name}.attn.qkv")
        q, k, v = qkv.unflatten(2, (3, heads, 64)).permute(2, 0, 3, 1, 4)
        shares = (q @ k.mT / 8).softmax(-1)
        mixed = (shares @ v).transpose(1, 2).flatten(2)
        x = x + w[f"{name}.ls1.gamma"] * linear(mixed, f"{name}.attn.proj")
        inner = F.gelu(linear(norm(x, f"{name}.norm2"), f"{name}.mlp.fc1"))
        x = x + w[f"{name}.ls2.gamma"] * linear(inner, f"{name}.mlp.fc2")
    return norm(x, "norm")[:, 0]


@pytest.mark.parametrize("side", [5, 16, 37])
def test_dino_of_tensors(side, images, tmp_path):
    """The published grid of 37 x 37 positions, a smaller one, and one that needs no resizing."""
    tensors, file = dino_tensors(side=side), tmp_path / "dino.pth"
    torch.save(tensors, file)
    loaded = TinyDINO().load(file, CPU)
    assert not loaded.published
    with torch.no_grad():
        found = loaded.extract(images).pooled
        expected = dino_features(tensors, prepared(images, 224, *IMAGENET))
    assert found.shape == (3, 128)
    assert (found[0] - found[1]).abs().max() > 0.1
    assert torch.allclose(found, expected, rtol=1e-3, atol=1e-3)
    for check in feature_extractor_checks:
        check(loaded)


# VGG16 ------------------------------------------------------------------------------------------


class TinyVGG16(ganzoo_zoo.metrics.fidelity.VGG16):
    """As VGG16, of few features."""

    shapes = {"classifier.3.weight": (6, 8)}


def tiny_vgg16(**options):
    """A network of VGG16's parts, and 6 features."""
    network = nn.Module()
    network.features = nn.Conv2d(3, 2, 5, stride=28)
    hidden = [nn.Linear(128, 8), nn.ReLU(), nn.Dropout(), nn.Linear(8, 6)]
    network.classifier = nn.Sequential(*hidden, nn.ReLU(), nn.Dropout(), nn.Linear(6, 10))
    network.forward = lambda images: network.classifier(network.features(images).flatten(1))
    return network


def test_vgg16_stops_after_its_second_hidden_layer(images, tmp_path, monkeypatch):
    monkeypatch.setattr(torchvision.models, "vgg16", tiny_vgg16)
    torch.manual_seed(1)  # or all of its few units may be 0
    network, file = tiny_vgg16(), tmp_path / "vgg16.pth"
    torch.save(network.state_dict(), file)
    loaded = TinyVGG16().load(file, CPU)
    assert not loaded.published
    with torch.no_grad():
        found = loaded.extract(images)
        flat = network.features(prepared(images, 224, *IMAGENET)).flatten(1)
        expected = network.eval().classifier[:5](flat)
    assert found.logits is None
    assert torch.allclose(found.pooled, expected, atol=1e-4)
    assert found.pooled.amax() > 0


# Files that are not there, or not what they should be -------------------------------------------


def extractor(name):
    return registry.get(registry.FEATURE_EXTRACTOR, name)()


def test_no_network_is_left_out():
    assert len(NAMES) == 9


@pytest.mark.parametrize("name", NAMES)
def test_without_a_network_both_ways_are_said(name, monkeypatch):
    asked = []

    def missed(url, path, hash_prefix, progress):
        asked.append((url, hash_prefix))
        raise URLError("Name or service not known")

    monkeypatch.setattr(torch.hub, "download_url_to_file", missed)
    with pytest.raises(
        GanzooError, match="connect to the network, or pass that file with --f"
    ) as e:
        extractor(name).load(None, CPU)
    ((url, digest),) = asked
    assert url.startswith("https://")
    assert f"the weights of {name} cannot be downloaded from {url}" in str(e.value)
    assert len(str(e.value).splitlines()) == 2
    assert digest is None if name.startswith("dinov2") else len(digest) >= 8


@pytest.mark.parametrize("name", NAMES)
def test_weights_of_another_network_are_refused(name, tmp_path):
    for suffix, save in (("pt", torch.save), ("safetensors", lambda t, f: save_tensors(f, t))):
        file = tmp_path / f"other.{suffix}"
        save(nn.Linear(2, 3).state_dict(), file)
        with pytest.raises(InputError, match=r"other\..* holds the weights of another network"):
            extractor(name).load(file, CPU)


def test_a_sister_is_refused(tmp_path):
    """CLIP's ViT-B/16 and ViT-B/32 differ in the size of a patch alone."""
    file = tmp_path / "clip.pt"
    torch.save({"visual.conv1.weight": torch.zeros(768, 3, 16, 16)}, file)
    with pytest.raises(InputError, match="another network"):
        extractor("clip-vit-b-32").load(file, CPU)


class Planted:
    """What a pickle would run."""

    def __reduce__(self):
        return pytest.fail, ("it was run",)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_no_file_of_tensors_is_refused(name, tmp_path):
    file = tmp_path / "odd.pt"
    for content in (b"", b"PK\x03\x04 torn", pickle.dumps(Planted())):
        file.write_bytes(content)
        with pytest.raises(InputError, match=r"odd\.pt is not a weights file"):
            extractor(name).load(file, CPU)
    torch.save([torch.zeros(3)], file)
    with pytest.raises(InputError, match=r"odd\.pt is not a weights file"):
        extractor(name).load(file, CPU)
    with pytest.raises(InputError, match="no weights file"):
        extractor(name).load(tmp_path / "missing.pt", CPU)


def test_dino_that_was_fetched_is_the_published_one(tmp_path, monkeypatch):
    def fetched(url, path, hash_prefix, progress):
        torch.save(dino_tensors(), path)

    monkeypatch.setattr(torch.hub, "download_url_to_file", fetched)
    assert TinyDINO().load(None, CPU).published
    (file,) = (tmp_path / "torch").rglob("*.pth")
    assert file.name == "dinov2_vits14_pretrain.pth"
    monkeypatch.setattr(torch.hub, "download_url_to_file", lambda *a, **k: pytest.fail("again"))
    assert TinyDINO().load(None, CPU).published
